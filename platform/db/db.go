package db

import (
	"context"
	"database/sql"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/sirupsen/logrus"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"omnirapeutic/platform/db/pgurl"
)

// Config configures [Open].
type Config struct {
	URL      string
	Profile  Profile // the zero value is PostgreSQL
	MaxConns int     // at least 1
	Retry    Policy  // the zero value is the preset "default"
	// ExecMode is how pgx sends statements: "cache_statement" (or "", its default), or
	// "exec" or "cache_describe" for transaction-mode poolers.
	ExecMode  string
	Standby   StandbyConfig
	SlowQuery time.Duration // statements that take longer are logged, without values; 0: none
	Logger    logrus.FieldLogger
	Observers []Observer
}

// DB is an open database. Safe for concurrent use.
type DB struct {
	pool      *pgxpool.Pool
	sql       *sql.DB
	gorm      *gorm.DB
	policy    Policy
	metrics   *Metrics
	observers observers
	// unanswered are the connections whose COMMIT the server has not yet answered.
	unanswered *unansweredCommits
	renewed    *atomic.Int64 // time of the last replacement of all connections, in Unix milliseconds
	password   *password     // of new connections
	links      Links         // see [DB.WithLinks]
	standby    *standby      // nil: the primary answers all reads
	ofStandby  bool          // its server is a standby
	portable   bool          // the profile is Portable
}

// execModes are the supported ways of sending statements. The simple protocol is
// excluded: database/sql repeats a statement without arguments after a broken
// connection, so it could run twice.
var execModes = map[string]pgx.QueryExecMode{
	"":                pgx.QueryExecModeCacheStatement,
	"cache_statement": pgx.QueryExecModeCacheStatement,
	"cache_describe":  pgx.QueryExecModeCacheDescribe,
	"describe_exec":   pgx.QueryExecModeDescribeExec,
	"exec":            pgx.QueryExecModeExec,
}

