package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
)

func TestUsersAreListed(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	mine := c.Admin().All(t, "/users?limit=3", nil)
	require.Len(t, mine, len(rbac.Roles()))
	for _, u := range mine {
		require.Equal(t, c.Own.ID.String(), u["organizationId"])
		require.NotContains(t, u, "password")
	}
	byEmail := harness.Column(c.Admin().All(t, "/users?sort=-email&limit=2", nil), "email")
	require.True(t, slices.IsSortedFunc(byEmail, func(a, b string) int { return strings.Compare(b, a) }), "%v", byEmail)
	require.Len(t, byEmail, len(rbac.Roles()))
	byName := harness.Column(c.Admin().All(t, "/users?sort=name&limit=2", nil), "name")
	require.True(t, slices.Contains(byName, "ADMIN") && slices.IsSorted(byName), "%v", byName)

	billers := c.Admin().All(t, "/users?role=BILLER", nil)
	require.Equal(t, []string{"biller@own.test"}, harness.Column(billers, "email"))
	biller := "/users/" + billers[0]["id"].(string)
	c.Admin().Patch(t, biller, harness.Body{"disabled": true}).OK(t)
	require.Equal(t, []string{"biller@own.test"}, harness.Column(c.Admin().All(t, "/users?disabled=true", nil), "email"))
	require.Len(t, c.Admin().All(t, "/users?disabled=false&limit=200", nil), len(rbac.Roles())-1)
	practitioner := c.AddPractitioner(t)
	require.Empty(t, c.Admin().All(t, "/users?practitionerId="+practitioner.String(), nil))
	c.Admin().Patch(t, biller, harness.Body{"practitionerId": practitioner}).OK(t)
	require.Len(t, c.Admin().All(t, "/users?practitionerId="+practitioner.String(), nil), 1)
	c.Admin().Get(t, "/users?role=OWNER").Refused(t, http.StatusUnprocessableEntity, "validation-failed")
}

func TestUsersAreChanged(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	email := "cy@own.test"
	user := c.AddUser(t, c.Own, email, rbac.Technician)
	t.Run("for the version that was read", func(t *testing.T) {
		read := c.Admin().Get(t, user).OK(t)
		require.Equal(t, `"1"`, read.Header.Get("ETag"))
		changed := c.Admin().WithHeader("If-Match", `"1"`).Patch(t, user, harness.Body{"name": "Cy Example"}).OK(t)
		require.Equal(t, `"2"`, changed.Header.Get("ETag"))
		require.Equal(t, "Cy Example", changed.Text("name"))
		stale := c.Admin().WithHeader("If-Match", `"1"`).Patch(t, user, harness.Body{"name": "Cyrus"}).
			Refused(t, http.StatusPreconditionFailed, "stale-version")
		require.Equal(t, 2, stale.Number(t, "currentVersion"))
		c.Admin().WithHeader("If-Match", `"1"`).Put(t, user+"/roles", harness.Body{"roles": []string{"BILLER"}}).
			Refused(t, http.StatusPreconditionFailed, "stale-version")
		require.Equal(t, 2, c.Admin().Patch(t, user, harness.Body{"name": "Cy Example"}).OK(t).Number(t, "version"),
			"an unchanged value has no effect")
	})
	t.Run("and only allowed fields", func(t *testing.T) {
		before := string(c.Admin().Get(t, user).Raw)
		for field, value := range map[string]any{
			"status": "ACTIVE", "organizationId": c.Other.ID, "roles": []string{"ADMIN"},
			"password": "another-good-password", "passwordHash": "x", "version": 9, "id": uuid.New(),
			"createdAt": "2020-01-01T00:00:00Z", "tokenEpoch": 0,
		} {
			a := c.Admin().Patch(t, user, harness.Body{"name": "Other", field: value})
			a.Refused(t, http.StatusUnprocessableEntity, "validation-failed")
			require.Contains(t, string(a.Raw), field)
		}
		for _, b := range []harness.Body{
			{"roles": []string{"BILLER"}, "organizationId": c.Other.ID},
			{"roles": []string{}},
			{"roles": []string{"OWNER"}},
			{"roles": []string{"BILLER", "BILLER"}},
			{},
		} {
			c.Admin().Put(t, user+"/roles", b).Refused(t, http.StatusUnprocessableEntity, "validation-failed")
		}
		c.Admin().Patch(t, user, harness.Body{"name": nil}).Refused(t, http.StatusUnprocessableEntity, "validation-failed")
		require.Equal(t, before, string(c.Admin().Get(t, user).Raw))
	})
	t.Run("their link to the directory", func(t *testing.T) {
		practitioner := c.AddPractitioner(t)
		require.Equal(t, practitioner.String(), c.Admin().Patch(t, user, harness.Body{"practitionerId": practitioner}).OK(t).
			Text("practitionerId"))
		another := c.AddUser(t, c.Own, "dee@own.test", rbac.Technician)
		c.Admin().Patch(t, another, harness.Body{"practitionerId": practitioner}).
			Refused(t, http.StatusConflict, "practitioner-has-user")
		foreign := c.As(c.Other.Tokens[rbac.Admin]).Post(t, "/practitioners", harness.Body{
			"firstName": "A", "lastName": "B",
		}).
			Created(t)
		for _, id := range []uuid.UUID{foreign, uuid.New(), c.Own.Patient} {
			c.Admin().Patch(t, another, harness.Body{"practitionerId": id}).
				Refused(t, http.StatusUnprocessableEntity, "validation-failed")
		}
		require.Nil(t, c.Admin().Patch(t, user, harness.Body{"practitionerId": nil}).OK(t).Body["practitionerId"])
		c.Admin().Patch(t, another, harness.Body{"practitionerId": practitioner}).OK(t)
	})
	t.Run("whether they can sign in", func(t *testing.T) {
		c.Admin().Patch(t, user, harness.Body{"disabled": true}).OK(t)
		c.As("").Post(t, "/auth/login", harness.Body{"email": email, "password": harness.Password}).
			Refused(t, http.StatusUnauthorized, "wrong-credentials")
		c.Admin().Patch(t, user, harness.Body{"disabled": false}).OK(t)
		c.SignInByEmail(t, email)
	})
}

