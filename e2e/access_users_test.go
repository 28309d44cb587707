package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
)

func (c caller) put(t testing.TB, path string, b body) answer {
	return c.send(t, http.MethodPut, path, b)
}

// userWith returns the path of the practice's user who has the role.
func (c *clinic) userWith(t testing.TB, as caller, role rbac.Role) string {
	t.Helper()
	found := as.get(t, "/users?role="+string(role)).ok(t).body["data"].([]any)
	require.Len(t, found, 1)
	return "/users/" + found[0].(map[string]any)["id"].(string)
}

func TestUsersAreListed(t *testing.T) {
	t.Parallel()
	c := open(t)
	mine := c.admin().all(t, "/users?limit=3", nil)
	require.Len(t, mine, len(rbac.Roles()))
	for _, u := range mine {
		require.Equal(t, c.own.id.String(), u["organizationId"])
		require.NotContains(t, u, "password")
	}
	byEmail := column(c.admin().all(t, "/users?sort=-email&limit=2", nil), "email")
	require.True(t, slices.IsSortedFunc(byEmail, func(a, b string) int { return strings.Compare(b, a) }), "%v", byEmail)
	require.Len(t, byEmail, len(rbac.Roles()))
	byName := column(c.admin().all(t, "/users?sort=name&limit=2", nil), "name")
	require.True(t, slices.Contains(byName, "ADMIN") && slices.IsSorted(byName), "%v", byName)

	billers := c.admin().all(t, "/users?role=BILLER", nil)
	require.Equal(t, []string{"biller@own.test"}, column(billers, "email"))
	biller := "/users/" + billers[0]["id"].(string)
	c.admin().patch(t, biller, body{"disabled": true}).ok(t)
	require.Equal(t, []string{"biller@own.test"}, column(c.admin().all(t, "/users?disabled=true", nil), "email"))
	require.Len(t, c.admin().all(t, "/users?disabled=false&limit=200", nil), len(rbac.Roles())-1)
	who := c.employ(t)
	require.Empty(t, c.admin().all(t, "/users?practitionerId="+who.String(), nil))
	c.admin().patch(t, biller, body{"practitionerId": who}).ok(t)
	require.Len(t, c.admin().all(t, "/users?practitionerId="+who.String(), nil), 1)
	c.admin().get(t, "/users?role=OWNER").refused(t, http.StatusUnprocessableEntity, "validation-failed")
}

func TestUsersAreChanged(t *testing.T) {
	t.Parallel()
	c := open(t)
	email := "cy@own.test"
	user := c.hire(t, c.own, email, rbac.Technician)
	t.Run("for the version that was read", func(t *testing.T) {
		read := c.admin().get(t, user).ok(t)
		require.Equal(t, `"1"`, read.header.Get("ETag"))
		changed := c.admin().with("If-Match", `"1"`).patch(t, user, body{"name": "Cy Example"}).ok(t)
		require.Equal(t, `"2"`, changed.header.Get("ETag"))
		require.Equal(t, "Cy Example", changed.text("name"))
		stale := c.admin().with("If-Match", `"1"`).patch(t, user, body{"name": "Cyrus"}).
			refused(t, http.StatusPreconditionFailed, "stale-version")
		require.Equal(t, 2, stale.number(t, "currentVersion"))
		c.admin().with("If-Match", `"1"`).put(t, user+"/roles", body{"roles": []string{"BILLER"}}).
			refused(t, http.StatusPreconditionFailed, "stale-version")
		require.Equal(t, 2, c.admin().patch(t, user, body{"name": "Cy Example"}).ok(t).number(t, "version"),
			"an unchanged value has no effect")
	})
	t.Run("and only allowed fields", func(t *testing.T) {
		before := string(c.admin().get(t, user).raw)
		for field, value := range map[string]any{
			"status": "ACTIVE", "organizationId": c.other.id, "email": "other@own.test", "roles": []string{"ADMIN"},
			"password": "another-good-password", "passwordHash": "x", "version": 9, "id": uuid.New(),
			"createdAt": "2020-01-01T00:00:00Z", "tokenEpoch": 0,
		} {
			a := c.admin().patch(t, user, body{"name": "Other", field: value})
			a.refused(t, http.StatusUnprocessableEntity, "validation-failed")
			require.Contains(t, string(a.raw), field)
		}
		for _, b := range []body{
			{"roles": []string{"BILLER"}, "organizationId": c.other.id},
			{"roles": []string{}},
			{"roles": []string{"OWNER"}},
			{"roles": []string{"BILLER", "BILLER"}},
			{},
		} {
			c.admin().put(t, user+"/roles", b).refused(t, http.StatusUnprocessableEntity, "validation-failed")
		}
		c.admin().patch(t, user, body{"name": nil}).refused(t, http.StatusUnprocessableEntity, "validation-failed")
		require.Equal(t, before, string(c.admin().get(t, user).raw))
	})
	t.Run("their link to the directory", func(t *testing.T) {
		who := c.employ(t)
		require.Equal(t, who.String(), c.admin().patch(t, user, body{"practitionerId": who}).ok(t).text("practitionerId"))
		another := c.hire(t, c.own, "dee@own.test", rbac.Technician)
		c.admin().patch(t, another, body{"practitionerId": who}).refused(t, http.StatusConflict, "practitioner-has-user")
		foreign := c.as(c.other.tokens[rbac.Admin]).post(t, "/practitioners", body{"firstName": "A", "lastName": "B"}).
			created(t)
		for _, id := range []uuid.UUID{foreign, uuid.New(), c.own.patient} {
			c.admin().patch(t, another, body{"practitionerId": id}).
				refused(t, http.StatusUnprocessableEntity, "validation-failed")
		}
		require.Nil(t, c.admin().patch(t, user, body{"practitionerId": nil}).ok(t).body["practitionerId"])
		c.admin().patch(t, another, body{"practitionerId": who}).ok(t)
	})
	t.Run("whether they can sign in", func(t *testing.T) {
		c.admin().patch(t, user, body{"disabled": true}).ok(t)
		c.as("").post(t, "/auth/login", body{"email": email, "password": password}).
			refused(t, http.StatusUnauthorized, "wrong-credentials")
		c.admin().patch(t, user, body{"disabled": false}).ok(t)
		c.enter(t, email)
	})
}

