package access_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/access"
	"omnirapeutic/modules/rbac/apikey"
	"omnirapeutic/modules/rbac/invitation"
	"omnirapeutic/modules/rbac/mfa"
	"omnirapeutic/modules/rbac/oidc"
	"omnirapeutic/modules/rbac/oidc/openid/openidtest"
	"omnirapeutic/modules/rbac/permissionset"
	"omnirapeutic/modules/rbac/rbactest"
	"omnirapeutic/modules/rbac/user"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/patch"
)

// scopesOf are the permissions of a role, each with its scopes.
type scopesOf = map[identity.Permission]identity.Scope

// delegation is a practice in which a giver, with the role SCHEDULER, uses powers over a receiver,
// with the role BILLER. The permissions of both roles are random.
type delegation struct {
	practice
	provider              *openidtest.Provider
	admin                 rbac.User
	giver                 rbac.User
	practitioner, patient uuid.UUID
	hired                 int
}

// power is an action by which a giver lets a receiver do more than before, or takes over the
// receiver's permissions.
type power struct {
	use func(ctx context.Context, t testing.TB, d *delegation, gives scopesOf) error
	// gives returns the permissions that the action gives, for the receiver's own permissions.
	gives func(theirs scopesOf) scopesOf
}

// all is a power that concerns all permissions of the receiver.
func all(theirs scopesOf) scopesOf { return theirs }

// opened returns a power that gives the receiver access to records of the scopes. For any records
// it gives the receiver's permissions for these scopes, and the right to see patients.
func opened(scopes identity.Scope) func(scopesOf) scopesOf {
	return func(theirs scopesOf) scopesOf {
		gives := scopesOf{"patient:read": identity.Organization}
		for p, scope := range theirs {
			if scope&scopes != 0 && scope&identity.Organization == 0 {
				gives[p] = identity.Organization
			}
		}
		return gives
	}
}

var powers = map[string]power{
	"invite": {gives: all, use: func(ctx context.Context, _ testing.TB, d *delegation, _ scopesOf) error {
		d.hired++
		email := fmt.Sprintf("invited-%d@example.test", d.hired)
		_, err := d.Invitations.Invite(ctx, invitation.Invitee{Email: email, Name: "New", Roles: []rbac.Role{rbac.Biller}})
		return err
	}},
	"give a role": {gives: all, use: func(ctx context.Context, t testing.TB, d *delegation, _ scopesOf) error {
		_, err := d.Users.SetRoles(ctx, user.RolesChange{ID: d.receiver(t, rbac.Patient).ID, Roles: []rbac.Role{rbac.Biller}})
		return err
	}},
	"take a role": {gives: all, use: func(ctx context.Context, t testing.TB, d *delegation, _ scopesOf) error {
		_, err := d.Users.SetRoles(ctx, user.RolesChange{ID: d.receiver(t, rbac.Biller).ID, Roles: []rbac.Role{rbac.Patient}})
		return err
	}},
	"disable a user": {gives: all, use: func(ctx context.Context, t testing.TB, d *delegation, _ scopesOf) error {
		_, err := d.Users.Change(ctx, user.Change{ID: d.receiver(t, rbac.Biller).ID, Disabled: patch.Set(true)})
		return err
	}},
	"take a second factor away": {gives: all, use: func(ctx context.Context, t testing.TB, d *delegation, _ scopesOf) error {
		return unless(d.SecondFactors.Remove(ctx, d.receiver(t, rbac.Biller).ID, ""), mfa.ErrNone)
	}},
	"create a password reset": {gives: all, use: func(ctx context.Context, t testing.TB, d *delegation, _ scopesOf) error {
		_, err := d.Passwords.CreateReset(ctx, d.receiver(t, rbac.Biller).ID)
		return err
	}},
	"lift a lock": {gives: all, use: func(ctx context.Context, t testing.TB, d *delegation, _ scopesOf) error {
		return d.SignIns.Unlock(ctx, d.receiver(t, rbac.Biller).ID)
	}},
	"unlink an account": {gives: all, use: func(ctx context.Context, t testing.TB, d *delegation, _ scopesOf) error {
		return unless(d.OpenID.Links.Unlink(ctx, d.receiver(t, rbac.Biller).ID), oidc.ErrNotLinked)
	}},
	"confirm a link": {gives: all, use: func(ctx context.Context, t testing.TB, d *delegation, _ scopesOf) error {
		id, who := rbactest.NewID(), d.receiver(t, rbac.Biller)
		d.Exec(t, `INSERT INTO identity_providers VALUES (?, 'https://x', 'x', 'x', 1, now(), now(), ?)
			ON CONFLICT (organization_id) DO UPDATE SET set_by = excluded.set_by`, d.Organization, d.admin.ID)
		d.Exec(t, "INSERT INTO provider_link_requests VALUES (?, ?, 'https://x', ?, ?, ?, ?)",
			d.Organization, id, id, who.ID, d.Clock.Now(), d.Clock.Now().AddDate(0, 0, 1))
		return d.OpenID.Links.Confirm(ctx, id)
	}},
	"change a permission set": {gives: all, use: func(ctx context.Context, _ testing.TB, d *delegation, gives scopesOf) error {
		_, err := d.PermissionSets.Change(ctx, permissionset.Change{Role: rbac.Auditor, Held: gives})
		return err
	}},
	"make an API key": {
		gives: func(theirs scopesOf) scopesOf {
			gives := scopesOf{}
			for _, p := range keyPermissions(theirs) {
				gives[p] = identity.Organization
			}
			return gives
		},
		use: func(ctx context.Context, _ testing.TB, d *delegation, gives scopesOf) error {
			permissions := keyPermissions(gives)
			if len(permissions) == 0 {
				return nil
			}
			_, _, err := d.APIKeys.Create(ctx, apikey.NewKey{Name: "x", Permissions: permissions})
			return err
		},
	},
	"set the identity provider": {
		// There is always an administrator, whom the provider could recognize.
		gives: func(theirs scopesOf) scopesOf { return union(theirs, shippedTo(rbac.Admin)) },
		use: func(ctx context.Context, t testing.TB, d *delegation, _ scopesOf) error {
			d.receiver(t, rbac.Biller)
			_, err := d.OpenID.Providers.Set(ctx, oidc.ProviderSettings{Issuer: d.provider.Issuer, ClientID: "x", ClientSecret: "x"})
			return err
		},
	},
	"assign to a caseload": {gives: opened(identity.Caseload), use: func(ctx context.Context, t testing.TB, d *delegation, _ scopesOf) error {
		d.become(t, d.receiver(t, rbac.Biller))
		_, err := d.Users.Assign(ctx, d.practitioner, d.patient)
		return err
	}},
	"set the practitioner of a user": {
		gives: func(theirs scopesOf) scopesOf { return union(theirs, opened(identity.Self|identity.Caseload)(theirs)) },
		use: func(ctx context.Context, t testing.TB, d *delegation, _ scopesOf) error {
			d.Exec(t, "UPDATE users SET practitioner_id = NULL")
			who := d.receiver(t, rbac.Biller).ID
			_, err := d.Users.Change(ctx, user.Change{ID: who, PractitionerID: patch.SetClearable(d.practitioner)})
			return err
		},
	},
	"entrust a patient": {gives: opened(identity.Child), use: func(ctx context.Context, t testing.TB, d *delegation, _ scopesOf) error {
		_, err := d.Users.AddPatient(ctx, d.receiver(t, rbac.Biller, rbac.Patient).ID, d.patient, user.RelationGuardian)
		return err
	}},
}