func TestRolesBeyondOwnPermissionsAreRefused(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	admin, root := c.Admin(), c.UserWithRole(t, c.Admin(), rbac.SuperAdmin)
	self, technician := c.UserWithRole(t, admin, rbac.Admin), c.UserWithRole(t, admin, rbac.Technician)
	beyond := func(t *testing.T, a harness.Answer) {
		t.Helper()
		a.Refused(t, http.StatusForbidden, "beyond-own-permissions")
		require.Equal(t, "organization:read-all", a.Text("exceeds"))
	}
	t.Run("not to others", func(t *testing.T) {
		beyond(t, admin.Put(t, technician+"/roles", harness.Body{"roles": []string{"TECHNICIAN", "SUPER_ADMIN"}}))
	})
	t.Run("not to oneself", func(t *testing.T) {
		beyond(t, admin.Put(t, self+"/roles", harness.Body{"roles": []string{"ADMIN", "SUPER_ADMIN"}}))
		for _, role := range rbac.Roles() {
			if role != rbac.Admin {
				c.As(c.Own.Tokens[role]).Put(t, c.UserWithRole(t, admin, role)+"/roles", harness.Body{"roles": []string{"ADMIN"}}).
					Refused(t, http.StatusForbidden, "forbidden")
			}
		}
	})
	t.Run("nor can they remove it", func(t *testing.T) {
		beyond(t, admin.Put(t, root+"/roles", harness.Body{"roles": []string{"TECHNICIAN"}}))
		beyond(t, admin.Patch(t, root, harness.Body{"disabled": true}))
		beyond(t, admin.Patch(t, root, harness.Body{"name": "Changed"}))
	})
	t.Run("a holder of the permission can", func(t *testing.T) {
		c.AddUser(t, c.Own, "both@own.test", rbac.Admin, rbac.SuperAdmin)
		both := c.SignInByEmail(t, "both@own.test")
		require.Equal(t, []any{"TECHNICIAN", "SUPER_ADMIN"},
			both.Put(t, technician+"/roles", harness.Body{"roles": []string{"SUPER_ADMIN", "TECHNICIAN"}}).OK(t).Body["roles"])
		both.Put(t, technician+"/roles", harness.Body{"roles": []string{"TECHNICIAN"}}).OK(t)
	})
	t.Run("an old token has no more permissions than its user", func(t *testing.T) {
		second := c.AddUser(t, c.Own, "second@own.test", rbac.Admin)
		token := c.SignInByEmail(t, "second@own.test")
		admin.Put(t, second+"/roles", harness.Body{"roles": []string{"SCHEDULER"}}).OK(t)
		a := token.Put(t, second+"/roles", harness.Body{"roles": []string{"ADMIN"}})
		require.Contains(t, []int{http.StatusForbidden, http.StatusUnauthorized}, a.Status, "%s", a.Raw)
		require.Equal(t, []any{"SCHEDULER"}, admin.Get(t, second).Body["roles"])
	})
	refused := harness.QueryTexts(t, c.Owner(t),
		`SELECT after::json ->> 'operation' FROM audit_events WHERE organization_id = $1 AND outcome = 'denied'
			AND after::json ->> 'code' = 'beyond-own-permissions' ORDER BY 1`, c.Own.ID)
	require.Equal(t, []string{"changeUser", "changeUser", "setUserRoles", "setUserRoles", "setUserRoles"}, refused,
		"all of it is recorded")
}

