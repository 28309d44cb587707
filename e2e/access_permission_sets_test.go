package e2e

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/events"
	"omnirapeutic/modules/rbac"
)

// set returns the permission set of a role in the API.
func (c caller) set(t testing.TB, role rbac.Role) map[string]any {
	t.Helper()
	for _, item := range c.get(t, "/permission-sets").ok(t).body["data"].([]any) {
		if set := item.(map[string]any); set["role"] == string(role) {
			return set
		}
	}
	require.Fail(t, "an unknown role", "%s", role)
	return nil
}

// without returns a set's grants except the ones of a permission.
func without(set map[string]any, permission string) body {
	return body{"permissions": slices.DeleteFunc(slices.Clone(set["permissions"].([]any)), func(item any) bool {
		return item.(map[string]any)["permission"] == permission
	})}
}

// with returns a set's grants and another one.
func with(set map[string]any, permission string, scopes ...string) body {
	return body{
		"permissions": append(slices.Clone(set["permissions"].([]any)), body{"permission": permission, "scopes": scopes}),
	}
}

func TestPermissionSetsHaveDefaults(t *testing.T) {
	t.Parallel()
	c := open(t)
	data := c.admin().get(t, "/permission-sets").ok(t).body["data"].([]any)
	require.Len(t, data, len(rbac.Roles())-1, "all but the role with permissions beyond the organization")
	for _, item := range data {
		set := item.(map[string]any)
		require.Equal(t, []any{true, 0.0, nil, nil},
			[]any{set["shipped"], set["version"], set["changedAt"], set["changedBy"]})
		var names []string
		for _, g := range set["permissions"].([]any) {
			names = append(names, g.(map[string]any)["permission"].(string))
		}
		var want []string
		for _, p := range rbac.Role(set["role"].(string)).Permissions() {
			want = append(want, string(p))
		}
		require.Equal(t, want, names, "%s", set["role"])
	}
}

func TestAPermissionSetIsChangedAndRestored(t *testing.T) {
	t.Parallel()
	c := open(t)
	scheduler, path := c.as(c.own.tokens[rbac.Scheduler]), c.authorize(t, 8)
	reserve := func() answer { return scheduler.post(t, path+"/reserve", body{"units": 1}) }
	reserve().reservationID(t)
	shipped := c.admin().set(t, rbac.Scheduler)

	changed := c.admin().with("If-Match", `"0"`).put(t, "/permission-sets/SCHEDULER",
		without(shipped, "authorization:reserve")).ok(t)
	require.Equal(t, `"1"`, changed.header.Get("ETag"))
	require.Equal(t, false, changed.body["shipped"])
	denied := reserve().refused(t, http.StatusForbidden, "forbidden")
	require.Equal(t, "authorization:reserve", denied.text("permission"))
	me := scheduler.get(t, "/auth/me").ok(t)
	require.NotContains(t, string(me.raw), "authorization:reserve")
	c.as(c.own.tokens[rbac.Practitioner]).post(t, path+"/reserve", body{"units": 1}).reservationID(t)
	c.as(c.other.tokens[rbac.Admin]).get(t, "/permission-sets").ok(t)
	require.Equal(t, true, c.as(c.other.tokens[rbac.Admin]).set(t, rbac.Scheduler)["shipped"],
		"another organization has its own")

	c.admin().with("If-Match", `"0"`).put(t, "/permission-sets/SCHEDULER", without(shipped, "patient:read")).
		refused(t, http.StatusPreconditionFailed, "stale-version")
	c.admin().with("If-Match", `"0"`).delete(t, "/permission-sets/SCHEDULER").
		refused(t, http.StatusPreconditionFailed, "stale-version")
	require.Equal(t, 1, c.admin().put(t, "/permission-sets/SCHEDULER",
		without(shipped, "authorization:reserve")).ok(t).number(t, "version"), "an unchanged value has no effect")
	require.Equal(t, http.StatusNoContent, c.admin().delete(t, "/permission-sets/SCHEDULER").status)
	reserve().reservationID(t)
	require.Equal(t, shipped["permissions"], c.admin().set(t, rbac.Scheduler)["permissions"])

	owner := c.owner(t)
	require.Equal(t, []string{"t f", "f t"}, texts(t, owner, `
		SELECT concat(before->'permissions' ? 'authorization:reserve', ' ', after->'permissions' ? 'authorization:reserve')
		FROM (SELECT sequence, organization_id, action, before::jsonb, after::jsonb FROM audit_events) e
		WHERE organization_id = $1 AND action = 'permission-set.change'
		ORDER BY sequence`, c.own.id), "before and after, in full")
}

