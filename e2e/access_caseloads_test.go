package e2e

import (
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
)

// patients returns the ids of patients in a list of assignments or guardianships.
func patients(a harness.Answer) []string {
	found := []string{}
	for _, item := range a.Body["data"].([]any) {
		found = append(found, item.(map[string]any)["patientId"].(string))
	}
	return found
}

func TestCaseloadOfAPractitioner(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	practitioner, ada, bo := c.AddPractitioner(t), c.Own.Patient.String(), c.AddPatient(t)
	caseload := "/practitioners/" + practitioner.String() + "/caseload"
	require.Empty(t, patients(c.Admin().Get(t, caseload).OK(t)))
	first := c.Admin().Post(t, caseload, harness.Body{"patientId": ada}).OK(t)
	require.Equal(t, harness.IDOf(c.UserWithRole(t, c.Admin(), rbac.Admin)), first.Text("assignedBy"))
	c.Admin().Post(t, caseload, harness.Body{"patientId": bo}).OK(t)
	again := c.Admin().Post(t, caseload, harness.Body{"patientId": ada}).OK(t)
	require.Equal(t, string(first.Raw), string(again.Raw), "the patients on it remain")
	require.ElementsMatch(t, []string{ada, bo}, patients(c.Admin().Get(t, caseload).OK(t)))
	require.Empty(t, patients(c.Admin().Get(t, "/practitioners/"+c.AddPractitioner(t).String()+"/caseload").OK(t)),
		"another's is another")

	c.Admin().Get(t, "/practitioners/"+uuid.NewString()+"/caseload").
		Refused(t, http.StatusNotFound, "caseload-owner-not-found")
	c.Admin().Post(t, "/practitioners/"+uuid.NewString()+"/caseload", harness.Body{"patientId": ada}).Refused(t,
		http.StatusNotFound,
		"caseload-owner-not-found")
	for _, id := range []any{c.Other.Patient, uuid.New(), practitioner} {
		c.Admin().Post(t, caseload, harness.Body{"patientId": id}).
			Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	}
	c.Admin().Post(t, caseload, harness.Body{"patientId": bo, "organizationId": c.Other.ID}).
		Refused(t, http.StatusUnprocessableEntity, "validation-failed")

	require.Equal(t, http.StatusNoContent, c.Admin().Delete(t, caseload+"/"+ada).Status)
	c.Admin().Delete(t, caseload+"/"+ada).Refused(t, http.StatusNotFound, "assignment-not-found")
	require.Equal(t, []string{bo}, patients(c.Admin().Get(t, caseload).OK(t)))
	require.Equal(t, []string{"caseload.assign", "caseload.unassign"}, harness.QueryTexts(t, c.Owner(t),
		`SELECT action FROM audit_events WHERE subject_id = $1 AND patient_id = $2 AND action <> 'caseload.read'
			ORDER BY sequence`, practitioner, ada))
}

func TestConcurrentAssignmentsToACaseload(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	caseload := "/practitioners/" + c.AddPractitioner(t).String() + "/caseload"
	answers := make([]harness.Answer, 6)
	harness.Concurrently(len(answers), func(i int) {
		answers[i] = c.Admin().
			Post(t, caseload, harness.Body{"patientId": c.Own.Patient})
	})
	for _, a := range answers {
		require.Equal(t, string(answers[0].Raw), string(a.OK(t).Raw))
	}
	require.Len(t, patients(c.Admin().Get(t, caseload).OK(t)), 1)
	require.Equal(t, []string{"1"},
		harness.QueryTexts(t, c.Owner(t), `SELECT count(*)::text FROM audit_events WHERE action = 'caseload.assign'`))
}

