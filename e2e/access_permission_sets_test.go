package e2e

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/events"
	"omnirapeutic/modules/rbac"
)

// withoutPermission returns a set's grants except the ones of a permission.
func withoutPermission(set map[string]any, permission string) harness.Body {
	return harness.Body{"permissions": slices.DeleteFunc(slices.Clone(set["permissions"].([]any)), func(item any) bool {
		return item.(map[string]any)["permission"] == permission
	})}
}

// withPermission returns a set's grants and another one.
func withPermission(set map[string]any, permission string, scopes ...string) harness.Body {
	return harness.Body{
		"permissions": append(slices.Clone(set["permissions"].([]any)), harness.Body{
			"permission": permission, "scopes": scopes,
		}),
	}
}

func TestPermissionSetsHaveDefaults(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	data := c.Admin().Get(t, "/permission-sets").OK(t).Body["data"].([]any)
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
	c := harness.Open(t)
	scheduler, path := c.As(c.Own.Tokens[rbac.Scheduler]), c.Authorize(t, 8)
	reserve := func() harness.Answer { return scheduler.Post(t, path+"/reserve", harness.Body{"units": 1}) }
	reserve().ReservationID(t)
	shipped := c.Admin().PermissionSet(t, rbac.Scheduler)

	changed := c.Admin().WithHeader("If-Match", `"0"`).Put(t, "/permission-sets/SCHEDULER",
		withoutPermission(shipped, "authorization:reserve")).OK(t)
	require.Equal(t, `"1"`, changed.Header.Get("ETag"))
	require.Equal(t, false, changed.Body["shipped"])
	denied := reserve().Refused(t, http.StatusForbidden, "forbidden")
	require.Equal(t, "authorization:reserve", denied.Text("permission"))
	me := scheduler.Get(t, "/auth/me").OK(t)
	require.NotContains(t, string(me.Raw), "authorization:reserve")
	c.As(c.Own.Tokens[rbac.Practitioner]).Post(t, path+"/reserve", harness.Body{"units": 1}).ReservationID(t)
	c.As(c.Other.Tokens[rbac.Admin]).Get(t, "/permission-sets").OK(t)
	require.Equal(t, true, c.As(c.Other.Tokens[rbac.Admin]).PermissionSet(t, rbac.Scheduler)["shipped"],
		"another organization has its own")

	c.Admin().WithHeader("If-Match", `"0"`).Put(t, "/permission-sets/SCHEDULER",
		withoutPermission(shipped, "patient:read")).
		Refused(t, http.StatusPreconditionFailed, "stale-version")
	c.Admin().WithHeader("If-Match", `"0"`).Delete(t, "/permission-sets/SCHEDULER").
		Refused(t, http.StatusPreconditionFailed, "stale-version")
	require.Equal(t, 1, c.Admin().Put(t, "/permission-sets/SCHEDULER",
		withoutPermission(shipped, "authorization:reserve")).OK(t).Number(t, "version"), "an unchanged value has no effect")
	require.Equal(t, http.StatusNoContent, c.Admin().Delete(t, "/permission-sets/SCHEDULER").Status)
	reserve().ReservationID(t)
	require.Equal(t, shipped["permissions"], c.Admin().PermissionSet(t, rbac.Scheduler)["permissions"])

	owner := c.Owner(t)
	require.Equal(t, []string{"t f", "f t"}, harness.QueryTexts(t, owner, `
		SELECT concat(before->'permissions' ? 'authorization:reserve', ' ', after->'permissions' ? 'authorization:reserve')
		FROM (SELECT sequence, organization_id, action, before::jsonb, after::jsonb FROM audit_events) e
		WHERE organization_id = $1 AND action = 'permission-set.change'
		ORDER BY sequence`, c.Own.ID), "before and after, in full")
}

