package db

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
)

// Listener receives notifications of a NOTIFY channel. Its methods are called one at a
// time and must not block.
type Listener interface {
	Connected() // listening has begun; earlier notifications may have been missed
	Notified(payload string)
	Lost(err error) // the connection broke or could not be opened; a new attempt follows after a delay
}

// listenPolicy is the delay before [DB.Listen] reconnects.
var listenPolicy = Policy{MaxAttempts: 1, BaseDelay: 100 * time.Millisecond, MaxDelay: 10 * time.Second, Jitter: 0.1}

// Listen listens on the channel until the context ends, on one connection outside the
// pool, and reconnects when it breaks. Notifications can be lost at any time, and
// behind a pooler in transaction mode none arrive. Use them only to speed things up. In the profile [Portable] there
// are none: Listen calls Connected several times a second, without a connection.
func (d *DB) Listen(ctx context.Context, channel string, l Listener) {
	if d.portable {
		poll(ctx, l)
		return
	}
	for failures := 0; ctx.Err() == nil; failures++ {
		connected := time.Now()
		err := d.listen(ctx, channel, l)
		if ctx.Err() != nil {
			return
		}
		l.Lost(err)
		if time.Since(connected) > listenPolicy.MaxDelay {
			failures = 0
		}
		if sleep(ctx, listenPolicy.Delay(failures, rand.Float64)) != nil {
			return
		}
	}
}

func (d *DB) listen(ctx context.Context, channel string, l Listener) error {
	settings := d.pool.Config().ConnConfig
	d.password.apply(settings)
	// No statement runs that could be cancelled; the end of the context only ends the wait.
	settings.BuildContextWatcherHandler = func(c *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.DeadlineContextWatcherHandler{Conn: c.Conn()}
	}
	connection, err := pgx.ConnectConfig(ctx, settings)
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = connection.Close(closing)
	}()
	if _, err := connection.Exec(ctx, "LISTEN "+pgx.Identifier{channel}.Sanitize()); err != nil {
		return err
	}
	l.Connected()
	for {
		n, err := connection.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		l.Notified(n.Payload)
	}
}