func TestPatientsOfAGuardian(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	ada, bo := c.Own.Patient.String(), c.AddPatient(t)
	parent := c.UserWithRole(t, c.Admin(), rbac.Patient)
	family := parent + "/patients"
	require.Empty(t, patients(c.Admin().Get(t, family).OK(t)))
	given := c.Admin().Post(t, family, harness.Body{"patientId": ada, "relation": "GUARDIAN"}).OK(t)
	require.Equal(t, []string{harness.IDOf(parent), ada, "GUARDIAN"},
		[]string{given.Text("userId"), given.Text("patientId"), given.Text("relation")})
	require.Equal(t, string(given.Raw),
		string(c.Admin().Post(t, family, harness.Body{"patientId": ada, "relation": "GUARDIAN"}).OK(t).Raw))
	c.Admin().Post(t, family, harness.Body{"patientId": bo, "relation": "SELF"}).OK(t)
	require.ElementsMatch(t, []string{ada, bo}, patients(c.Admin().Get(t, family).OK(t)))

	c.Admin().Post(t, family, harness.Body{"patientId": ada, "relation": "SELF"}).
		Refused(t, http.StatusConflict, "user-is-patient")
	require.Equal(t, "GUARDIAN",
		c.Admin().Post(t, family, harness.Body{"patientId": bo, "relation": "GUARDIAN"}).OK(t).Text("relation"))
	require.Equal(t, "SELF", c.Admin().Post(t, family, harness.Body{"patientId": ada, "relation": "SELF"}).OK(t).
		Text("relation"))
	c.Admin().Post(t, c.UserWithRole(t, c.Admin(), rbac.Biller)+"/patients",
		harness.Body{"patientId": ada, "relation": "GUARDIAN"}).Refused(t, http.StatusConflict, "user-not-family")
	for _, b := range []harness.Body{
		{"patientId": c.Other.Patient, "relation": "GUARDIAN"},
		{"patientId": uuid.New(), "relation": "GUARDIAN"},
		{"patientId": ada, "relation": "PARENT"},
		{"patientId": ada},
		{"relation": "GUARDIAN"},
		{"patientId": ada, "relation": "GUARDIAN", "userId": uuid.New()},
	} {
		c.Admin().Post(t, family, b).Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	}
	unknownUser := "/users/" + uuid.NewString() + "/patients"
	c.Admin().Get(t, unknownUser).Refused(t, http.StatusNotFound, "user-not-found")
	c.Admin().Post(t, unknownUser, harness.Body{"patientId": ada, "relation": "GUARDIAN"}).
		Refused(t, http.StatusNotFound, "user-not-found")

	require.Equal(t, http.StatusNoContent, c.Admin().Delete(t, family+"/"+bo).Status)
	c.Admin().Delete(t, family+"/"+bo).Refused(t, http.StatusNotFound, "guardianship-not-found")
	c.Admin().Delete(t, unknownUser+"/"+ada).Refused(t, http.StatusNotFound, "guardianship-not-found")
	require.Equal(t, []string{ada}, patients(c.Admin().Get(t, family).OK(t)))
	require.Equal(t, []string{
		`guardian.grant  {"relation":"GUARDIAN"}`, `guardian.grant {"relation":"GUARDIAN"} {"relation":"SELF"}`,
	}, harness.QueryTexts(t, c.Owner(t),
		`SELECT concat(action, ' ', before, ' ', after) FROM audit_events WHERE patient_id = $1 AND action LIKE 'guardian.%'
			AND action <> 'guardian.read' ORDER BY sequence`, ada))
	require.Equal(t, []string{`guardian.revoke {"relation":"GUARDIAN"} `}, harness.QueryTexts(t, c.Owner(t),
		`SELECT concat(action, ' ', before, ' ', after) FROM audit_events WHERE patient_id = $1
			AND action = 'guardian.revoke'`, bo))
}

// TestUsersCannotBeLinkedToAnInaccessibleCaseload lets a technician change users, as an
// organization may allow. Changing a user's practitioner would open another caseload
// and must be refused.
func TestUsersCannotBeLinkedToAnInaccessibleCaseload(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	practitioner := c.AddPractitioner(t)
	c.Admin().Post(t, "/practitioners/"+practitioner.String()+"/caseload", harness.Body{"patientId": c.Own.Patient}).OK(t)
	set := withPermission(c.Admin().PermissionSet(t, rbac.Technician), "user:change", "ORGANIZATION")
	c.Admin().Put(t, "/permission-sets/TECHNICIAN", set).OK(t)
	user := c.AddUser(t, c.Own, "cy@own.test", rbac.Technician)
	cy := c.SignInByEmail(t, "cy@own.test")

	beyond := cy.Patch(t, user, harness.Body{"practitionerId": practitioner}).
		Refused(t, http.StatusForbidden, "beyond-own-permissions")
	require.Equal(t, "patient:read", beyond.Text("exceeds"))
	cy.Get(t, "/patients/"+c.Own.Patient.String()).Refused(t, http.StatusNotFound, "patient-not-found")
	cy.Patch(t, user, harness.Body{"name": "Cy Example"}).OK(t)
	c.Admin().Patch(t, user, harness.Body{"practitionerId": practitioner}).OK(t)
	cy.Get(t, "/patients/"+c.Own.Patient.String()).OK(t)
	cy.Patch(t, user, harness.Body{"name": "Cyrus", "practitionerId": practitioner}).OK(t)
	cy.Patch(t, user, harness.Body{"practitionerId": nil}).OK(t)
}
