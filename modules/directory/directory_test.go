package directory_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/directory"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/trail/trailtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// register is a directory with two organizations, in its own database.
type register struct {
	*directory.Service
	database   *db.DB
	trail      *trailtest.Recorder
	clock      *clock
	own, other context.Context //nolint:containedctx // the callers of the two organizations
	ownID      uuid.UUID
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

func open(t testing.TB, options ...dbtest.Option) register {
	t.Helper()
	r := register{
		database: dbtest.Open(t, options...), trail: &trailtest.Recorder{},
		clock: &clock{at: time.Date(2026, time.March, 2, 15, 0, 0, 123_456_789, time.UTC)},
	}
	r.Service = directory.New(r.database, r.trail, doors{}, r.clock.now, newID)
	r.ownID, r.own = r.found(t, "Own Practice")
	_, r.other = r.found(t, "Other Practice")
	return r
}

// doors implements directory.Access without any effect.
type doors struct{}

func (doors) SetOrganizationDisabled(context.Context, uuid.UUID, bool, int) error { return nil }

// found creates an organization and returns it with a caller.
func (r register) found(t testing.TB, name string) (uuid.UUID, context.Context) {
	t.Helper()
	o, err := r.CreateOrganization(t.Context(), directory.NewOrganization{Name: name, TimeZone: "America/New_York"})
	require.NoError(t, err)
	return o.ID, identity.With(t.Context(), identity.Caller{UserID: newID(), OrganizationID: o.ID})
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
