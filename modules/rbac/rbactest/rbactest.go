package rbac_test

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/outbox"
	"omnirapeutic/platform/telemetry/logtest"
	"omnirapeutic/platform/trail/trailtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

const password = "correct-horse-battery"

var secret = []byte("a secret of exactly 32 bytes, ok")

// desk is a service with an organization and its log.
type desk struct {
	place dbtest.Database
	*rbac.Service
	database     *db.DB
	clock        *clock
	organization uuid.UUID
	log          *bytes.Buffer
	logger       logrus.FieldLogger // of all instances
}

// clock is a clock that tests set.
type clock struct {
	mutex sync.Mutex
	at    time.Time
}

func (c *clock) now() time.Time {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.at = c.at.Add(d)
}

func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }

func open(t testing.TB) desk {
	t.Helper()
	place := dbtest.New(t)
	d := desk{
		place: place, database: place.Open(t), log: &bytes.Buffer{},
		clock: &clock{at: time.Date(2026, time.March, 2, 15, 0, 0, 0, time.UTC)},
	}
	logger := logrus.New()
	logger.SetOutput(logtest.Writer("log", d.log))
	d.logger = logger
	d.Service = d.instance(d.database)
	d.organization = d.found(t)
	return d
}

// instance starts the service on the database.
func (d desk) instance(database *db.DB) *rbac.Service {
	return rbac.New(d.dependencies(database))
}

func (d desk) dependencies(database *db.DB) rbac.Dependencies {
	return rbac.Dependencies{
		Database: database, Audit: &trailtest.Book{}, Events: unheard{}, Clock: d.clock.now, NewID: newID, Logger: d.logger,
		Secret: secret, Lifetime: 15 * time.Minute, Quick: true,
	}
}

// unheard discards events.
type unheard struct{}

// Publish implements rbac.Events.
func (unheard) Publish(context.Context, []outbox.Message) error { return nil }

// with starts the service with other secrets.
func (d desk) with(secret []byte, former ...[]byte) *rbac.Service {
	all := d.dependencies(d.database)
	all.Secret, all.Former = secret, former
	return rbac.New(all)
}

// found creates another organization.
func (d desk) found(t testing.TB) uuid.UUID {
	t.Helper()
	id := newID()
	_, err := db.Serializable(t.Context(), d.database, "test", func(ctx context.Context) (struct{}, error) {
		tx, err := db.Handle(ctx)
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, tx.Exec(`
			INSERT INTO organizations (id, name, time_zone, created_at, updated_at)
			VALUES (?, 'Practice', 'America/New_York', now(), now())`, id).Error
	})
	require.NoError(t, err)
	return id
}

func (d desk) hire(t testing.TB, email string, roles ...rbac.Role) rbac.User {
	t.Helper()
	u, err := d.CreateUser(t.Context(), d.organization, rbac.NewUser{Email: email, Name: "Somebody", Password: password, Roles: roles})
	require.NoError(t, err)
	return u
}

// exec executes SQL outside the program.
func (d desk) exec(t testing.TB, sql string, values ...any) {
	t.Helper()
	_, err := db.Serializable(t.Context(), d.database, "test", func(ctx context.Context) (struct{}, error) {
		tx, err := db.Handle(ctx)
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, tx.Exec(sql, values...).Error
	}, db.AllOrganizations())
	require.NoError(t, err)
}

// wrongFields returns the paths of the invalid fields of an error.
func wrongFields(t testing.TB, err error) []string {
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

func (d desk) sweep(t testing.TB) {
	t.Helper()
	_, err := d.Sweep(t.Context())
	require.NoError(t, err)
}

// read reads a column outside the program.
func (d desk) read(t testing.TB, into any, sql string) error {
	t.Helper()
	_, err := db.Snapshot(t.Context(), d.database, "test", func(ctx context.Context) (struct{}, error) {
		tx, err := db.Handle(ctx)
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, tx.Raw(sql).Scan(into).Error
	}, db.AllOrganizations())
	return err
}