func TestRolesBeyondOwnPermissionsAreRefused(t *testing.T) {
	t.Parallel()
	c := open(t)
	admin, root := c.admin(), c.userWith(t, c.admin(), rbac.SuperAdmin)
	self, technician := c.userWith(t, admin, rbac.Admin), c.userWith(t, admin, rbac.Technician)
	beyond := func(t *testing.T, a answer) {
		t.Helper()
		a.refused(t, http.StatusForbidden, "beyond-own-permissions")
		require.Equal(t, "organization:read-all", a.text("exceeds"))
	}
	t.Run("not to others", func(t *testing.T) {
		beyond(t, admin.put(t, technician+"/roles", body{"roles": []string{"TECHNICIAN", "SUPER_ADMIN"}}))
	})
	t.Run("not to oneself", func(t *testing.T) {
		beyond(t, admin.put(t, self+"/roles", body{"roles": []string{"ADMIN", "SUPER_ADMIN"}}))
		for _, role := range rbac.Roles() {
			if role != rbac.Admin {
				c.as(c.own.tokens[role]).put(t, c.userWith(t, admin, role)+"/roles", body{"roles": []string{"ADMIN"}}).
					refused(t, http.StatusForbidden, "forbidden")
			}
		}
	})
	t.Run("nor can they remove it", func(t *testing.T) {
		beyond(t, admin.put(t, root+"/roles", body{"roles": []string{"TECHNICIAN"}}))
		beyond(t, admin.patch(t, root, body{"disabled": true}))
		beyond(t, admin.patch(t, root, body{"name": "Nobody"}))
	})
	t.Run("a holder of the permission can", func(t *testing.T) {
		c.hire(t, c.own, "both@own.test", rbac.Admin, rbac.SuperAdmin)
		both := c.enter(t, "both@own.test")
		require.Equal(t, []any{"TECHNICIAN", "SUPER_ADMIN"},
			both.put(t, technician+"/roles", body{"roles": []string{"SUPER_ADMIN", "TECHNICIAN"}}).ok(t).body["roles"])
		both.put(t, technician+"/roles", body{"roles": []string{"TECHNICIAN"}}).ok(t)
	})
	t.Run("an old token has no more permissions than its user", func(t *testing.T) {
		second := c.hire(t, c.own, "second@own.test", rbac.Admin)
		token := c.enter(t, "second@own.test")
		admin.put(t, second+"/roles", body{"roles": []string{"SCHEDULER"}}).ok(t)
		a := token.put(t, second+"/roles", body{"roles": []string{"ADMIN"}})
		require.Contains(t, []int{http.StatusForbidden, http.StatusUnauthorized}, a.status, "%s", a.raw)
		require.Equal(t, []any{"SCHEDULER"}, admin.get(t, second).body["roles"])
	})
	refused := texts(t, c.owner(t),
		`SELECT after->>'operation' FROM audit_events WHERE organization_id = $1 AND outcome = 'denied'
			AND after->>'code' = 'beyond-own-permissions' ORDER BY 1`, c.own.id)
	require.Equal(t, []string{"changeUser", "changeUser", "setUserRoles", "setUserRoles", "setUserRoles"}, refused,
		"all of it is recorded")
}

