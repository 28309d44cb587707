package e2e

import (
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
)

// patients returns the ids of patients in a list of assignments or guardianships.
func patients(a answer) []string {
	found := []string{}
	for _, item := range a.body["data"].([]any) {
		found = append(found, item.(map[string]any)["patientId"].(string))
	}
	return found
}

func (c *clinic) anotherPatient(t testing.TB) string {
	t.Helper()
	return c.admin().post(t, "/patients", body{"firstName": "Bo", "lastName": "Example", "dateOfBirth": "2018-01-01"}).
		created(t).String()
}

func TestCaseloadOfAPractitioner(t *testing.T) {
	t.Parallel()
	c := open(t)
	who, ada, bo := c.employ(t), c.own.patient.String(), c.anotherPatient(t)
	caseload := "/practitioners/" + who.String() + "/caseload"
	require.Empty(t, patients(c.admin().get(t, caseload).ok(t)))
	first := c.admin().post(t, caseload, body{"patientId": ada}).ok(t)
	require.Equal(t, idOf(c.userWith(t, c.admin(), rbac.Admin)), first.text("assignedBy"))
	c.admin().post(t, caseload, body{"patientId": bo}).ok(t)
	again := c.admin().post(t, caseload, body{"patientId": ada}).ok(t)
	require.Equal(t, string(first.raw), string(again.raw), "the patients on it remain")
	require.ElementsMatch(t, []string{ada, bo}, patients(c.admin().get(t, caseload).ok(t)))
	require.Empty(t, patients(c.admin().get(t, "/practitioners/"+c.employ(t).String()+"/caseload").ok(t)),
		"another's is another")

	c.admin().get(t, "/practitioners/"+uuid.NewString()+"/caseload").
		refused(t, http.StatusNotFound, "caseload-owner-not-found")
	c.admin().post(t, "/practitioners/"+uuid.NewString()+"/caseload", body{"patientId": ada}).refused(t,
		http.StatusNotFound,
		"caseload-owner-not-found")
	for _, id := range []any{c.other.patient, uuid.New(), who} {
		c.admin().post(t, caseload, body{"patientId": id}).refused(t, http.StatusUnprocessableEntity, "validation-failed")
	}
	c.admin().post(t, caseload, body{"patientId": bo, "organizationId": c.other.id}).
		refused(t, http.StatusUnprocessableEntity, "validation-failed")

	require.Equal(t, http.StatusNoContent, c.admin().delete(t, caseload+"/"+ada).status)
	c.admin().delete(t, caseload+"/"+ada).refused(t, http.StatusNotFound, "assignment-not-found")
	require.Equal(t, []string{bo}, patients(c.admin().get(t, caseload).ok(t)))
	require.Equal(t, []string{"caseload.assign", "caseload.unassign"}, texts(t, c.owner(t),
		`SELECT action FROM audit_events WHERE subject_id = $1 AND patient_id = $2 AND action <> 'caseload.read'
			ORDER BY sequence`, who, ada))
}

func TestConcurrentAssignmentsToACaseload(t *testing.T) {
	t.Parallel()
	c := open(t)
	caseload := "/practitioners/" + c.employ(t).String() + "/caseload"
	answers := make([]answer, 6)
	together(len(answers), func(i int) { answers[i] = c.admin().post(t, caseload, body{"patientId": c.own.patient}) })
	for _, a := range answers {
		require.Equal(t, string(answers[0].raw), string(a.ok(t).raw))
	}
	require.Len(t, patients(c.admin().get(t, caseload).ok(t)), 1)
	require.Equal(t, []string{"1"},
		texts(t, c.owner(t), `SELECT count(*)::text FROM audit_events WHERE action = 'caseload.assign'`))
}