func TestSetsBeyondOwnPermissionsAreRefused(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	biller := c.Admin().PermissionSet(t, rbac.Biller)
	invalid := func(role string, b harness.Body) {
		t.Helper()
		c.Admin().Put(t, "/permission-sets/"+role, b).Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	}
	t.Run("permissions beyond the organization", func(t *testing.T) {
		for _, p := range []string{"organization:create", "organization:read-all"} {
			invalid("BILLER", withPermission(biller, p, "ORGANIZATION"))
		}
	})
	t.Run("unknown permissions and scopes, and duplicates", func(t *testing.T) {
		invalid("BILLER", withPermission(biller, "patient:everything", "ORGANIZATION"))
		invalid("BILLER", withPermission(biller, "patient:change", "EVERYWHERE"))
		invalid("BILLER", withPermission(biller, "patient:change"))
		invalid("BILLER", withPermission(biller, "patient:read", "CHILD"))
		invalid("BILLER", harness.Body{"permissions": []any{}, "organizationId": c.Other.ID})
		invalid("BILLER", harness.Body{})
	})
	t.Run("administrators keep what they need", func(t *testing.T) {
		admin := c.Admin().PermissionSet(t, rbac.Admin)
		for _, p := range []string{
			"user:read", "user:change", "user:grant", "user:invite", "permission-set:read",
			"permission-set:change",
		} {
			invalid("ADMIN", withoutPermission(admin, p))
			invalid("ADMIN", harness.Body{"permissions": append(withoutPermission(admin, p)["permissions"].([]any),
				harness.Body{"permission": p, "scopes": []string{"CASELOAD"}})})
		}
	})
	t.Run("and unknown roles", func(t *testing.T) {
		for _, role := range []string{"SUPER_ADMIN", "OWNER", "admin"} {
			c.Admin().Put(t, "/permission-sets/"+role, harness.Body{"permissions": []any{}}).
				Refused(t, http.StatusNotFound, "role-not-found")
			c.Admin().Delete(t, "/permission-sets/"+role).Refused(t, http.StatusNotFound, "role-not-found")
		}
	})
	t.Run("a permission that the caller has given up", func(t *testing.T) {
		c.Admin().Put(t, "/permission-sets/ADMIN",
			withoutPermission(c.Admin().PermissionSet(t, rbac.Admin), "patient:change")).OK(t)
		beyond := c.Admin().Put(t, "/permission-sets/BILLER", withPermission(biller, "patient:change", "CASELOAD")).
			Refused(t, http.StatusForbidden, "beyond-own-permissions")
		require.Equal(t, "patient:change", beyond.Text("exceeds"))
		c.Admin().Put(t, "/permission-sets/ADMIN",
			withPermission(c.Admin().PermissionSet(t, rbac.Admin), "patient:change", "ORGANIZATION")).
			Refused(t, http.StatusForbidden, "beyond-own-permissions")
		user := c.AddUser(t, c.Own, "cy@own.test", rbac.Biller)
		c.Admin().Put(t, user+"/roles", harness.Body{"roles": []string{"SCHEDULER"}}).
			Refused(t, http.StatusForbidden, "beyond-own-permissions")
		fewer := withoutPermission(c.Admin().PermissionSet(t, rbac.Scheduler), "calendar:manage")
		c.Admin().Put(t, "/permission-sets/SCHEDULER", fewer).Refused(t, http.StatusForbidden, "beyond-own-permissions")
		require.Equal(t, http.StatusNoContent, c.Admin().Delete(t, "/permission-sets/ADMIN").Status,
			"the defaults can always be restored")
		c.Admin().Put(t, "/permission-sets/BILLER", withPermission(biller, "patient:change", "CASELOAD")).OK(t)
		c.Admin().Put(t, "/permission-sets/SCHEDULER", fewer).OK(t)
		c.Admin().Put(t, user+"/roles", harness.Body{"roles": []string{"SCHEDULER"}}).OK(t)
	})
}

// TestRestoringDefaultsNeedsTheirPermissions lets a biller change sets, as an organization may allow.
// Billers cannot restore a permission that was removed from their own role.
func TestRestoringDefaultsNeedsTheirPermissions(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	c.Admin().Put(t, "/permission-sets/BILLER",
		withPermission(c.Admin().PermissionSet(t, rbac.Biller), "permission-set:change", "ORGANIZATION")).OK(t)
	c.Admin().Put(t, "/permission-sets/AUDITOR",
		withoutPermission(c.Admin().PermissionSet(t, rbac.Auditor), "audit:export")).OK(t)
	c.AddUser(t, c.Own, "cy@own.test", rbac.Biller, rbac.Auditor)
	cy := c.SignInByEmail(t, "cy@own.test")
	beyond := cy.Delete(t, "/permission-sets/AUDITOR").Refused(t, http.StatusForbidden, "beyond-own-permissions")
	require.Equal(t, "audit:export", beyond.Text("exceeds"))
	cy.Get(t, "/admin/audit-events/export").Refused(t, http.StatusForbidden, "forbidden")
	require.Equal(t, http.StatusNoContent, cy.Delete(t, "/permission-sets/BILLER").Status,
		"granting a permission away is not holding it")
	for _, role := range rbac.Roles() {
		if role != rbac.SuperAdmin && role != rbac.Admin {
			c.Admin().Put(t, "/permission-sets/"+string(role), harness.Body{"permissions": []any{}}).OK(t)
			require.Equal(t, http.StatusNoContent, c.Admin().Delete(t, "/permission-sets/"+string(role)).Status,
				"administrators hold the defaults of %s", role)
		}
	}
}

