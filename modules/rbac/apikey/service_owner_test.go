package apikey_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/access"
	"omnirapeutic/modules/rbac/apikey"
	"omnirapeutic/modules/rbac/permissionset"
	"omnirapeutic/modules/rbac/rbactest"
	"omnirapeutic/modules/rbac/user"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/trail"
	"omnirapeutic/platform/trail/trailtest"
)

// keyed is a practice with a user who owns an API key.
type keyed struct {
	practice
	admin, owner context.Context
	boss, maker  rbac.User
	key          apikey.Key
	text         string
}

func openKeyed(t *testing.T) keyed {
	t.Helper()
	k := keyed{practice: open(t)}
	k.boss = k.AddUser(t, "boss@example.test", rbac.Admin)
	k.maker = k.AddUser(t, "maker@example.test", rbac.Admin)
	k.admin, k.owner = k.As(t, k.boss), k.As(t, k.maker)
	var err error
	k.key, k.text, err = k.APIKeys.Create(k.owner, apikey.NewKey{Name: "Billing system", Permissions: reads})
	require.NoError(t, err)
	return k
}

// disable disables the creator of the key.
func (k keyed) disable(heir *uuid.UUID) (user.Changed, error) {
	return k.Users.Change(k.admin, user.Change{ID: k.maker.ID, Disabled: patch.Set(true), APIKeyOwnerID: heir})
}

func TestAPIKeysEndWhenTheirOwnerIsDisabled(t *testing.T) {
	t.Parallel()
	k := openKeyed(t)
	_, others, err := k.APIKeys.Create(k.admin, apikey.NewKey{Name: "x", Permissions: reads})
	require.NoError(t, err)
	revoked, _, err := k.APIKeys.Create(k.owner, apikey.NewKey{Name: "y", Permissions: reads})
	require.NoError(t, err)
	require.NoError(t, k.APIKeys.Revoke(k.owner, revoked.ID))

	changed, err := k.disable(nil)
	require.NoError(t, err)
	require.Len(t, changed.APIKeys, 1)
	require.Equal(t, []any{k.key.ID, k.boss.ID}, []any{changed.APIKeys[0].ID, *changed.APIKeys[0].RevokedBy})
	k.RequireInvalid(t, k.text)
	k.RequireValid(t, others)
	_, err = k.Users.Change(k.admin, user.Change{ID: k.maker.ID, Disabled: patch.Set(false)})
	require.NoError(t, err)
	k.RequireInvalid(t, k.text)
}

func TestAPIKeysContinueUnderAnotherOwner(t *testing.T) {
	t.Parallel()
	k := openKeyed(t)
	auditor, technician := k.AddUser(t, "auditor@example.test", rbac.Auditor), k.AddUser(t, "technician@example.test", rbac.Technician)
	gone := k.AddUser(t, "gone@example.test", rbac.Admin)
	k.Exec(t, "UPDATE users SET status = 'DISABLED' WHERE id = ?", gone.ID)
	for name, heir := range map[string]uuid.UUID{
		"a user with fewer permissions": technician.ID, "a disabled user": gone.ID, "an unknown user": rbactest.NewID(),
		"themselves": k.maker.ID,
	} {
		_, err := k.disable(&heir)
		require.ErrorIs(t, err, fault.ErrInvalid, name)
		require.Equal(t, []string{"apiKeyOwnerId"}, rbactest.InvalidFields(t, err), name)
		k.RequireValid(t, k.text)
	}
	changed, err := k.disable(&auditor.ID)
	require.NoError(t, err)
	require.Len(t, changed.APIKeys, 1)
	require.Equal(t, auditor.ID, changed.APIKeys[0].OwnedBy)
	require.Nil(t, changed.APIKeys[0].RevokedAt)
	k.RequireValid(t, k.text)
	found, err := k.APIKeys.List(k.admin, auditor.ID, uuid.Nil, 10)
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.Equal(t, k.maker.ID, found[0].CreatedBy)
	none, err := k.APIKeys.List(k.admin, k.maker.ID, uuid.Nil, 10)
	require.NoError(t, err)
	require.Empty(t, none)
}