// receiver hires a user with the roles.
func (d *delegation) receiver(t testing.TB, roles ...rbac.Role) rbac.User {
	t.Helper()
	d.hired++
	return d.AddUser(t, fmt.Sprintf("receiver-%d@example.test", d.hired), roles...)
}

// become makes a user the practitioner.
func (d *delegation) become(t testing.TB, u rbac.User) {
	t.Helper()
	d.Exec(t, "UPDATE users SET practitioner_id = NULL")
	d.Exec(t, "UPDATE users SET practitioner_id = ? WHERE id = ?", d.practitioner, u.ID)
	d.Exec(t, "DELETE FROM caseloads")
}

// unless returns nil if the refusal only concerns the power's object.
func unless(err, missing error) error {
	if errors.Is(err, missing) {
		return nil
	}
	return err
}

func shippedTo(role rbac.Role) scopesOf {
	set := scopesOf{}
	for _, p := range role.Permissions() {
		set[p] = role.Scope(p)
	}
	return set
}

func union(a, b scopesOf) scopesOf {
	both := scopesOf{}
	for _, set := range []scopesOf{a, b} {
		for p, scope := range set {
			both[p] |= scope
		}
	}
	return both
}

// keyPermissions are the permissions of a set that an API key can hold, in the order of the
// documents.
func keyPermissions(set scopesOf) (permissions []identity.Permission) {
	for _, p := range rbac.Permissions() {
		if _, ok := set[p]; ok && strings.HasSuffix(string(p), ":read") {
			permissions = append(permissions, p)
		}
	}
	return permissions
}

// holds reports whether a giver holds the given permissions, for at least the same records. It
// reimplements the rule independently.
func holds(giver, gives scopesOf) bool {
	for p, scope := range gives {
		has := giver[p]
		if scope != 0 && has&identity.Organization == 0 && has&scope != scope {
			return false
		}
	}
	return true
}

// delegated are the permissions that the powers require.
var delegated = []identity.Permission{
	"user:invite", "user:grant", "user:change", "permission-set:change", "api-key:manage", "identity-provider:manage",
	"caseload:change", "guardian:change",
}