// TestPermissionSetsOfHigherRolesCannotBeChanged lets a scheduler change sets. Schedulers can
// change only sets without permissions beyond their own.
func TestPermissionSetsOfHigherRolesCannotBeChanged(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	c.Admin().Put(t, "/permission-sets/SCHEDULER", withPermission(withPermission(c.Admin().
		PermissionSet(t, rbac.Scheduler), "permission-set:change",
		"ORGANIZATION"), "permission-set:read", "ORGANIZATION")).OK(t)
	scheduler := c.As(c.Own.Tokens[rbac.Scheduler])
	admin := c.Admin().PermissionSet(t, rbac.Admin)
	beyond := func(a harness.Answer) { t.Helper(); a.Refused(t, http.StatusForbidden, "beyond-own-permissions") }

	beyond(scheduler.Put(t, "/permission-sets/ADMIN",
		withoutPermission(admin, "appointment:book"))) // which schedulers hold too
	beyond(scheduler.Put(t, "/permission-sets/ADMIN", withoutPermission(admin, "audit:read")))
	beyond(scheduler.Put(t, "/permission-sets/AUDITOR", harness.Body{"permissions": []any{}}))
	require.Equal(t, admin, c.Admin().PermissionSet(t, rbac.Admin))

	c.Admin().Put(t, "/permission-sets/ADMIN", withoutPermission(admin, "session:read-narrative")).OK(t)
	beyond(scheduler.Delete(t, "/permission-sets/ADMIN"))
	require.Equal(t, false, c.Admin().PermissionSet(t, rbac.Admin)["shipped"],
		"other roles cannot restore what administrators have given up")
	require.Equal(t, http.StatusNoContent, c.Admin().Delete(t, "/permission-sets/ADMIN").Status)

	c.Admin().Put(t, "/permission-sets/AUDITOR",
		harness.Body{"permissions": []harness.Body{{"permission": "patient:read", "scopes": []string{"ORGANIZATION"}}}}).OK(t)
	scheduler.Put(t, "/permission-sets/AUDITOR", harness.Body{"permissions": []any{}}).OK(t)
	beyond(scheduler.Delete(t, "/permission-sets/AUDITOR")) // whose default includes more
	scheduler.Put(t, "/permission-sets/SCHEDULER",
		withoutPermission(c.Admin().PermissionSet(t, rbac.Scheduler), "permission-set:change")).OK(t)
	scheduler.Put(t, "/permission-sets/AUDITOR", harness.Body{"permissions": []any{}}).
		Refused(t, http.StatusForbidden, "forbidden")
}

// TestAPermissionSetHoldsOnEveryInstance changes a set on one instance, and uses
// earlier tokens on another.
func TestAPermissionSetHoldsOnEveryInstance(t *testing.T) {
	t.Parallel()
	database := harness.TwoPractices.New(t)
	first := harness.Serve(t, database, database.Open(t)).FollowRevocations(t)
	first.EventTuning = events.Tuning{Heartbeat: time.Hour} // only the change ends a stream
	second := harness.SecondInstance(t, first, database.Open(t)).FollowRevocations(t)
	path, token := first.Authorize(t, 8), first.Own.Tokens[rbac.Scheduler]
	second.As(token).Post(t, path+"/reserve", harness.Body{"units": 1}).ReservationID(t)
	stream := second.As(token).Stream(t, "")
	require.Equal(t, "ready", stream.Next(t).Name)
	shipped := first.Admin().PermissionSet(t, rbac.Scheduler)

	first.Admin().Put(t, "/permission-sets/SCHEDULER", withoutPermission(shipped, "authorization:reserve")).OK(t)
	first.As(token).Post(t, path+"/reserve", harness.Body{"units": 1}).Refused(t, http.StatusForbidden, "forbidden")
	require.Eventually(t, func() bool {
		return second.As(token).Post(t, path+"/reserve", harness.Body{"units": 1}).Status == http.StatusForbidden
	}, harness.Soon, time.Millisecond)
	stream.RequireEnd(t)
	second.As(token).Get(t, path).OK(t)

	require.Equal(t, http.StatusNoContent, second.Admin().Delete(t, "/permission-sets/SCHEDULER").Status)
	second.As(token).Post(t, path+"/release", harness.Body{"units": 1}).OK(t)
	require.Eventually(t, func() bool {
		return first.As(token).Post(t, path+"/preview",
			harness.Body{"units": 1}).Status == http.StatusOK
	}, harness.Soon, time.Millisecond)
	require.Eventually(t, func() bool {
		return first.As(token).Post(t, path+"/reserve", harness.Body{"units": 1}).Status == http.StatusCreated
	}, harness.Soon, time.Millisecond)
}

// TestConcurrentChangesOfAPermissionSet changes sets concurrently, and no change is lost.
func TestConcurrentChangesOfAPermissionSet(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	roles := []rbac.Role{rbac.Scheduler, rbac.Practitioner, rbac.Biller, rbac.Auditor}
	answers := make([]harness.Answer, len(roles))
	sets := make([]map[string]any, len(roles))
	for i, role := range roles {
		sets[i] = c.Admin().PermissionSet(t, role)
	}
	harness.Concurrently(len(roles), func(i int) {
		answers[i] = c.Admin().Put(t, "/permission-sets/"+string(roles[i]), withoutPermission(sets[i], "report:read"))
	})
	for i, role := range roles {
		answers[i].OK(t)
		c.As(c.Own.Tokens[role]).Get(t, "/reports/expiring").Refused(t, http.StatusForbidden, "forbidden")
	}
}
