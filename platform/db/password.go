package db

import (
	"sync/atomic"

	"github.com/jackc/pgx/v5"
)

// password is the password of new connections after a change. Safe for concurrent use.
type password struct{ changed atomic.Pointer[string] }

// apply sets the password of a connection that is about to be opened.
func (p *password) apply(c *pgx.ConnConfig) {
	if changed := p.changed.Load(); changed != nil {
		c.Password = *changed
	}
}

// SetPassword changes the password of new connections, after that of the role was changed. Open connections
// remain: the server does not ask them again.
func (d *DB) SetPassword(changed string) { d.password.changed.Store(&changed) }

// SetStandbyPassword is [DB.SetPassword] for the standby for reads, if there is one.
func (d *DB) SetStandbyPassword(changed string) {
	if d.standby != nil {
		d.standby.SetPassword(changed)
	}
}