func TestSetsBeyondOwnPermissionsAreRefused(t *testing.T) {
	t.Parallel()
	c := open(t)
	biller := c.admin().set(t, rbac.Biller)
	invalid := func(role string, b body) {
		t.Helper()
		c.admin().put(t, "/permission-sets/"+role, b).refused(t, http.StatusUnprocessableEntity, "validation-failed")
	}
	t.Run("permissions beyond the organization", func(t *testing.T) {
		for _, p := range []string{"organization:create", "organization:read-all"} {
			invalid("BILLER", with(biller, p, "ORGANIZATION"))
		}
	})
	t.Run("unknown permissions and scopes, and duplicates", func(t *testing.T) {
		invalid("BILLER", with(biller, "patient:everything", "ORGANIZATION"))
		invalid("BILLER", with(biller, "patient:change", "EVERYWHERE"))
		invalid("BILLER", with(biller, "patient:change"))
		invalid("BILLER", with(biller, "patient:read", "CHILD"))
		invalid("BILLER", body{"permissions": []any{}, "organizationId": c.other.id})
		invalid("BILLER", body{})
	})
	t.Run("administrators keep what they need", func(t *testing.T) {
		admin := c.admin().set(t, rbac.Admin)
		for _, p := range []string{
			"user:read", "user:change", "user:grant", "user:invite", "permission-set:read",
			"permission-set:change",
		} {
			invalid("ADMIN", without(admin, p))
			invalid("ADMIN", body{"permissions": append(without(admin, p)["permissions"].([]any),
				body{"permission": p, "scopes": []string{"CASELOAD"}})})
		}
	})
	t.Run("and unknown roles", func(t *testing.T) {
		for _, role := range []string{"SUPER_ADMIN", "OWNER", "admin"} {
			c.admin().put(t, "/permission-sets/"+role, body{"permissions": []any{}}).
				refused(t, http.StatusNotFound, "role-not-found")
			c.admin().delete(t, "/permission-sets/"+role).refused(t, http.StatusNotFound, "role-not-found")
		}
	})
	t.Run("a permission that the caller has given up", func(t *testing.T) {
		c.admin().put(t, "/permission-sets/ADMIN", without(c.admin().set(t, rbac.Admin), "patient:change")).ok(t)
		beyond := c.admin().put(t, "/permission-sets/BILLER", with(biller, "patient:change", "CASELOAD")).
			refused(t, http.StatusForbidden, "beyond-own-permissions")
		require.Equal(t, "patient:change", beyond.text("exceeds"))
		c.admin().put(t, "/permission-sets/ADMIN",
			with(c.admin().set(t, rbac.Admin), "patient:change", "ORGANIZATION")).
			refused(t, http.StatusForbidden, "beyond-own-permissions")
		user := c.hire(t, c.own, "cy@own.test", rbac.Biller)
		c.admin().put(t, user+"/roles", body{"roles": []string{"SCHEDULER"}}).
			refused(t, http.StatusForbidden, "beyond-own-permissions")
		fewer := without(c.admin().set(t, rbac.Scheduler), "calendar:manage")
		c.admin().put(t, "/permission-sets/SCHEDULER", fewer).refused(t, http.StatusForbidden, "beyond-own-permissions")
		require.Equal(t, http.StatusNoContent, c.admin().delete(t, "/permission-sets/ADMIN").status,
			"the defaults can always be restored")
		c.admin().put(t, "/permission-sets/BILLER", with(biller, "patient:change", "CASELOAD")).ok(t)
		c.admin().put(t, "/permission-sets/SCHEDULER", fewer).ok(t)
		c.admin().put(t, user+"/roles", body{"roles": []string{"SCHEDULER"}}).ok(t)
	})
}

// TestRestoringDefaultsNeedsTheirPermissions lets a biller change sets, as an organization may allow.
// Billers cannot restore a permission that was removed from their own role.
func TestRestoringDefaultsNeedsTheirPermissions(t *testing.T) {
	t.Parallel()
	c := open(t)
	c.admin().put(t, "/permission-sets/BILLER",
		with(c.admin().set(t, rbac.Biller), "permission-set:change", "ORGANIZATION")).ok(t)
	c.admin().put(t, "/permission-sets/AUDITOR", without(c.admin().set(t, rbac.Auditor), "audit:export")).ok(t)
	c.hire(t, c.own, "cy@own.test", rbac.Biller, rbac.Auditor)
	cy := c.enter(t, "cy@own.test")
	beyond := cy.delete(t, "/permission-sets/AUDITOR").refused(t, http.StatusForbidden, "beyond-own-permissions")
	require.Equal(t, "audit:export", beyond.text("exceeds"))
	cy.get(t, "/admin/audit-events/export").refused(t, http.StatusForbidden, "forbidden")
	require.Equal(t, http.StatusNoContent, cy.delete(t, "/permission-sets/BILLER").status,
		"granting a permission away is not holding it")
	for _, role := range rbac.Roles() {
		if role != rbac.SuperAdmin && role != rbac.Admin {
			c.admin().put(t, "/permission-sets/"+string(role), body{"permissions": []any{}}).ok(t)
			require.Equal(t, http.StatusNoContent, c.admin().delete(t, "/permission-sets/"+string(role)).status,
				"administrators hold the defaults of %s", role)
		}
	}
}

