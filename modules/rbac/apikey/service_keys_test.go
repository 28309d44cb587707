package apikey_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/apikey"
	"omnirapeutic/modules/rbac/permissionset"
	"omnirapeutic/modules/rbac/rbactest"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
)

var reads = []identity.Permission{"patient:read", "authorization:read"}

func TestAPIKey(t *testing.T) {
	t.Parallel()
	d := open(t)
	maker := d.AddUser(t, "ada@example.test", rbac.Admin)
	admin := d.As(t, maker)
	inAnHour := d.Clock.Now().Add(time.Hour)

	t.Run("it authenticates as itself, with its permissions", func(t *testing.T) {
		key, text, err := d.APIKeys.Create(admin, apikey.NewKey{Name: "Billing system", Permissions: reads})
		require.NoError(t, err)
		caller, err := d.Authenticate(t.Context(), text)
		require.NoError(t, err)
		require.Equal(t, identity.Caller{
			UserID: key.ID, Kind: identity.Machine, OrganizationID: d.Organization,
			Permissions: map[identity.Permission]identity.Scope{"patient:read": identity.Organization, "authorization:read": identity.Organization},
			Until:       d.Clock.Now().Add(15 * time.Minute),
		}, caller)
		require.Equal(t, text[:len(key.Prefix)], key.Prefix)
		var stored string
		require.NoError(t, d.Read(t, &stored, "SELECT string_agg(k::text, ' ') FROM api_keys k"))
		require.Contains(t, stored, key.ID.String())
		require.NotContains(t, stored, text)
		require.NotContains(t, stored, text[len(key.Prefix):])
	})
	t.Run("the creator must hold its permissions, and it cannot hold those for people", func(t *testing.T) {
		fewer := map[identity.Permission]identity.Scope{}
		for _, p := range rbac.Admin.Permissions() {
			if p != "payer:change" {
				fewer[p] = identity.Organization
			}
		}
		_, err := d.PermissionSets.Change(admin, permissionset.Change{Role: rbac.Admin, Held: fewer})
		require.NoError(t, err)
		_, _, err = d.APIKeys.Create(admin, apikey.NewKey{Name: "x", Permissions: []identity.Permission{"patient:read", "payer:change"}})
		require.ErrorIs(t, err, identity.ErrBeyondOwn)
		f, _ := fault.From(err)
		require.Equal(t, identity.Excess{Exceeds: "payer:change"}, f.Details())
		require.NoError(t, d.PermissionSets.Restore(admin, rbac.Admin, ""))
		former := d.AddUser(t, "former@example.test", rbac.Admin)
		stale := d.As(t, former)
		d.Exec(t, "UPDATE user_roles SET role = 'SCHEDULER' WHERE user_id = ?", former.ID)
		_, _, err = d.APIKeys.Create(stale, apikey.NewKey{Name: "x", Permissions: []identity.Permission{"patient:read"}})
		require.ErrorIs(t, err, identity.ErrForbidden, "the current permissions decide")
		for field, n := range map[string]apikey.NewKey{
			"permissions":    {},
			"permissions[0]": {Permissions: []identity.Permission{"user:grant"}},
			"permissions[1]": {Permissions: []identity.Permission{"patient:read", "patient:read"}},
			"permissions[2]": {Permissions: []identity.Permission{"patient:read", "authorization:read", "patient:everything"}},
			"expiresAt":      {Permissions: reads, ExpiresAt: new(d.Clock.Now())},
		} {
			_, _, err := d.APIKeys.Create(admin, n)
			require.Equal(t, []string{field}, rbactest.InvalidFields(t, err))
		}
	})
	t.Run("it cannot create keys and is not a user", func(t *testing.T) {
		key, text, err := d.APIKeys.Create(admin, apikey.NewKey{Name: "x", Permissions: reads})
		require.NoError(t, err)
		caller, err := d.Authenticate(t.Context(), text)
		require.NoError(t, err)
		machine := identity.With(t.Context(), caller)
		_, _, err = d.APIKeys.Create(machine, apikey.NewKey{Name: "x", Permissions: reads})
		require.ErrorIs(t, err, identity.ErrPeopleOnly)
		require.ErrorIs(t, d.APIKeys.Revoke(machine, key.ID), identity.ErrPeopleOnly)
		_, err = d.Sessions.Me(machine)
		require.ErrorIs(t, err, identity.ErrPeopleOnly)
	})
	t.Run("it expires, and its streams end", func(t *testing.T) {
		_, text, err := d.APIKeys.Create(admin, apikey.NewKey{Name: "x", Permissions: reads, ExpiresAt: &inAnHour})
		require.NoError(t, err)
		d.Clock.Advance(50 * time.Minute)
		caller, err := d.Authenticate(t.Context(), text)
		require.NoError(t, err)
		require.WithinDuration(t, inAnHour, caller.Until, 0)
		d.Clock.Advance(10 * time.Minute)
		_, err = d.Authenticate(t.Context(), text)
		require.ErrorIs(t, err, identity.ErrUnauthenticated)
	})
	t.Run("it can be revoked, once, and stays on the list", func(t *testing.T) {
		key, text, err := d.APIKeys.Create(admin, apikey.NewKey{Name: "x", Permissions: reads})
		require.NoError(t, err)
		require.NoError(t, d.APIKeys.Revoke(admin, key.ID))
		_, err = d.Authenticate(t.Context(), text)
		require.ErrorIs(t, err, identity.ErrUnauthenticated)
		revoked, err := d.APIKeys.Key(admin, key.ID)
		require.NoError(t, err)
		require.WithinDuration(t, d.Clock.Now(), *revoked.RevokedAt, 0)
		require.Equal(t, maker.ID, *revoked.RevokedBy)
		d.Clock.Advance(time.Minute)
		require.NoError(t, d.APIKeys.Revoke(admin, key.ID))
		again, err := d.APIKeys.Key(admin, key.ID)
		require.NoError(t, err)
		require.Equal(t, revoked, again)
		all, err := d.APIKeys.List(admin, uuid.Nil, uuid.Nil, 100)
		require.NoError(t, err)
		require.Contains(t, all, revoked)
	})
	t.Run("other organizations cannot find it", func(t *testing.T) {
		key, _, err := d.APIKeys.Create(admin, apikey.NewKey{Name: "x", Permissions: reads})
		require.NoError(t, err)
		elsewhere := identity.With(t.Context(), identity.Caller{UserID: maker.ID, OrganizationID: d.AddOrganization(t)})
		_, err = d.APIKeys.Key(elsewhere, key.ID)
		require.ErrorIs(t, err, apikey.ErrNotFound)
		require.ErrorIs(t, d.APIKeys.Revoke(elsewhere, key.ID), apikey.ErrNotFound)
		none, err := d.APIKeys.List(elsewhere, uuid.Nil, uuid.Nil, 100)
		require.NoError(t, err)
		require.Empty(t, none)
		_, err = d.APIKeys.List(t.Context(), uuid.Nil, uuid.Nil, 100)
		require.ErrorIs(t, err, identity.ErrUnauthenticated)
	})
}

