package rbac_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
)

// as returns a context with the user as caller.
func (d desk) as(t testing.TB, u rbac.User) context.Context {
	t.Helper()
	signed, err := d.SignIn(t.Context(), rbac.SignInRequest{Email: u.Email, Password: password})
	require.NoError(t, err)
	caller, err := d.Authenticate(t.Context(), signed.Token)
	require.NoError(t, err)
	return identity.With(t.Context(), caller)
}

var reads = []identity.Permission{"patient:read", "authorization:read"}

func TestAPIKey(t *testing.T) {
	t.Parallel()
	d := open(t)
	maker := d.hire(t, "ada@example.test", rbac.Admin)
	admin := d.as(t, maker)
	inAnHour := d.clock.now().Add(time.Hour)

	t.Run("it authenticates as itself, with its permissions", func(t *testing.T) {
		key, text, err := d.CreateKey(admin, rbac.NewAPIKey{Name: "Billing system", Permissions: reads})
		require.NoError(t, err)
		caller, err := d.Authenticate(t.Context(), text)
		require.NoError(t, err)
		require.Equal(t, identity.Caller{
			UserID: key.ID, Kind: identity.Machine, OrganizationID: d.organization,
			Permissions: map[identity.Permission]identity.Scope{"patient:read": identity.Organization, "authorization:read": identity.Organization},
			Until:       d.clock.now().Add(15 * time.Minute),
		}, caller)
		require.Equal(t, text[:len(key.Begins)], key.Begins)
		var stored string
		require.NoError(t, d.read(t, &stored, "SELECT string_agg(k::text, ' ') FROM api_keys k"))
		require.Contains(t, stored, key.ID.String())
		require.NotContains(t, stored, text)
		require.NotContains(t, stored, text[len(key.Begins):])
	})
	t.Run("the creator must hold its permissions, and it cannot hold those for people", func(t *testing.T) {
		fewer := map[identity.Permission]identity.Scope{}
		for _, p := range rbac.Admin.Permissions() {
			if p != "payer:change" {
				fewer[p] = identity.Organization
			}
		}
		_, err := d.ChangePermissionSet(admin, rbac.PermissionSetChange{Role: rbac.Admin, Held: fewer})
		require.NoError(t, err)
		_, _, err = d.CreateKey(admin, rbac.NewAPIKey{Name: "x", Permissions: []identity.Permission{"patient:read", "payer:change"}})
		require.ErrorIs(t, err, rbac.ErrBeyondOwn)
		f, _ := fault.From(err)
		require.Equal(t, rbac.Excess{Exceeds: "payer:change"}, f.Details())
		require.NoError(t, d.RestorePermissionSet(admin, rbac.Admin, ""))
		former := d.hire(t, "former@example.test", rbac.Admin)
		stale := d.as(t, former)
		d.exec(t, "UPDATE user_roles SET role = 'SCHEDULER' WHERE user_id = ?", former.ID)
		_, _, err = d.CreateKey(stale, rbac.NewAPIKey{Name: "x", Permissions: []identity.Permission{"patient:read"}})
		require.ErrorIs(t, err, identity.ErrForbidden, "the current permissions decide")
		for field, n := range map[string]rbac.NewAPIKey{
			"permissions":    {},
			"permissions[0]": {Permissions: []identity.Permission{"user:grant"}},
			"permissions[1]": {Permissions: []identity.Permission{"patient:read", "patient:read"}},
			"permissions[2]": {Permissions: []identity.Permission{"patient:read", "authorization:read", "patient:everything"}},
			"expiresAt":      {Permissions: reads, ExpiresAt: new(d.clock.now())},
		} {
			_, _, err := d.CreateKey(admin, n)
			require.Equal(t, []string{field}, wrongFields(t, err))
		}
	})
	t.Run("it cannot create keys and is not a user", func(t *testing.T) {
		key, text, err := d.CreateKey(admin, rbac.NewAPIKey{Name: "x", Permissions: reads})
		require.NoError(t, err)
		caller, err := d.Authenticate(t.Context(), text)
		require.NoError(t, err)
		machine := identity.With(t.Context(), caller)
		_, _, err = d.CreateKey(machine, rbac.NewAPIKey{Name: "x", Permissions: reads})
		require.ErrorIs(t, err, identity.ErrPeopleOnly)
		require.ErrorIs(t, d.RevokeKey(machine, key.ID), identity.ErrPeopleOnly)
		_, err = d.Me(machine)
		require.ErrorIs(t, err, identity.ErrPeopleOnly)
	})
	t.Run("it expires, and its streams end", func(t *testing.T) {
		_, text, err := d.CreateKey(admin, rbac.NewAPIKey{Name: "x", Permissions: reads, ExpiresAt: &inAnHour})
		require.NoError(t, err)
		d.clock.advance(50 * time.Minute)
		caller, err := d.Authenticate(t.Context(), text)
		require.NoError(t, err)
		require.WithinDuration(t, inAnHour, caller.Until, 0)
		d.clock.advance(10 * time.Minute)
		_, err = d.Authenticate(t.Context(), text)
		require.ErrorIs(t, err, identity.ErrUnauthenticated)
	})
	t.Run("it can be revoked, once, and stays on the list", func(t *testing.T) {
		key, text, err := d.CreateKey(admin, rbac.NewAPIKey{Name: "x", Permissions: reads})
		require.NoError(t, err)
		require.NoError(t, d.RevokeKey(admin, key.ID))
		_, err = d.Authenticate(t.Context(), text)
		require.ErrorIs(t, err, identity.ErrUnauthenticated)
		revoked, err := d.Key(admin, key.ID)
		require.NoError(t, err)
		require.WithinDuration(t, d.clock.now(), *revoked.RevokedAt, 0)
		require.Equal(t, maker.ID, *revoked.RevokedBy)
		d.clock.advance(time.Minute)
		require.NoError(t, d.RevokeKey(admin, key.ID))
		again, err := d.Key(admin, key.ID)
		require.NoError(t, err)
		require.Equal(t, revoked, again)
		all, err := d.Keys(admin, uuid.Nil, uuid.Nil, 100)
		require.NoError(t, err)
		require.Contains(t, all, revoked)
	})
	t.Run("other organizations cannot find it", func(t *testing.T) {
		key, _, err := d.CreateKey(admin, rbac.NewAPIKey{Name: "x", Permissions: reads})
		require.NoError(t, err)
		elsewhere := identity.With(t.Context(), identity.Caller{UserID: maker.ID, OrganizationID: d.found(t)})
		_, err = d.Key(elsewhere, key.ID)
		require.ErrorIs(t, err, rbac.ErrKeyNotFound)
		require.ErrorIs(t, d.RevokeKey(elsewhere, key.ID), rbac.ErrKeyNotFound)
		none, err := d.Keys(elsewhere, uuid.Nil, uuid.Nil, 100)
		require.NoError(t, err)
		require.Empty(t, none)
		_, err = d.Keys(t.Context(), uuid.Nil, uuid.Nil, 100)
		require.ErrorIs(t, err, identity.ErrUnauthenticated)
	})
}