func TestTheLastAdministratorStays(t *testing.T) {
	t.Parallel()
	c := open(t)
	last := c.userWith(t, c.admin(), rbac.Admin)
	for name, attempt := range map[string]func(from caller) answer{
		"demoted":  func(from caller) answer { return from.put(t, last+"/roles", body{"roles": []string{"SCHEDULER"}}) },
		"disabled": func(from caller) answer { return from.patch(t, last, body{"disabled": true}) },
	} {
		attempt(c.admin()).refused(t, http.StatusConflict, "last-administrator")
		require.Equal(t, []any{"ADMIN"}, c.admin().get(t, last).body["roles"], name)
	}
	other := c.hire(t, c.own, "other-admin@own.test", rbac.Admin)
	c.admin().patch(t, other, body{"disabled": true}).ok(t)
	c.admin().patch(t, last, body{"disabled": true}).refused(t, http.StatusConflict, "last-administrator")
	c.admin().patch(t, other, body{"disabled": false}).ok(t)
	c.enter(t, "other-admin@own.test").put(t, last+"/roles", body{"roles": []string{"SCHEDULER"}}).ok(t)
}

// TestConcurrentDemotionsKeepAnAdministrator lets the last two administrators remove each other and
// themselves concurrently, on two instances: one of them remains.
func TestConcurrentDemotionsKeepAnAdministrator(t *testing.T) {
	t.Parallel()
	c := open(t)
	second := secondInstance(t, c, c.database.Open(t))
	first := c.userWith(t, c.admin(), rbac.Admin)
	other := c.hire(t, c.own, "other-admin@own.test", rbac.Admin)
	owner := c.owner(t)
	for round := range 10 {
		a, b := c.signIn(t, "own", rbac.Admin), c.enter(t, "other-admin@own.test").token
		targets := []string{other, first}
		if round%2 == 1 {
			targets = []string{first, other} // each removes themselves
		}
		answers := make([]answer, 2)
		together(2, func(i int) {
			from := []caller{c.as(a), second.as(b)}[i]
			if round%3 == 0 {
				answers[i] = from.patch(t, targets[i], body{"disabled": true})
			} else {
				answers[i] = from.put(t, targets[i]+"/roles", body{"roles": []string{"SCHEDULER"}})
			}
		})
		left := texts(t, owner,
			`SELECT u.id::text FROM users u JOIN user_roles r ON r.organization_id = u.organization_id AND r.user_id = u.id
			WHERE u.organization_id = $1 AND u.status = 'ACTIVE' AND r.role = 'ADMIN'`, c.own.id)
		require.Len(t, left, 1, "round %d: %s %s", round, answers[0].raw, answers[1].raw)
		statuses := []int{answers[0].status, answers[1].status}
		require.Contains(t, statuses, http.StatusOK)
		require.NotEqual(t, statuses[0], statuses[1])
		back, err := owner.ExecContext(t.Context(), `UPDATE users SET status = 'ACTIVE' WHERE organization_id = $1`, c.own.id)
		require.NoError(t, err)
		require.NotNil(t, back)
		_, err = owner.ExecContext(t.Context(), `INSERT INTO user_roles SELECT organization_id, id, 'ADMIN' FROM users
			WHERE organization_id = $1 AND id IN ($2, $3) ON CONFLICT DO NOTHING`, c.own.id, idOf(first), idOf(other))
		require.NoError(t, err)
	}
}

func TestChangesOfUsersAreOnRecord(t *testing.T) {
	t.Parallel()
	c := open(t)
	user := c.hire(t, c.own, "cy@own.test", rbac.Technician)
	c.admin().put(t, user+"/roles", body{"roles": []string{"TECHNICIAN", "BILLER"}}).ok(t)
	c.admin().patch(t, user, body{"disabled": true, "name": "Cyrus Unheard-Of"}).ok(t)
	found := c.admin().get(t, "/admin/audit-events?subjectId="+idOf(user)).ok(t)
	data := found.body["data"].([]any)
	require.Len(t, data, 3)
	change, grant := data[0].(map[string]any), data[1].(map[string]any)
	require.Equal(t, []any{"user.change", "user.grant"}, []any{change["action"], grant["action"]})
	require.Equal(t, idOf(c.userWith(t, c.admin(), rbac.Admin)), grant["actorId"])
	require.Equal(t, []any{"TECHNICIAN"}, grant["before"].(map[string]any)["roles"])
	require.Equal(t, []any{"TECHNICIAN", "BILLER"}, grant["after"].(map[string]any)["roles"])
	require.Equal(t, []any{true, []any{"name"}},
		[]any{change["after"].(map[string]any)["disabled"], change["after"].(map[string]any)["changed"]})
	require.NotContains(t, string(found.raw), "Unheard-Of")
}