func TestLastUseOfAPIKeysIsStored(t *testing.T) {
	t.Parallel()
	d := open(t)
	admin := d.As(t, d.AddUser(t, "ada@example.test", rbac.Admin))
	key, text, err := d.APIKeys.Create(admin, apikey.NewKey{Name: "x", Permissions: reads})
	require.NoError(t, err)
	lastUsed := func() *time.Time {
		found, err := d.APIKeys.Key(admin, key.ID)
		require.NoError(t, err)
		return found.LastUsedAt
	}
	for range 3 {
		d.Clock.Advance(time.Second)
		_, err := d.Authenticate(t.Context(), text)
		require.NoError(t, err)
	}
	require.Nil(t, lastUsed(), "uses are collected, not written immediately")
	used := d.Clock.Now()
	d.Clock.Advance(time.Hour)

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = d.APIKeys.WriteUses(ended)
	require.Error(t, err, "failed writes are repeated")
	n, err := d.APIKeys.WriteUses(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
	require.WithinDuration(t, used, *lastUsed(), 0)

	d.Exec(t, "UPDATE api_keys SET last_used_at = ?", used.Add(2*time.Hour))
	_, err = d.Authenticate(t.Context(), text)
	require.NoError(t, err)
	_, err = d.APIKeys.WriteUses(t.Context())
	require.NoError(t, err)
	require.WithinDuration(t, used.Add(2*time.Hour), *lastUsed(), 0, "another instance has stored a later use")
}

func TestAPIKeysAreCachedUntilTheyAreRevoked(t *testing.T) {
	t.Parallel()
	first := rbactest.Open(t).Run(t)
	second := first.SecondInstance(t).Run(t)
	admin := first.As(t, first.AddUser(t, "ada@example.test", rbac.Admin))
	key, text, err := first.APIKeys.Create(admin, apikey.NewKey{Name: "x", Permissions: reads})
	require.NoError(t, err)
	other, otherText, err := first.APIKeys.Create(admin, apikey.NewKey{Name: "y", Permissions: reads})
	require.NoError(t, err)
	for _, d := range []rbactest.Practice{first, second} {
		d.RequireValid(t, text)
		d.RequireValid(t, otherText)
	}
	caller := identity.Caller{UserID: key.ID, Kind: identity.Machine, OrganizationID: first.Organization}
	listens, stop := second.Revocations.ContextUntilRevoked(t.Context(), caller)
	defer stop()

	require.NoError(t, first.APIKeys.Revoke(admin, key.ID))
	first.RequireInvalid(t, text)
	require.Eventually(t, func() bool {
		_, err := second.Authenticate(t.Context(), text)
		return err != nil
	}, rbactest.Soon, time.Millisecond, "the other instance has loaded the revocation")
	second.RequireInvalid(t, text)
	require.ErrorIs(t, listens.Err(), context.Canceled, "its streams end")

	// The stored hash no longer matches, but the key is cached.
	first.Exec(t, "UPDATE api_keys SET hash = sha256('another') WHERE id = ?", other.ID)
	first.RequireValid(t, otherText)
	first.Clock.Advance(15 * time.Minute)
	first.RequireInvalid(t, otherText)
}
