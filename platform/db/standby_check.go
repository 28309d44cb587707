package db

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Errors of [DB.CheckStandby].
var (
	errNoStandby     = errors.New("db: the server for reads is no standby: it accepts writes")
	errOtherCluster  = errors.New("db: the server for reads is a standby of another database")
	errOtherDatabase = errors.New("db: the server for reads is connected to another database of the server")
)

// identityQuery asks a server who it is. A standby has the identifier of its primary.
const identityQuery = `
	SELECT pg_is_in_recovery(), current_user::text, current_database()::text,
		(SELECT system_identifier FROM pg_control_system())`

type serverIdentity struct {
	standby        bool
	role, database string
	system         int64
}

func identify(ctx context.Context, c interface {
	QueryRow(ctx context.Context, sql string, arguments ...any) pgx.Row
},
) (s serverIdentity, err error) {
	err = c.QueryRow(ctx, identityQuery).Scan(&s.standby, &s.role, &s.database, &s.system)
	return s, err
}

// CheckStandby checks once whether the standby for reads answers, belongs to the primary, and has the same role. It
// changes nothing. It does not look at the lag. Without a standby it returns nil.
func (d *DB) CheckStandby(ctx context.Context) error {
	if d.standby == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	primary, err := identify(ctx, d.pool)
	if err != nil {
		return newUnavailableError("identify the primary", err)
	}
	standby, err := identify(ctx, d.standby.pool)
	switch {
	case err != nil:
		return newUnavailableError("connect to the standby for reads", err)
	case !standby.standby:
		return errNoStandby
	case standby.system != primary.system:
		return errOtherCluster
	case standby.database != primary.database:
		return errOtherDatabase
	case standby.role != primary.role:
		return fmt.Errorf("db: the URL of the standby names the role %s, and must name %s", standby.role, primary.role)
	}
	return nil
}