// drawSet draws the permissions of a role: everything, with exceptions, or few.
func drawSet(t *rapid.T, name string) scopesOf {
	base := shippedTo(rbac.Admin)
	if rapid.Bool().Draw(t, name+" holds little") {
		base = scopesOf{}
	}
	among := []identity.Permission{
		"patient:read", "patient:change", "authorization:read", "appointment:read", "session:read",
		"payer:read", "audit:export",
	}
	scopes := []identity.Scope{
		0, identity.Organization, identity.Self, identity.Caseload, identity.Child, identity.Caseload | identity.Child,
	}
	for _, p := range rapid.SliceOfNDistinct(rapid.SampledFrom(among), 0, 3, rapid.ID).Draw(t, name+" differs in") {
		if scope := rapid.SampledFrom(scopes).Draw(t, name+" "+string(p)); scope != 0 {
			base[p] = scope
		} else {
			delete(base, p)
		}
	}
	return base
}

// TestDelegationNeverExceedsTheGiversPermissions draws the permissions of a giver and a receiver, and tries every
// power by which the giver could let the receiver do more, or act as the receiver. It is refused
// exactly if the giver does not hold the given permissions, for at least the same records.
func TestDelegationNeverExceedsTheGiversPermissions(t *testing.T) {
	t.Parallel()
	d := &delegation{practice: open(t), provider: openidtest.Start(t, "https://x.test", openidtest.Person{Subject: "x"})}
	settings := d.Dependencies(d.Database)
	settings.PublicURL, settings.FrontendURL, settings.AnyAddress = "https://api.x.test", "https://x.test", true
	d.Access = access.New(settings)
	d.admin = d.AddUser(t, "admin@example.test", rbac.Admin)
	d.giver = d.AddUser(t, "giver@example.test", rbac.Scheduler)
	d.practitioner, d.patient = rbactest.NewID(), rbactest.NewID()
	d.Exec(t, "INSERT INTO practitioners VALUES (?, ?, 'A', 'B', NULL, NULL, 'ACTIVE', 1, now(), now())", d.Organization, d.practitioner)
	d.Exec(t, "INSERT INTO patients VALUES (?, ?, 'A', 'B', '2019-05-04', NULL, 'ACTIVE', 1, now(), now())", d.Organization, d.patient)
	admin := d.As(t, d.admin)
	set := func(t testing.TB, role rbac.Role, held scopesOf) {
		_, err := d.PermissionSets.Change(admin, permissionset.Change{Role: role, Held: held})
		require.NoError(t, err)
	}
	for _, role := range []rbac.Role{rbac.Patient, rbac.Auditor} {
		set(t, role, scopesOf{})
	}
	giver := identity.With(t.Context(), identity.Caller{UserID: d.giver.ID, OrganizationID: d.Organization})

	try := func(r rapid.TB, name string, mine, theirs scopesOf) {
		for _, each := range delegated {
			mine[each] = identity.Organization
		}
		set(t, rbac.Scheduler, mine)
		set(t, rbac.Biller, theirs)
		gives := powers[name].gives(theirs)
		err := powers[name].use(giver, t, d, gives)
		if holds(mine, gives) {
			require.NoError(r, err, "%s: the giver holds all of %v", name, gives)
		} else {
			require.ErrorIs(r, err, identity.ErrBeyondOwn, "%s: the giver holds %v, and gives %v", name, mine, gives)
		}
		d.Exec(t, "UPDATE invitations SET revoked_at = now() WHERE revoked_at IS NULL")
		d.Exec(t, "UPDATE users SET status = 'DISABLED' WHERE email LIKE 'receiver-%'")
		if name == "change a permission set" {
			set(t, rbac.Auditor, scopesOf{})
		}
	}
	names := slices.Sorted(maps.Keys(powers))
	receives := scopesOf{
		"payer:read": identity.Organization, "patient:read": identity.Caseload | identity.Child,
		"session:read": identity.Self,
	}
	for _, name := range names { // each once allowed and once refused, independent of the drawn sets
		require.False(t, holds(scopesOf{}, powers[name].gives(receives)))
		try(t, name, scopesOf{}, maps.Clone(receives))
		require.True(t, holds(shippedTo(rbac.Admin), powers[name].gives(receives)))
		try(t, name, shippedTo(rbac.Admin), maps.Clone(receives))
	}
	narrow, wider := shippedTo(rbac.Admin), scopesOf{"session:read": identity.Self | identity.Caseload | identity.Child}
	narrow["session:read"] = identity.Self
	for _, name := range names { // the giver holds the permission for fewer records
		require.False(t, holds(narrow, powers[name].gives(wider)))
		try(t, name, maps.Clone(narrow), maps.Clone(wider))
	}
	rapid.Check(t, func(r *rapid.T) {
		try(r, rapid.SampledFrom(names).Draw(r, "power"), drawSet(r, "the giver"), drawSet(r, "the receiver"))
	})
}
