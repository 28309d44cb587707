// Package rbactest gives tests of access control an organization on a database of its own.
package rbactest

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/access"
	"omnirapeutic/modules/rbac/revocation"
	"omnirapeutic/modules/rbac/session"
	"omnirapeutic/modules/rbac/signin"
	"omnirapeutic/modules/rbac/user"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/jobs"
	"omnirapeutic/platform/outbox"
	"omnirapeutic/platform/telemetry/logtest"
	"omnirapeutic/platform/trail"
	"omnirapeutic/platform/trail/trailtest"
)

// Soon is the time limit for expected changes, longer than any of them takes.
const Soon = 20 * time.Second

// Password is the password of all users.
const Password = "correct-horse-battery"

// Secret signs access tokens.
const Secret = "a secret of exactly 32 bytes, ok" //nolint:gosec // a secret of tests only

// Practice is an organization, the services of access control and their log.
type Practice struct {
	*access.Access

	Server       dbtest.Database
	Database     *db.DB
	Clock        *Clock
	Organization uuid.UUID
	Log          *bytes.Buffer
	Logger       logrus.FieldLogger // of all instances
}

// Clock is a clock that tests set.
type Clock struct {
	mutex sync.Mutex
	at    time.Time
}

// Now returns the time of the clock.
func (c *Clock) Now() time.Time {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.at
}

// Advance sets the clock forward.
func (c *Clock) Advance(d time.Duration) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.at = c.at.Add(d)
}

// NewID returns a new id.
func NewID() uuid.UUID { return uuid.Must(uuid.NewV7()) }

// Open returns a practice.
func Open(t testing.TB) Practice {
	t.Helper()
	server := dbtest.New(t)
	p := Practice{
		Server: server, Database: server.Open(t), Log: &bytes.Buffer{},
		Clock: &Clock{at: time.Date(2026, time.March, 2, 15, 0, 0, 0, time.UTC)},
	}
	logger := logrus.New()
	logger.SetOutput(logtest.Writer("log", p.Log))
	p.Logger = logger
	p.Access = p.Instance(p.Database)
	p.Organization = p.AddOrganization(t)
	return p
}

// Instance starts the services on the database.
func (p Practice) Instance(database *db.DB) *access.Access {
	return access.New(p.Dependencies(database))
}

// Dependencies returns the dependencies of an instance on the database.
func (p Practice) Dependencies(database *db.DB) access.Dependencies {
	return access.Dependencies{
		Database: database, Audit: &trailtest.Recorder{}, Events: noEvents{}, Clock: p.Clock.Now, NewID: NewID, Logger: p.Logger,
		Directory: directory{}, Revocations: revocation.New(database, p.Clock.Now, p.Logger),
		Secret: []byte(Secret), Lifetime: 15 * time.Minute, Quick: true,
	}
}

// WithSecrets starts the services with other secrets.
func (p Practice) WithSecrets(secret []byte, former ...[]byte) *access.Access {
	d := p.Dependencies(p.Database)
	d.Secret, d.Former = secret, former
	return access.New(d)
}

// SecondInstance returns another instance on the same database.
func (p Practice) SecondInstance(t testing.TB) Practice {
	t.Helper()
	p.Database = p.Server.Open(t)
	p.Access = p.Instance(p.Database)
	return p
}