func TestTheLastAdministratorStays(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	last := c.UserWithRole(t, c.Admin(), rbac.Admin)
	for name, attempt := range map[string]func(from harness.Caller) harness.Answer{
		"demoted": func(from harness.Caller) harness.Answer {
			return from.Put(t, last+"/roles", harness.Body{"roles": []string{"SCHEDULER"}})
		},
		"disabled": func(from harness.Caller) harness.Answer { return from.Patch(t, last, harness.Body{"disabled": true}) },
	} {
		attempt(c.Admin()).Refused(t, http.StatusConflict, "last-administrator")
		require.Equal(t, []any{"ADMIN"}, c.Admin().Get(t, last).Body["roles"], name)
	}
	other := c.AddUser(t, c.Own, "other-admin@own.test", rbac.Admin)
	c.Admin().Patch(t, other, harness.Body{"disabled": true}).OK(t)
	c.Admin().Patch(t, last, harness.Body{"disabled": true}).Refused(t, http.StatusConflict, "last-administrator")
	c.Admin().Patch(t, other, harness.Body{"disabled": false}).OK(t)
	c.SignInByEmail(t, "other-admin@own.test").Put(t, last+"/roles", harness.Body{"roles": []string{"SCHEDULER"}}).OK(t)
}

// TestConcurrentDemotionsKeepAnAdministrator lets the last two administrators remove each other and
// themselves concurrently, on two instances: one of them remains.
func TestConcurrentDemotionsKeepAnAdministrator(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	second := harness.SecondInstance(t, c, c.Database.Open(t))
	first := c.UserWithRole(t, c.Admin(), rbac.Admin)
	other := c.AddUser(t, c.Own, "other-admin@own.test", rbac.Admin)
	owner := c.Owner(t)
	for round := range 10 {
		a, b := c.SignIn(t, "own", rbac.Admin), c.SignInByEmail(t, "other-admin@own.test").Token
		targets := []string{other, first}
		if round%2 == 1 {
			targets = []string{first, other} // each removes themselves
		}
		answers := make([]harness.Answer, 2)
		harness.Concurrently(2, func(i int) {
			from := []harness.Caller{c.As(a), second.As(b)}[i]
			if round%3 == 0 {
				answers[i] = from.Patch(t, targets[i], harness.Body{"disabled": true})
			} else {
				answers[i] = from.Put(t, targets[i]+"/roles", harness.Body{"roles": []string{"SCHEDULER"}})
			}
		})
		left := harness.QueryTexts(t, owner,
			`SELECT u.id::text FROM users u JOIN user_roles r ON r.organization_id = u.organization_id AND r.user_id = u.id
			WHERE u.organization_id = $1 AND u.status = 'ACTIVE' AND r.role = 'ADMIN'`, c.Own.ID)
		require.Len(t, left, 1, "round %d: %s %s", round, answers[0].Raw, answers[1].Raw)
		statuses := []int{answers[0].Status, answers[1].Status}
		require.Contains(t, statuses, http.StatusOK)
		require.NotEqual(t, statuses[0], statuses[1])
		back, err := owner.ExecContext(t.Context(), `UPDATE users SET status = 'ACTIVE' WHERE organization_id = $1`, c.Own.ID)
		require.NoError(t, err)
		require.NotNil(t, back)
		_, err = owner.ExecContext(t.Context(), `INSERT INTO user_roles SELECT organization_id, id, 'ADMIN' FROM users
			WHERE organization_id = $1 AND id IN ($2, $3) ON CONFLICT DO NOTHING`,
			c.Own.ID, harness.IDOf(first), harness.IDOf(other))
		require.NoError(t, err)
	}
}

func TestChangesOfUsersAreOnRecord(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	user := c.AddUser(t, c.Own, "cy@own.test", rbac.Technician)
	c.Admin().Put(t, user+"/roles", harness.Body{"roles": []string{"TECHNICIAN", "BILLER"}}).OK(t)
	c.Admin().Patch(t, user, harness.Body{"disabled": true, "name": "Cyrus Unheard-Of"}).OK(t)
	found := c.Admin().Get(t, "/admin/audit-events?subjectId="+harness.IDOf(user)).OK(t)
	data := found.Body["data"].([]any)
	require.Len(t, data, 3)
	change, grant := data[0].(map[string]any), data[1].(map[string]any)
	require.Equal(t, []any{"user.change", "user.grant"}, []any{change["action"], grant["action"]})
	require.Equal(t, harness.IDOf(c.UserWithRole(t, c.Admin(), rbac.Admin)), grant["actorId"])
	require.Equal(t, []any{"TECHNICIAN"}, grant["before"].(map[string]any)["roles"])
	require.Equal(t, []any{"TECHNICIAN", "BILLER"}, grant["after"].(map[string]any)["roles"])
	require.Equal(t, []any{true, []any{"name"}},
		[]any{change["after"].(map[string]any)["disabled"], change["after"].(map[string]any)["changed"]})
	require.NotContains(t, string(found.Raw), "Unheard-Of")
}