func TestAPIKeysThatExceedTheirOwnersPermissionsEnd(t *testing.T) {
	t.Parallel()
	k := openKeyed(t)
	_, payers, err := k.APIKeys.Create(k.owner, apikey.NewKey{Name: "x", Permissions: []identity.Permission{"payer:change"}})
	require.NoError(t, err)
	changed, err := k.Users.SetRoles(k.admin, user.RolesChange{ID: k.maker.ID, Roles: []rbac.Role{rbac.Scheduler}})
	require.NoError(t, err)
	require.Len(t, changed.APIKeys, 1)
	k.RequireInvalid(t, payers)
	k.RequireValid(t, k.text) // a scheduler reads patients and authorizations
	changed, err = k.Users.SetRoles(k.admin, user.RolesChange{ID: k.maker.ID, Roles: []rbac.Role{rbac.Technician}, APIKeyOwnerID: &k.boss.ID})
	require.NoError(t, err)
	require.Equal(t, k.boss.ID, changed.APIKeys[0].OwnedBy, "a technician may not read all of them")
	k.RequireValid(t, k.text)
}

// TestAPIKeysOfADisabledOwnerAreRefused: even if an earlier version or an SQL statement has
// disabled the owner.
func TestAPIKeysOfADisabledOwnerAreRefused(t *testing.T) {
	t.Parallel()
	k := openKeyed(t)
	k.Exec(t, "UPDATE api_keys SET owned_by = NULL")
	k.RequireValid(t, k.text)
	k.Exec(t, "UPDATE users SET status = 'DISABLED' WHERE id = ?", k.maker.ID)
	k.RequireInvalid(t, k.text)
	changed, err := k.disable(&k.boss.ID)
	require.NoError(t, err)
	require.Len(t, changed.APIKeys, 1)
	k.RequireValid(t, k.text)
}

func TestAPIKeysAreNotTransferredToOwnersWithFewerPermissions(t *testing.T) {
	t.Parallel()
	k := openKeyed(t)
	_, _, err := k.APIKeys.Create(k.owner, apikey.NewKey{Name: "x", Permissions: []identity.Permission{"audit:export"}})
	require.NoError(t, err)
	set := map[identity.Permission]identity.Scope{}
	for _, p := range rbac.Admin.Permissions() {
		if p != "audit:export" {
			set[p] = identity.Organization
		}
	}
	_, err = k.PermissionSets.Change(k.admin, permissionset.Change{Role: rbac.Admin, Held: set})
	require.NoError(t, err)
	_, err = k.disable(&k.boss.ID)
	require.ErrorIs(t, err, identity.ErrBeyondOwn)
	changed, err := k.disable(nil)
	require.NoError(t, err)
	require.Len(t, changed.APIKeys, 2, "ending them needs no further permission")
}

func TestAPIKeysExpire(t *testing.T) {
	t.Parallel()
	d := open(t)
	admin := d.As(t, d.AddUser(t, "ada@example.test", rbac.Admin))
	create := func(s *access.Access, end *time.Time) (apikey.Key, error) {
		key, _, err := s.APIKeys.Create(admin, apikey.NewKey{Name: "x", Permissions: reads, ExpiresAt: end})
		return key, err
	}
	const day = 24 * time.Hour
	in := func(days int) *time.Time { return new(d.Clock.Now().AddDate(0, 0, days)) }
	usual, err := create(d.Access, nil)
	require.NoError(t, err)
	require.WithinDuration(t, *in(365), *usual.ExpiresAt, 0)
	longest, err := create(d.Access, in(730))
	require.NoError(t, err)
	require.WithinDuration(t, *in(730), *longest.ExpiresAt, 0)
	_, err = create(d.Access, new(in(730).Add(time.Second)))
	require.Equal(t, []string{"expiresAt"}, rbactest.InvalidFields(t, err))

	configured := d.Dependencies(d.Database)
	configured.UsualKey, configured.LongestKey = 30*day, 10*day
	short := access.New(configured)
	usual, err = create(short, nil)
	require.NoError(t, err)
	require.WithinDuration(t, *in(10), *usual.ExpiresAt, 0, "never past the longest")
	_, err = create(short, in(11))
	require.Equal(t, []string{"expiresAt"}, rbactest.InvalidFields(t, err))
}

