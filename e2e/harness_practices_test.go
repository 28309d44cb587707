package e2e

import (
	"maps"
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/directory"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/user"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/identity"
)

// practice is one organization of the clinic with a user of every role.
type practice struct {
	id          uuid.UUID
	tokens      map[rbac.Role]string
	patient     uuid.UUID
	serviceCode uuid.UUID
}

func (p practice) clone() practice {
	p.tokens = maps.Clone(p.tokens)
	return p
}

// twoPractices is a database with a clinic's practices and signed-in users. It is
// created once and cloned for each test.
var twoPractices = dbtest.NewTemplate(func(t testing.TB, database dbtest.Database) {
	// Longer than all tests together.
	c := &clinic{database: database, settings: []string{"OMNI_TOKEN_LIFETIME=1h"}}
	c.listen(t, database.Open(t))
	firstOwn, firstOther = c.found(t, "own"), c.found(t, "other")
})

// firstOwn and firstOther are the practices of [twoPractices].
var firstOwn, firstOther practice

// fill creates two practices if the database does not have them.
func (c *clinic) fill(t testing.TB) {
	t.Helper()
	if twoPractices.IsCloneOf(c.database) {
		c.own, c.other = firstOwn.clone(), firstOther.clone()
	} else {
		c.own, c.other = c.found(t, "own"), c.found(t, "other")
	}
}

// found creates an organization with a user of every role, a patient and a service
// code.
func (c *clinic) found(t testing.TB, name string) practice {
	t.Helper()
	ctx := t.Context()
	organization, err := c.app.Directory.CreateOrganization(ctx,
		directory.NewOrganization{Name: name, TimeZone: "America/New_York"})
	require.NoError(t, err)
	p := practice{id: organization.ID, tokens: map[rbac.Role]string{}}
	system := identity.With(ctx, identity.System(organization.ID))
	for _, role := range rbac.Roles() {
		email := string(role) + "@" + name + ".test"
		_, err := c.app.Access.Users.Create(system, organization.ID, user.NewUser{
			Email: email, Name: string(role), Password: password, Roles: []rbac.Role{role},
		})
		require.NoError(t, err)
		p.tokens[role] = c.signIn(t, name, role)
	}
	admin := c.as(p.tokens[rbac.Admin])
	p.patient = admin.post(t, "/patients", body{"firstName": "Ada", "lastName": "Example", "dateOfBirth": "2019-05-04"}).
		created(t)
	p.serviceCode = admin.post(t, "/service-codes", body{
		"code": "97153", "description": "Treatment by protocol", "unitMinutes": 15,
	}).created(t)
	return p
}

// link links the practice's users: its TECHNICIAN is the practitioner with the patients
// on the caseload, and its PATIENT is their guardian.
func (c *clinic) link(t testing.TB, p practice, practitioner uuid.UUID, patients ...uuid.UUID) {
	t.Helper()
	const user = "(SELECT u.id FROM users u JOIN user_roles r ON r.organization_id = u.organization_id AND r.user_id = " +
		"u.id WHERE u.organization_id = $1 AND r.role = "
	c.run(t, "UPDATE users SET practitioner_id = $2 WHERE id = "+user+"'TECHNICIAN')", p.id, practitioner)
	for _, patient := range patients {
		c.run(t, "INSERT INTO caseloads VALUES ($1, $2, $3, now(), $2)", p.id, practitioner, patient)
		c.run(t, "INSERT INTO guardians VALUES ($1, "+user+"'PATIENT'), $2, 'GUARDIAN', now(), $2)", p.id, patient)
	}
}

// signIn returns an access token of the practice's user with the role.
func (c *clinic) signIn(t testing.TB, practice string, role rbac.Role) string {
	t.Helper()
	answer := c.as("").post(t, "/auth/login", body{"email": string(role) + "@" + practice + ".test", "password": password})
	require.Equal(t, http.StatusOK, answer.status, "%s", answer.raw)
	return answer.text("accessToken")
}