// Run loads the revocations of other instances until the test ends.
func (p Practice) Run(t testing.TB) Practice {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	require.NoError(t, p.Revocations.LoadRevocations(ctx))
	scheduler := jobs.New(nil, uuid.New(), logtest.Logger(), nil, prometheus.NewRegistry(), jobs.Job{
		Name:        "load-revocations",
		Every:       time.Second,
		Run:         func(ctx context.Context) (int64, error) { return 0, p.Revocations.LoadRevocations(ctx) },
		PerInstance: true,
		Wake:        p.Revocations.Announced(),
	})
	var running sync.WaitGroup
	running.Go(func() { p.Revocations.Listen(ctx) })
	running.Go(func() { scheduler.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return p
}

// noEvents discards events.
type noEvents struct{}

// Publish implements [outbox.Publisher].
func (noEvents) Publish(context.Context, []outbox.Message) error { return nil }

// directory reads organizations and practitioners.
type directory struct{}

// Organizations implements [rbac.Directory].
func (directory) Organizations(ctx context.Context, ids []uuid.UUID) (found []rbac.Organization, err error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	err = tx.Raw(`
		SELECT id, name, disabled FROM organizations WHERE id = ANY ($1) ORDER BY lower(name), id`,
		db.UUIDs(ids)).Scan(&found).Error
	return found, err
}

// PractitionerExists implements [rbac.Directory].
func (directory) PractitionerExists(ctx context.Context, id uuid.UUID) (exists bool, err error) {
	tx, organization, err := db.Tenant(ctx)
	if err != nil {
		return false, err
	}
	err = tx.Raw("SELECT EXISTS (SELECT FROM practitioners WHERE organization_id = ? AND id = ?)", organization, id).
		Scan(&exists).Error
	return exists, err
}

// AddOrganization creates another organization.
func (p Practice) AddOrganization(t testing.TB) uuid.UUID {
	t.Helper()
	id := NewID()
	p.Exec(t, `
		INSERT INTO organizations (id, name, time_zone, created_at, updated_at)
		VALUES (?, 'Practice', 'America/New_York', now(), now())`, id)
	return id
}

// AddUser creates a user with the [Password].
func (p Practice) AddUser(t testing.TB, email string, roles ...rbac.Role) rbac.User {
	t.Helper()
	u, err := p.Users.Create(t.Context(), p.Organization,
		user.NewUser{Email: email, Name: "Test User", Password: Password, Roles: roles})
	require.NoError(t, err)
	return u
}

// SignIn signs a user in.
func (p Practice) SignIn(t testing.TB, email string) session.SignedIn {
	t.Helper()
	signed, err := p.SignIns.SignIn(t.Context(), signin.Request{Email: email, Password: Password})
	require.NoError(t, err)
	return signed
}

// As returns a context with the user as caller.
func (p Practice) As(t testing.TB, u rbac.User) context.Context {
	t.Helper()
	caller, err := p.Authenticate(t.Context(), p.SignIn(t, u.Email).Token)
	require.NoError(t, err)
	return identity.With(t.Context(), caller)
}

// RequireValid requires that an access token is valid.
func (p Practice) RequireValid(t testing.TB, token string) {
	t.Helper()
	_, err := p.Authenticate(t.Context(), token)
	require.NoError(t, err)
}

// RequireInvalid requires that an access token is refused.
func (p Practice) RequireInvalid(t testing.TB, token string) {
	t.Helper()
	caller, err := p.Authenticate(t.Context(), token)
	require.ErrorIs(t, err, identity.ErrUnauthenticated)
	require.Zero(t, caller)
}

// RunSweep removes outdated rows.
func (p Practice) RunSweep(t testing.TB) {
	t.Helper()
	_, err := p.Sweep(t.Context())
	require.NoError(t, err)
}

// Exec executes SQL outside the services.
func (p Practice) Exec(t testing.TB, sql string, values ...any) {
	t.Helper()
	_, err := db.Serializable(t.Context(), p.Database, "test", func(ctx context.Context) (struct{}, error) {
		tx, err := db.Handle(ctx)
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, tx.Exec(sql, values...).Error
	}, db.AllOrganizations())
	require.NoError(t, err)
}

// Read reads a column outside the services.
func (p Practice) Read(t testing.TB, into any, sql string) error {
	t.Helper()
	_, err := db.Snapshot(t.Context(), p.Database, "test", func(ctx context.Context) (struct{}, error) {
		tx, err := db.Handle(ctx)
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, tx.Raw(sql).Scan(into).Error
	}, db.AllOrganizations())
	return err
}

// From returns a context of a connection from the network address.
func From(t testing.TB, address string) context.Context {
	t.Helper()
	return trail.WithAddress(t.Context(), address)
}

// InvalidFields returns the paths of the invalid fields of an error.
func InvalidFields(t testing.TB, err error) []string {
	t.Helper()
	require.ErrorIs(t, err, fault.ErrInvalid)
	f, ok := fault.From(err)
	require.True(t, ok)
	var paths []string
	for _, field := range f.Details().(fault.Fields).Errors {
		paths = append(paths, field.Field)
	}
	return paths
}

// ChangeAndRevoke changes a user by SQL and revokes their sessions, as use cases do. If fail is set,
// the transaction fails with [identity.ErrForbidden].
func (p Practice) ChangeAndRevoke(t testing.TB, u rbac.User, sql string, fail bool) error {
	t.Helper()
	_, err := db.Serializable(t.Context(), p.Database, "test", func(ctx context.Context) (struct{}, error) {
		tx, err := db.Handle(ctx)
		if err != nil {
			return struct{}{}, err
		}
		if err := tx.Exec(sql, u.ID).Error; err != nil {
			return struct{}{}, err
		}
		if _, err := p.Revocations.RevokeUser(ctx, u.OrganizationID, u.ID); err != nil || !fail {
			return struct{}{}, err
		}
		return struct{}{}, identity.ErrForbidden
	}, db.AllOrganizations())
	return err
}