func TestAPIKeysAreRefusedOutsideTheirNetworks(t *testing.T) {
	t.Parallel()
	d := open(t)
	book := &trailtest.Recorder{}
	settings := d.Dependencies(d.Database)
	settings.Audit = book
	d.Access = access.New(settings)
	admin := d.As(t, d.AddUser(t, "ada@example.test", rbac.Admin))
	key, text, err := d.APIKeys.Create(admin, apikey.NewKey{
		Name: "x", Permissions: reads, Networks: []string{
			"203.0.113.7/24", "2001:db8::/32", "198.51.100.9", "203.0.113.0/24",
			"::ffff:192.0.2.1",
		},
	})
	require.NoError(t, err)
	stored, err := d.APIKeys.Key(admin, key.ID)
	require.NoError(t, err)
	require.Equal(t, key.Networks, stored.Networks)
	from := func(address string) error {
		_, err := d.Authenticate(trail.WithAddress(t.Context(), address), text)
		return err
	}
	for _, address := range []string{"203.0.113.255", "::ffff:203.0.113.1", "2001:db8:1::1", "198.51.100.9", "192.0.2.1"} {
		require.NoError(t, from(address), address)
	}
	unknown := strings.Replace(text, text[9:20], "00000000000", 1)
	_, invalid := d.Authenticate(trail.WithAddress(t.Context(), "203.0.114.1"), unknown)
	denials := func() (n int) {
		for _, e := range book.Events() {
			if e.Action == "api-key.use" && e.Outcome == trail.Denied && e.SubjectID == key.ID && e.OrganizationID == d.Organization {
				n++
			}
		}
		return n
	}
	outside := []string{"203.0.114.1", "198.51.100.8", "2001:db9::1", "::1", "", "nonsense", "::ffff:203.0.114.2"}
	for _, address := range outside {
		refused := from(address)
		require.ErrorIs(t, refused, identity.ErrUnauthenticated, address)
		require.Equal(t, invalid.Error(), refused.Error(), "callers cannot distinguish it from an invalid key")
	}
	require.Equal(t, len(outside), denials())
	require.Error(t, from(outside[0]))
	require.Equal(t, len(outside), denials(), "one address is recorded once a minute")
	d.Clock.Advance(time.Minute)
	require.Error(t, from(outside[0]))
	require.Equal(t, len(outside)+1, denials())

	for field, networks := range map[string][]string{
		"networks[0]": {"203.0.113.0/33"}, "networks[1]": {"::/0", "office"}, "networks[2]": {"10.0.0.0/8", "10.1.0.0/16", "fe80::1%eth0/64"},
		"networks": {
			"10.0.1.0/24", "10.0.2.0/24", "10.0.3.0/24", "10.0.4.0/24", "10.0.5.0/24", "10.0.6.0/24", "10.0.7.0/24", "10.0.8.0/24",
			"10.0.9.0/24", "10.0.10.0/24", "10.0.11.0/24", "10.0.12.0/24", "10.0.13.0/24", "10.0.14.0/24", "10.0.15.0/24", "10.0.16.0/24",
			"10.0.17.0/24", "10.0.18.0/24", "10.0.19.0/24", "10.0.20.0/24", "10.0.21.0/24",
		},
	} {
		_, _, err := d.APIKeys.Create(admin, apikey.NewKey{Name: "x", Permissions: reads, Networks: networks})
		require.Equal(t, []string{field}, rbactest.InvalidFields(t, err))
	}
}