func TestPatientsOfAGuardian(t *testing.T) {
	t.Parallel()
	c := open(t)
	ada, bo := c.own.patient.String(), c.anotherPatient(t)
	parent := c.userWith(t, c.admin(), rbac.Patient)
	family := parent + "/patients"
	require.Empty(t, patients(c.admin().get(t, family).ok(t)))
	given := c.admin().post(t, family, body{"patientId": ada, "relation": "GUARDIAN"}).ok(t)
	require.Equal(t, []string{idOf(parent), ada, "GUARDIAN"},
		[]string{given.text("userId"), given.text("patientId"), given.text("relation")})
	require.Equal(t, string(given.raw),
		string(c.admin().post(t, family, body{"patientId": ada, "relation": "GUARDIAN"}).ok(t).raw))
	c.admin().post(t, family, body{"patientId": bo, "relation": "SELF"}).ok(t)
	require.ElementsMatch(t, []string{ada, bo}, patients(c.admin().get(t, family).ok(t)))

	c.admin().post(t, family, body{"patientId": ada, "relation": "SELF"}).
		refused(t, http.StatusConflict, "user-is-patient")
	require.Equal(t, "GUARDIAN",
		c.admin().post(t, family, body{"patientId": bo, "relation": "GUARDIAN"}).ok(t).text("relation"))
	require.Equal(t, "SELF", c.admin().post(t, family, body{"patientId": ada, "relation": "SELF"}).ok(t).text("relation"))
	c.admin().post(t, c.userWith(t, c.admin(), rbac.Biller)+"/patients",
		body{"patientId": ada, "relation": "GUARDIAN"}).refused(t, http.StatusConflict, "user-not-family")
	for _, b := range []body{
		{"patientId": c.other.patient, "relation": "GUARDIAN"},
		{"patientId": uuid.New(), "relation": "GUARDIAN"},
		{"patientId": ada, "relation": "PARENT"},
		{"patientId": ada},
		{"relation": "GUARDIAN"},
		{"patientId": ada, "relation": "GUARDIAN", "userId": uuid.New()},
	} {
		c.admin().post(t, family, b).refused(t, http.StatusUnprocessableEntity, "validation-failed")
	}
	unknownUser := "/users/" + uuid.NewString() + "/patients"
	c.admin().get(t, unknownUser).refused(t, http.StatusNotFound, "user-not-found")
	c.admin().post(t, unknownUser, body{"patientId": ada, "relation": "GUARDIAN"}).
		refused(t, http.StatusNotFound, "user-not-found")

	require.Equal(t, http.StatusNoContent, c.admin().delete(t, family+"/"+bo).status)
	c.admin().delete(t, family+"/"+bo).refused(t, http.StatusNotFound, "guardianship-not-found")
	c.admin().delete(t, unknownUser+"/"+ada).refused(t, http.StatusNotFound, "guardianship-not-found")
	require.Equal(t, []string{ada}, patients(c.admin().get(t, family).ok(t)))
	require.Equal(t, []string{
		`guardian.grant  {"relation":"GUARDIAN"}`, `guardian.grant {"relation":"GUARDIAN"} {"relation":"SELF"}`,
	}, texts(t, c.owner(t),
		`SELECT concat(action, ' ', before, ' ', after) FROM audit_events WHERE patient_id = $1 AND action LIKE 'guardian.%'
			AND action <> 'guardian.read' ORDER BY sequence`, ada))
	require.Equal(t, []string{`guardian.revoke {"relation":"GUARDIAN"} `}, texts(t, c.owner(t),
		`SELECT concat(action, ' ', before, ' ', after) FROM audit_events WHERE patient_id = $1
			AND action = 'guardian.revoke'`, bo))
}

// TestUsersCannotBeLinkedToAnInaccessibleCaseload lets a technician change users, as an
// organization may allow. Changing a user's practitioner would open another caseload
// and must be refused.
func TestUsersCannotBeLinkedToAnInaccessibleCaseload(t *testing.T) {
	t.Parallel()
	c := open(t)
	who := c.employ(t)
	c.admin().post(t, "/practitioners/"+who.String()+"/caseload", body{"patientId": c.own.patient}).ok(t)
	set := with(c.admin().set(t, rbac.Technician), "user:change", "ORGANIZATION")
	c.admin().put(t, "/permission-sets/TECHNICIAN", set).ok(t)
	user := c.hire(t, c.own, "cy@own.test", rbac.Technician)
	cy := c.enter(t, "cy@own.test")

	beyond := cy.patch(t, user, body{"practitionerId": who}).refused(t, http.StatusForbidden, "beyond-own-permissions")
	require.Equal(t, "patient:read", beyond.text("exceeds"))
	cy.get(t, "/patients/"+c.own.patient.String()).refused(t, http.StatusNotFound, "patient-not-found")
	cy.patch(t, user, body{"name": "Cy Example"}).ok(t)
	c.admin().patch(t, user, body{"practitionerId": who}).ok(t)
	cy.get(t, "/patients/"+c.own.patient.String()).ok(t)
	cy.patch(t, user, body{"name": "Cyrus", "practitionerId": who}).ok(t)
	cy.patch(t, user, body{"practitionerId": nil}).ok(t)
}
