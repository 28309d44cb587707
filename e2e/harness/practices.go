package harness

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

// Practice is one organization of the clinic with a user of every role.
type Practice struct {
	ID          uuid.UUID
	Tokens      map[rbac.Role]string // access tokens of its users
	Patient     uuid.UUID            // id of its patient
	ServiceCode uuid.UUID            // id of its service code
}

func (p Practice) clone() Practice {
	p.Tokens = maps.Clone(p.Tokens)
	return p
}

// TwoPractices is a database with a clinic's practices and signed-in users. It is
// created once and cloned for each test.
var TwoPractices = dbtest.NewTemplate(func(t testing.TB, database dbtest.Database) {
	// The tokens are valid for longer than all tests together.
	c := &Clinic{Database: database, Settings: []string{"OMNI_TOKEN_LIFETIME=1h"}}
	c.Start(t, database.Open(t))
	firstOwn, firstOther = c.AddPractice(t, "own"), c.AddPractice(t, "other")
})

// firstOwn and firstOther are the practices of [TwoPractices].
var firstOwn, firstOther Practice

// AddPractices creates two practices if the database does not have them.
func (c *Clinic) AddPractices(t testing.TB) {
	t.Helper()
	if TwoPractices.IsCloneOf(c.Database) {
		c.Own, c.Other = firstOwn.clone(), firstOther.clone()
	} else {
		c.Own, c.Other = c.AddPractice(t, "own"), c.AddPractice(t, "other")
	}
}

// AddPractice creates an organization with a user of every role, a patient and a service
// code.
func (c *Clinic) AddPractice(t testing.TB, name string) Practice {
	t.Helper()
	ctx := t.Context()
	organization, err := c.App.Directory.CreateOrganization(ctx,
		directory.NewOrganization{Name: name, TimeZone: "America/New_York"})
	require.NoError(t, err)
	p := Practice{ID: organization.ID, Tokens: map[rbac.Role]string{}}
	system := identity.With(ctx, identity.System(organization.ID))
	for _, role := range rbac.Roles() {
		email := string(role) + "@" + name + ".test"
		_, err := c.App.Access.Users.Create(system, organization.ID, user.NewUser{
			Email: email, Name: string(role), Password: Password, Roles: []rbac.Role{role},
		})
		require.NoError(t, err)
		p.Tokens[role] = c.SignIn(t, name, role)
	}
	admin := c.As(p.Tokens[rbac.Admin])
	p.Patient = admin.Post(t, "/patients", Body{"firstName": "Ada", "lastName": "Example", "dateOfBirth": "2019-05-04"}).
		Created(t)
	p.ServiceCode = admin.Post(t, "/service-codes", Body{
		"code": "97153", "description": "Treatment by protocol", "unitMinutes": 15,
	}).Created(t)
	return p
}

// LinkUsers links the practice's users: its TECHNICIAN is the practitioner with the patients
// on the caseload, and its PATIENT is their guardian.
func (c *Clinic) LinkUsers(t testing.TB, p Practice, practitioner uuid.UUID, patients ...uuid.UUID) {
	t.Helper()
	const user = "(SELECT u.id FROM users u JOIN user_roles r ON r.organization_id = u.organization_id AND r.user_id = " +
		"u.id WHERE u.organization_id = $1 AND r.role = "
	c.Exec(t, "UPDATE users SET practitioner_id = $2 WHERE id = "+user+"'TECHNICIAN')", p.ID, practitioner)
	for _, patient := range patients {
		c.Exec(t, "INSERT INTO caseloads VALUES ($1, $2, $3, now(), $2)", p.ID, practitioner, patient)
		c.Exec(t, "INSERT INTO guardians VALUES ($1, "+user+"'PATIENT'), $2, 'GUARDIAN', now(), $2)", p.ID, patient)
	}
}

// SignIn returns an access token of the practice's user with the role.
func (c *Clinic) SignIn(t testing.TB, practice string, role rbac.Role) string {
	t.Helper()
	answer := c.As("").Post(t, "/auth/login", Body{"email": string(role) + "@" + practice + ".test", "password": Password})
	require.Equal(t, http.StatusOK, answer.Status, "%s", answer.Raw)
	return answer.Text("accessToken")
}
