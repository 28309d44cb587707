// Package dbtest gives each test a PostgreSQL database of its own.
//
// A test process starts one private server on first use, in memory if there is room,
// and migrates one template. Test databases are clones of it and take about ten
// milliseconds each. Tests can therefore run in parallel and need no manual setup.
package dbtest

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the owner's connections
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/datadir"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/portabletest"
	"omnirapeutic/platform/postgres"
	"omnirapeutic/platform/telemetry/logtest"
)

// Main runs a package's tests, then the final checks if all tests passed, and stops the
// server. The output of the tests and the server's log must hold no secrets and no
// health data; see logtest. Call it from TestMain.
func Main(m *testing.M, checks ...func() error) {
	code := m.Run()
	if code != 0 {
		checks = nil
	}
	for _, check := range append(checks, readServerLog, logtest.Err, nothingRefused) {
		if err := check(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	if err := stop(); err != nil {
		fmt.Fprintln(os.Stderr, "dbtest:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// Database is a fresh, migrated database.
type Database struct {
	AppURL   string // as the program's role; in the portable profile, through a proxy that refuses other features
	RoleURL  string // as the program's role, for SQL of a test
	OwnerURL string // as the tables' owner, with access to every organization: row level security applies to the owner too
	// MigrateURL is the owner's without a setting.
	MigrateURL string

	template *Template // template of the clone, or nil
}

var cluster = sync.OnceValues(start)

type shared struct {
	server *postgres.Server
	dir    string
	owner  *sql.DB             // connected to a database other than the template
	proxy  *portabletest.Proxy // in the portable profile; otherwise nil
}

// Profile returns the profile of the tests: that of OMNI_TEST_PROFILE, or PostgreSQL's.
func Profile() db.Profile {
	if os.Getenv("OMNI_TEST_PROFILE") == string(db.Portable) {
		return db.Portable
	}
	return db.PostgreSQL
}

// NeedsPostgreSQL skips a test of a feature that the portable profile does not use.
func NeedsPostgreSQL(t testing.TB, feature string) {
	t.Helper()
	if Profile() == db.Portable {
		t.Skip("the portable profile does not use " + feature)
	}
}

// nothingRefused returns what the proxy of the portable profile has refused.
func nothingRefused() error {
	if !used.Load() {
		return nil
	}
	s, err := cluster()
	if err != nil || s.proxy == nil || len(s.proxy.Refusals()) == 0 {
		return nil //nolint:nilerr // the tests have already failed
	}
	return fmt.Errorf("refused: %s", strings.Join(s.proxy.Refusals(), "\nrefused: "))
}

// through returns the URL for the program: in the portable profile, through the proxy.
func through(p *portabletest.Proxy, url string) string {
	if p == nil {
		return url
	}
	return p.URL(url)
}

const template = "template_migrated"

func start() (*shared, error) {
	dir, err := scratch()
	if err != nil {
		return nil, err
	}
	const fetching = 5 * time.Minute
	ctx, cancel := context.WithTimeout(context.Background(), fetching)
	defer cancel()
	server, err := postgres.Start(ctx, withMachineBinaries(postgres.Options{
		Dir: dir, Volatile: true,
		MaxConnections: 500,
	}))
	if err != nil {
		return nil, err
	}
	owner, err := sql.Open("pgx", server.OwnerURL(server.Database()))
	if err != nil {
		return nil, err
	}
	if _, err := owner.ExecContext(ctx, "CREATE DATABASE "+template); err != nil {
		return nil, err
	}
	proxy, err := refusing(server)
	if err != nil {
		return nil, err
	}
	migrator := db.Migrator{
		OwnerURL: through(proxy, server.OwnerURL(template)), AppRole: postgres.AppRole, Profile: Profile(),
	}
	return &shared{server, dir, owner, proxy}, migrator.Up(ctx)
}

// refusing returns the proxy of the portable profile, or nil.
func refusing(s *postgres.Server) (*portabletest.Proxy, error) {
	if Profile() != db.Portable {
		return nil, nil
	}
	return portabletest.Start(s.OwnerURL(s.Database()))
}

// Bin returns the folder of the PostgreSQL programs that tests use on this machine, for programs
// with their own data folder.
func Bin(t testing.TB) string {
	t.Helper()
	used.Store(true)
	s, err := cluster()
	require.NoError(t, err)
	return s.server.Bin()
}

// withMachineBinaries makes a server use the same binaries as the program: from OMNI_POSTGRES_BIN, the
// machine's own, or downloaded ones in the data folder. It downloads them unless
// OMNI_POSTGRES_FETCH is false.
func withMachineBinaries(o postgres.Options) postgres.Options {
	o.Bin = os.Getenv("OMNI_POSTGRES_BIN")
	o.NoFetch = os.Getenv("OMNI_POSTGRES_FETCH") == "false"
	data := os.Getenv("OMNI_DATA_DIR")
	if data == "" {
		// empty if unknown: then the server's own folder
		data, _ = datadir.Default(runtime.GOOS, os.Geteuid() == 0, os.Getenv)
	}
	if data != "" {
		o.Binaries = datadir.Binaries(data)
	}
	return o
}

// scratch creates a folder for the server: in memory if a gigabyte is free. It removes
// folders of killed test processes.
func scratch() (string, error) {
	base := os.TempDir()
	const memory = "/dev/shm"
	var room syscall.Statfs_t
	if syscall.Statfs(memory, &room) == nil && room.Bavail*uint64(room.Bsize) > 1<<30 {
		base = memory
	}
	pattern := "omnirapeutic-test-" + strconv.Itoa(os.Getuid()) + "-"
	old, err := filepath.Glob(filepath.Join(base, pattern+"*"))
	if err != nil {
		return "", err
	}
	for _, dir := range old {
		removeAbandoned(dir)
	}
	dir, err := os.MkdirTemp(base, pattern)
	if err != nil {
		return "", err
	}
	// If the tests run as root, the server runs as another user.
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", err
	}
	return filepath.Join(dir, "pg"), nil
}

// removeAbandoned removes the folder of a test process that no longer holds its lock.
func removeAbandoned(dir string) {
	f, err := os.Open(filepath.Join(dir, "pg", "lock"))
	if err != nil {
		return // does not exist yet, or was removed
	}
	defer f.Close()
	if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
		_ = os.RemoveAll(dir) // a failed removal is retried next time
	}
}

var used atomic.Bool

func stop() error {
	if !used.Load() {
		return nil
	}
	s, err := cluster()
	if err != nil {
		return nil // the tests have already failed
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if s.proxy != nil {
		s.proxy.Close()
	}
	return errors.Join(s.owner.Close(), s.server.Stop(ctx), os.RemoveAll(filepath.Dir(s.dir)))
}

// readServerLog checks PostgreSQL's log for forbidden content.
func readServerLog() error {
	if !used.Load() {
		return nil
	}
	s, err := cluster()
	if err == nil { // otherwise the tests have already failed
		text, err := os.ReadFile(filepath.Join(s.dir, "postgres.log"))
		logtest.Look("PostgreSQL", text)
		return err
	}
	return nil
}

// cloning serializes clones: PostgreSQL refuses to copy a template that has
// connections, and copies are quick.
var cloning sync.Mutex

var count atomic.Int64

// New clones a database. It is dropped when the test ends.
func New(t testing.TB) Database {
	t.Helper()
	return clone(t, template)
}

// NewEmpty creates a database without a schema. It is dropped when the test ends.
func NewEmpty(t testing.TB) Database {
	t.Helper()
	return clone(t, "template0")
}

func clone(t testing.TB, from string) Database {
	t.Helper()
	name := fmt.Sprintf("test_%d", count.Add(1))
	s := create(t, name, from)
	t.Cleanup(func() {
		_, err := s.owner.ExecContext(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)")
		require.NoError(t, err)
	})
	return of(s.server, s.proxy, name)
}

func create(t testing.TB, name, from string) *shared {
	t.Helper()
	used.Store(true)
	s, err := cluster()
	require.NoError(t, err)
	cloning.Lock()
	defer cloning.Unlock()
	_, err = s.owner.ExecContext(t.Context(), "CREATE DATABASE "+name+" TEMPLATE "+from+" STRATEGY FILE_COPY")
	require.NoError(t, err)
	return s
}

func of(s *postgres.Server, p *portabletest.Proxy, name string) Database {
	d := Database{
		AppURL: through(p, s.AppURL(name)), RoleURL: s.AppURL(name), OwnerURL: WithAllOrganizations(s.OwnerURL(name)),
		MigrateURL: s.OwnerURL(name),
	}
	logtest.SecretIn(d.AppURL)
	logtest.SecretIn(d.OwnerURL)
	return d
}

// Server starts a separate server with a migrated database, for tests that stop or kill
// it. Unless volatile, it is on disk and durable.
func Server(t testing.TB, volatile bool) *postgres.Server {
	t.Helper()
	dir, err := os.MkdirTemp("", "omnirapeutic-server-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	server, err := postgres.Start(t.Context(), withMachineBinaries(postgres.Options{
		Dir:      filepath.Join(dir, "pg"),
		Volatile: volatile,
	}))
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		require.NoError(t, server.Stop(ctx))
		require.NoError(t, os.RemoveAll(dir))
	})
	migrator := db.Migrator{OwnerURL: server.OwnerURL(server.Database()), AppRole: postgres.AppRole, Profile: Profile()}
	require.NoError(t, migrator.Up(t.Context()))
	return server
}