func TestLastUseOfAPIKeysIsStored(t *testing.T) {
	t.Parallel()
	d := open(t)
	admin := d.as(t, d.hire(t, "ada@example.test", rbac.Admin))
	key, text, err := d.CreateKey(admin, rbac.NewAPIKey{Name: "x", Permissions: reads})
	require.NoError(t, err)
	lastUsed := func() *time.Time {
		found, err := d.Key(admin, key.ID)
		require.NoError(t, err)
		return found.LastUsedAt
	}
	for range 3 {
		d.clock.advance(time.Second)
		_, err := d.Authenticate(t.Context(), text)
		require.NoError(t, err)
	}
	require.Nil(t, lastUsed(), "uses are collected, not written immediately")
	used := d.clock.now()
	d.clock.advance(time.Hour)

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = d.KeepKeyUses(ended)
	require.Error(t, err, "failed writes are repeated")
	n, err := d.KeepKeyUses(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
	require.WithinDuration(t, used, *lastUsed(), 0)

	d.exec(t, "UPDATE api_keys SET last_used_at = ?", used.Add(2*time.Hour))
	_, err = d.Authenticate(t.Context(), text)
	require.NoError(t, err)
	_, err = d.KeepKeyUses(t.Context())
	require.NoError(t, err)
	require.WithinDuration(t, used.Add(2*time.Hour), *lastUsed(), 0, "another instance has stored a later use")
}

func TestAPIKeysAreCachedUntilTheyAreRevoked(t *testing.T) {
	t.Parallel()
	first := open(t).run(t)
	second := first.secondInstance(t).run(t)
	admin := first.as(t, first.hire(t, "ada@example.test", rbac.Admin))
	key, text, err := first.CreateKey(admin, rbac.NewAPIKey{Name: "x", Permissions: reads})
	require.NoError(t, err)
	other, otherText, err := first.CreateKey(admin, rbac.NewAPIKey{Name: "y", Permissions: reads})
	require.NoError(t, err)
	for _, d := range []desk{first, second} {
		d.requireIn(t, text)
		d.requireIn(t, otherText)
	}
	listens, stop := second.While(t.Context(), identity.Caller{UserID: key.ID, Kind: identity.Machine, OrganizationID: first.organization})
	defer stop()

	require.NoError(t, first.RevokeKey(admin, key.ID))
	first.requireOut(t, text)
	require.Eventually(t, func() bool {
		_, err := second.Authenticate(t.Context(), text)
		return err != nil
	}, soon, time.Millisecond, "the other instance has loaded the revocation")
	second.requireOut(t, text)
	require.ErrorIs(t, listens.Err(), context.Canceled, "its streams end")

	// The stored hash no longer matches, but the key is cached.
	first.exec(t, "UPDATE api_keys SET hash = sha256('another') WHERE id = ?", other.ID)
	first.requireIn(t, otherText)
	first.clock.advance(15 * time.Minute)
	first.requireOut(t, otherText)
}