// TestPermissionSetsOfHigherRolesCannotBeChanged lets a scheduler change sets. Schedulers can
// change only sets without permissions beyond their own.
func TestPermissionSetsOfHigherRolesCannotBeChanged(t *testing.T) {
	t.Parallel()
	c := open(t)
	c.admin().put(t, "/permission-sets/SCHEDULER", with(with(c.admin().set(t, rbac.Scheduler), "permission-set:change",
		"ORGANIZATION"), "permission-set:read", "ORGANIZATION")).ok(t)
	scheduler := c.as(c.own.tokens[rbac.Scheduler])
	admin := c.admin().set(t, rbac.Admin)
	beyond := func(a answer) { t.Helper(); a.refused(t, http.StatusForbidden, "beyond-own-permissions") }

	beyond(scheduler.put(t, "/permission-sets/ADMIN", without(admin, "appointment:book"))) // which schedulers hold too
	beyond(scheduler.put(t, "/permission-sets/ADMIN", without(admin, "audit:read")))
	beyond(scheduler.put(t, "/permission-sets/AUDITOR", body{"permissions": []any{}}))
	require.Equal(t, admin, c.admin().set(t, rbac.Admin))

	c.admin().put(t, "/permission-sets/ADMIN", without(admin, "session:read-narrative")).ok(t)
	beyond(scheduler.delete(t, "/permission-sets/ADMIN"))
	require.Equal(t, false, c.admin().set(t, rbac.Admin)["shipped"],
		"other roles cannot restore what administrators have given up")
	require.Equal(t, http.StatusNoContent, c.admin().delete(t, "/permission-sets/ADMIN").status)

	c.admin().put(t, "/permission-sets/AUDITOR",
		body{"permissions": []body{{"permission": "patient:read", "scopes": []string{"ORGANIZATION"}}}}).ok(t)
	scheduler.put(t, "/permission-sets/AUDITOR", body{"permissions": []any{}}).ok(t)
	beyond(scheduler.delete(t, "/permission-sets/AUDITOR")) // whose default includes more
	scheduler.put(t, "/permission-sets/SCHEDULER",
		without(c.admin().set(t, rbac.Scheduler), "permission-set:change")).ok(t)
	scheduler.put(t, "/permission-sets/AUDITOR", body{"permissions": []any{}}).
		refused(t, http.StatusForbidden, "forbidden")
}

// TestAPermissionSetHoldsOnEveryInstance changes a set on one instance, and uses
// earlier tokens on another.
func TestAPermissionSetHoldsOnEveryInstance(t *testing.T) {
	t.Parallel()
	database := twoPractices.New(t)
	first := serve(t, database, database.Open(t)).following(t)
	first.tuning = events.Tuning{Heartbeat: time.Hour} // only the change ends a stream
	second := secondInstance(t, first, database.Open(t)).following(t)
	path, token := first.authorize(t, 8), first.own.tokens[rbac.Scheduler]
	second.as(token).post(t, path+"/reserve", body{"units": 1}).reservationID(t)
	stream := second.as(token).stream(t, "")
	require.Equal(t, "ready", stream.next(t).name)
	shipped := first.admin().set(t, rbac.Scheduler)

	first.admin().put(t, "/permission-sets/SCHEDULER", without(shipped, "authorization:reserve")).ok(t)
	first.as(token).post(t, path+"/reserve", body{"units": 1}).refused(t, http.StatusForbidden, "forbidden")
	require.Eventually(t, func() bool {
		return second.as(token).post(t, path+"/reserve", body{"units": 1}).status == http.StatusForbidden
	}, soon, time.Millisecond)
	stream.ended(t)
	second.as(token).get(t, path).ok(t)

	require.Equal(t, http.StatusNoContent, second.admin().delete(t, "/permission-sets/SCHEDULER").status)
	second.as(token).post(t, path+"/release", body{"units": 1}).ok(t)
	require.Eventually(t, func() bool {
		return first.as(token).post(t, path+"/preview",
			body{"units": 1}).status == http.StatusOK
	}, soon, time.Millisecond)
	require.Eventually(t, func() bool {
		return first.as(token).post(t, path+"/reserve", body{"units": 1}).status == http.StatusCreated
	}, soon, time.Millisecond)
}

// TestConcurrentChangesOfAPermissionSet changes sets concurrently, and no change is lost.
func TestConcurrentChangesOfAPermissionSet(t *testing.T) {
	t.Parallel()
	c := open(t)
	roles := []rbac.Role{rbac.Scheduler, rbac.Practitioner, rbac.Biller, rbac.Auditor}
	answers := make([]answer, len(roles))
	sets := make([]map[string]any, len(roles))
	for i, role := range roles {
		sets[i] = c.admin().set(t, role)
	}
	together(len(roles), func(i int) {
		answers[i] = c.admin().put(t, "/permission-sets/"+string(roles[i]), without(sets[i], "report:read"))
	})
	for i, role := range roles {
		answers[i].ok(t)
		c.as(c.own.tokens[role]).get(t, "/reports/expiring").refused(t, http.StatusForbidden, "forbidden")
	}
}