// Of returns the default database of a server.
func Of(s *postgres.Server) Database {
	return of(s, nil, s.Database())
}

// As returns the URL of the server's default database for another role.
func As(t testing.TB, s *postgres.Server, role, password string) string {
	t.Helper()
	u, err := url.Parse(s.AppURL(s.Database()))
	require.NoError(t, err)
	u.User = url.UserPassword(role, password)
	return u.String()
}

// Superuser returns the superuser's URL of the server's default database.
func Superuser(t testing.TB, s *postgres.Server) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(s.Dir(), "passwords.json"))
	require.NoError(t, err)
	var passwords map[string]string
	require.NoError(t, json.Unmarshal(content, &passwords))
	const role = "omni_superuser"
	return As(t, s, role, passwords[role])
}

// WithAllOrganizations gives sessions access to every organization, for SQL of a test: row level
// security applies to the owner too.
func WithAllOrganizations(url string) string { return url + "&options=-c%20omni.organizations%3D*" }

// Option changes how a database is opened.
type Option func(*db.Config)

// WithMaxConns sets the size of the pool, regardless of the environment.
func WithMaxConns(n int) Option { return func(c *db.Config) { c.MaxConns = n } }

// WithPolicy sets the retry policy.
func WithPolicy(p db.Policy) Option { return func(c *db.Config) { c.Retry = p } }

