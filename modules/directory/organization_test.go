package directory_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/directory"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/permission"
	"omnirapeutic/platform/trail/trailtest"
)

func TestOrganization(t *testing.T) {
	t.Parallel()
	r := open(t)
	otherID := func() uuid.UUID {
		caller, err := identity.From(r.other)
		require.NoError(t, err)
		return caller.OrganizationID
	}()
	overseer := identity.With(t.Context(), identity.Caller{
		UserID: newID(), OrganizationID: r.ownID,
		Permissions: map[identity.Permission]identity.Scope{permission.OrganizationReadAll: identity.Organization},
	})
	all := directory.Page{Limit: 10}

	t.Run("its caller sees no other", func(t *testing.T) {
		list, err := r.Organizations(r.own, all)
		require.NoError(t, err)
		require.Len(t, list, 1)
		require.Equal(t, r.ownID, list[0].ID)
		_, err = r.Organization(r.own, r.ownID)
		require.NoError(t, err)
		_, err = r.Organization(r.own, otherID)
		require.ErrorIs(t, err, directory.ErrOrganizationNotFound)
	})
	t.Run("callers with organization:read-all see it", func(t *testing.T) {
		list, err := r.Organizations(overseer, all)
		require.NoError(t, err)
		require.Len(t, list, 2)
		list, err = r.Organizations(overseer, directory.Page{Limit: 10, After: &db.Position{ID: list[0].ID}})
		require.NoError(t, err)
		require.Len(t, list, 1)
		_, err = r.Organization(overseer, otherID)
		require.NoError(t, err)
		_, err = r.Organization(overseer, newID())
		require.ErrorIs(t, err, directory.ErrOrganizationNotFound)
	})
	t.Run("only its own callers change it", func(t *testing.T) {
		changed, err := r.ChangeOrganization(r.own, directory.OrganizationChange{ID: r.ownID, Name: patch.Set("Renamed")})
		require.NoError(t, err)
		require.Equal(t, 2, changed.Version)
		for _, id := range []uuid.UUID{otherID, newID()} {
			_, err = r.ChangeOrganization(r.own, directory.OrganizationChange{ID: id, Name: patch.Set("Taken over")})
			require.ErrorIs(t, err, directory.ErrOrganizationNotFound)
			_, err = r.ChangeOrganization(overseer, directory.OrganizationChange{ID: id, Name: patch.Set("Taken over")})
			require.ErrorIs(t, err, directory.ErrOrganizationNotFound)
		}
		kept, err := r.Organization(r.other, otherID)
		require.NoError(t, err)
		require.Equal(t, "Other Practice", kept.Name)
	})
	t.Run("it has settings for its appointments", func(t *testing.T) {
		before, err := r.Organization(r.own, r.ownID)
		require.NoError(t, err)
		require.Equal(t, 24, before.LateCancelHours)
		require.False(t, before.NoShowConsumes)
		changed, err := r.ChangeOrganization(r.own, directory.OrganizationChange{
			ID: r.ownID, LateCancelHours: patch.Set(0), NoShowConsumes: patch.Set(true),
		})
		require.NoError(t, err)
		require.Equal(t, before.Version+1, changed.Version)
		read, err := r.Organization(r.own, r.ownID)
		require.NoError(t, err)
		require.Equal(t, 0, read.LateCancelHours)
		require.True(t, read.NoShowConsumes)
	})
	t.Run("it has an existing time zone", func(t *testing.T) {
		for _, zone := range []string{
			"", "Local", "America/Atlantis", "../etc/passwd", "EST5", "localtime", "posixrules", "right/UTC",
			"posix/America/New_York",
		} {
			_, err := r.CreateOrganization(t.Context(), directory.NewOrganization{Name: "New", TimeZone: zone})
			require.Equal(t, []string{"timeZone"}, wrongFields(t, err), zone)
			_, err = r.ChangeOrganization(r.own, directory.OrganizationChange{ID: r.ownID, TimeZone: patch.Set(zone)})
			require.Equal(t, []string{"timeZone"}, wrongFields(t, err), zone)
		}
	})
	t.Run("it has a name, also without HTTP", func(t *testing.T) {
		for _, name := range []string{"", " ", "two\nlines", strings.Repeat("x", 101), "\xff"} {
			_, err := r.CreateOrganization(t.Context(), directory.NewOrganization{Name: name, TimeZone: "UTC"})
			require.Equal(t, []string{"name"}, wrongFields(t, err), "%q", name)
		}
	})
	t.Run("it is found by its name", func(t *testing.T) {
		found, err := r.OrganizationsNamed(t.Context(), "Other Practice")
		require.NoError(t, err)
		require.Len(t, found, 1)
		require.Equal(t, otherID, found[0].ID)
		found, err = r.OrganizationsNamed(t.Context(), "Other")
		require.NoError(t, err)
		require.Empty(t, found)
	})
	t.Run("its fields have no personal data", func(t *testing.T) {
		_, err := r.Organizations(t.Context(), all)
		require.ErrorIs(t, err, identity.ErrUnauthenticated)
		_, err = r.Organization(t.Context(), r.ownID)
		require.ErrorIs(t, err, identity.ErrUnauthenticated)
		_, err = r.Patients(t.Context(), directory.PatientFilter{Page: all})
		require.ErrorIs(t, err, identity.ErrUnauthenticated)
		_, err = r.CreatePatient(t.Context(), ada())
		require.ErrorIs(t, err, identity.ErrUnauthenticated)
	})
}

func TestTimeZoneIsCached(t *testing.T) {
	t.Parallel()
	r := open(t)
	zone := func() string {
		z, err := r.TimeZone(t.Context(), r.ownID)
		require.NoError(t, err)
		return z.String()
	}
	// behind changes the time zone as another process does.
	behind := func(name string) {
		another := directory.New(r.database, &trailtest.Recorder{}, doors{}, r.clock.now, newID)
		_, err := another.ChangeOrganization(r.own, directory.OrganizationChange{ID: r.ownID, TimeZone: patch.Set(name)})
		require.NoError(t, err)
	}

	require.Equal(t, "America/New_York", zone(), "it needs no caller")
	behind("America/Chicago")
	r.clock.advance(30*time.Second - 1)
	require.Equal(t, "America/New_York", zone(), "it is cached for 30 seconds")
	r.clock.advance(1)
	require.Equal(t, "America/Chicago", zone(), "and no longer")

	_, err := r.ChangeOrganization(r.own, directory.OrganizationChange{ID: r.ownID, TimeZone: patch.Set("America/Denver")})
	require.NoError(t, err)
	require.Equal(t, "America/Denver", zone(), "a change in this process removes it from the cache")

	_, err = r.TimeZone(t.Context(), newID())
	require.ErrorIs(t, err, directory.ErrOrganizationNotFound)
}

func TestTimeZoneJoinsTheTransaction(t *testing.T) {
	t.Parallel()
	r := open(t)
	// With every connection but one taken, a second one would wait for the first.
	_, err := db.Serializable(r.own, r.database, "test", func(ctx context.Context) (struct{}, error) {
		handle, err := db.Handle(ctx)
		if err != nil {
			return struct{}{}, err
		}
		// Only this transaction sees it before the commit.
		if err := handle.Exec("UPDATE organizations SET time_zone = 'Asia/Tokyo' WHERE id = ?", r.ownID).Error; err != nil {
			return struct{}{}, err
		}
		zone, err := r.TimeZone(ctx, r.ownID)
		if err == nil {
			require.Equal(t, "Asia/Tokyo", zone.String())
		}
		return struct{}{}, err
	})
	require.NoError(t, err)
}