// Open connects to the database and checks that it answers. It returns an
// *[UnavailableError] if it does not.
func Open(ctx context.Context, c Config) (*DB, error) {
	if c.Retry == (Policy{}) {
		c.Retry, _ = Preset("default")
	}
	if err := c.Retry.Validate(); err != nil {
		return nil, err
	}
	mode, ok := execModes[c.ExecMode]
	if !ok {
		return nil, fmt.Errorf("db: the exec mode %q is not one of cache_statement, cache_describe, describe_exec and "+
			"exec", c.ExecMode)
	}
	if c.MaxConns < 1 {
		return nil, fmt.Errorf("db: a pool needs at least 1 connection, not %d", c.MaxConns)
	}
	d, err := newDB(ctx, c, NewMetrics(), poolOptions{mode: mode, cancelDelay: time.Second})
	if err != nil {
		return nil, err
	}
	if err = d.Ping(ctx); err == nil && c.Standby.URL != "" {
		d.standby, err = openStandby(ctx, c, mode, d)
	}
	if err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// poolOptions are what differs between the pools of a primary and of a standby.
type poolOptions struct {
	mode        pgx.QueryExecMode
	cancelDelay time.Duration                                // how long the server may take to confirm a cancellation
	admit       func(ctx context.Context, c *pgx.Conn) error // checks a standby's connection before a transaction begins
}

// newDB returns a DB whose server has not been asked for anything yet.
func newDB(ctx context.Context, c Config, metrics *Metrics, o poolOptions) (*DB, error) {
	unanswered := &unansweredCommits{
		limit: max(1, c.MaxConns/2), health: metrics.health, cancelDelay: o.cancelDelay,
		conns: map[*serverConn]struct{}{},
	}
	changed := new(password)
	pool, err := openPool(ctx, c, o, unanswered, changed)
	if err != nil {
		return nil, err
	}
	log := queryLog{logger: c.Logger, slow: c.SlowQuery}
	d := &DB{
		pool: pool, sql: sql.OpenDB(connector{stdlib.GetPoolConnector(pool), log, metrics.health, o.admit}),
		policy: c.Retry, metrics: metrics, unanswered: unanswered, renewed: new(atomic.Int64), ofStandby: o.admit != nil,
		password: changed, portable: c.Profile == Portable,
	}
	d.sql.SetMaxIdleConns(0) // the pool keeps idle connections
	d.observers = append(observers{d.metrics}, c.Observers...)
	d.gorm, err = gorm.Open(postgres.New(postgres.Config{Conn: d.sql}), &gorm.Config{
		SkipDefaultTransaction:   true,
		DisableNestedTransaction: true,
		DisableAutomaticPing:     true, // its ping has no context; see [DB.Ping]
		TranslateError:           true,
		PrepareStmt:              false, // deadlocks with a bounded pool; pgx caches statements itself
		Logger:                   log,
	})
	if err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// maxUnpinged is how long a connection may be idle without a ping before its next use.
const maxUnpinged = time.Minute

// connectTimeout limits one attempt to connect, unless the URL sets a limit.
const connectTimeout = 5 * time.Second

func openPool(
	ctx context.Context, c Config, o poolOptions, unanswered *unansweredCommits, changed *password,
) (*pgxpool.Pool, error) {
	settings, err := pgurl.ParsePool(c.URL)
	if err != nil {
		return nil, errURL
	}
	settings.MaxConns = int32(c.MaxConns) //nolint:gosec // checked by configuration
	settings.ConnConfig.DefaultQueryExecMode = o.mode
	settings.ConnConfig.Tracer = tracer{}
	if settings.ConnConfig.RuntimeParams["application_name"] == "" {
		settings.ConnConfig.RuntimeParams["application_name"] = "omnirapeutic"
	}
	settings.ConnConfig.RuntimeParams["timezone"] = "UTC"
	if o.mode == pgx.QueryExecModeCacheStatement && c.Profile != Portable {
		// Without a better index, a small table is scanned. SSI then locks the whole
		// table, and transactions on different rows abort each other. Poolers in
		// transaction mode reject the parameter; there it is set for the role.
		settings.ConnConfig.RuntimeParams["enable_seqscan"] = "off"
		// A warning reports a commit that a failover may lose, see [serverConn].
		settings.ConnConfig.RuntimeParams["client_min_messages"] = "warning"
		settings.AfterConnect = setKeepAlive // behind a pooler it would affect the pooler's connection
	}
	if settings.ConnConfig.ConnectTimeout == 0 {
		settings.ConnConfig.ConnectTimeout = connectTimeout
	}
	// When one connection breaks, idle ones have often broken too. A retry therefore
	// pings the connection that it takes. A first attempt saves the round trip.
	settings.ShouldPing = func(ctx context.Context, p pgxpool.ShouldPingParams) bool {
		return p.IdleDuration > maxUnpinged || retried(ctx)
	}
	if o.admit == nil {
		settings.AfterRelease = isWritable
	}
	settings.ConnConfig.DialFunc = dialer.DialContext // for LISTEN connections; pooled connections use serverConn.dial
	settings.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
		unanswered.instrument(c)
		changed.apply(c)
		return nil
	}
	return pgxpool.NewWithConfig(ctx, settings)
}

// isWritable reports whether the connection can be kept. A session that began while its
// database was read-only remains read-only, so keeping it would fail writes after the
// database recovers.
func isWritable(c *pgx.Conn) bool {
	reported := c.PgConn().ParameterStatus("default_transaction_read_only") != "on" &&
		c.PgConn().ParameterStatus("in_hot_standby") != "on"
	return reported || c.PgConn().CustomData()[foundWritable] == true
}

// foundWritable marks connections whose server was asked, and accepts writes.
const foundWritable = "writable"

// askWritable asks the server whether it accepts writes, if the connection reports the contrary. Poolers repeat the
// values of their first server connection: pgbouncer 1.18 in front of a promoted standby reports in_hot_standby for
// as long as it runs.
func askWritable(ctx context.Context, c *pgx.Conn) (bool, error) {
	if isWritable(c) {
		return true, nil
	}
	results, err := c.PgConn().Exec(ctx,
		"SELECT 1 WHERE NOT pg_is_in_recovery() AND NOT current_setting('default_transaction_read_only')::bool").ReadAll()
	if err != nil || len(results) != 1 || len(results[0].Rows) != 1 {
		return false, err
	}
	c.PgConn().CustomData()[foundWritable] = true
	return true, nil
}

// replaceConnections replaces all connections and their prepared statements, because after a migration
// each statement would fail once on each connection. Connections in use are closed when they are
// returned. Of many concurrent calls, one replaces them.
func (d *DB) replaceConnections() {
	const minInterval = time.Second
	now, last := time.Now().UnixMilli(), d.renewed.Load()
	if now-last >= minInterval.Milliseconds() && d.renewed.CompareAndSwap(last, now) {
		d.pool.Reset()
	}
}

// Close closes all connections, including connections with an unanswered COMMIT.
func (d *DB) Close() {
	if d.standby != nil {
		d.standby.close()
	}
	d.unanswered.close()
	_ = d.sql.Close() // closes nothing by itself: the pool owns the connections
	d.pool.Close()
}

// Pool returns the connection pool, for COPY only. All other work runs in
// [Serializable], [Snapshot] or [ReadCommitted]. For LISTEN, use [DB.Listen].
func (d *DB) Pool() *pgxpool.Pool { return d.pool }

// Readers returns the number of goroutines that can divide long reading: one for each processor, up to
// the limit, on at most half of the connections. It is at least 1.
func (d *DB) Readers(limit int) int {
	const share = 2
	return max(1, min(runtime.GOMAXPROCS(0), int(d.pool.Stat().MaxConns())/share, limit))
}

// Metrics returns the metrics since Open.
func (d *DB) Metrics() *Metrics { return d.metrics }

// Ping checks that the database answers. The error is an *[UnavailableError].
func (d *DB) Ping(ctx context.Context) error {
	if err := d.pool.Ping(ctx); err != nil {
		return newUnavailableError("ping", err)
	}
	return nil
}