// Through redirects connections to another address, such as a proxy.
func Through(url func(string) string) Option { return func(c *db.Config) { c.URL = url(c.URL) } }

// Open opens the database as the program does. It is closed when the test ends. The
// pool has OMNI_TEST_MAX_CONNS connections, or 10. OMNI_TEST_MAX_ATTEMPTS replaces the
// maximum number of attempts of the default policy.
func (d Database) Open(t testing.TB, options ...Option) *db.DB {
	t.Helper()
	logger := logtest.Logger()
	c := db.Config{URL: d.AppURL, Profile: Profile(), MaxConns: 10, Logger: logger, Observers: []db.Observer{db.LogTo(logger)}}
	if text := os.Getenv("OMNI_TEST_MAX_CONNS"); text != "" {
		n, err := strconv.Atoi(text)
		require.NoError(t, err)
		c.MaxConns = n
	}
	if text := os.Getenv("OMNI_TEST_MAX_ATTEMPTS"); text != "" {
		n, err := strconv.Atoi(text)
		require.NoError(t, err)
		c.Retry, _ = db.Preset("default")
		c.Retry.MaxAttempts = n
	}
	for _, o := range options {
		o(&c)
	}
	opened, err := db.Open(t.Context(), c)
	require.NoError(t, err)
	t.Cleanup(opened.Close)
	return opened
}

// Open clones a database and opens it.
func Open(t testing.TB, options ...Option) *db.DB {
	t.Helper()
	return New(t).Open(t, options...)
}
