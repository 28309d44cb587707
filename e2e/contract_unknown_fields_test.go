package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
)

// fieldErrors returns the errors of a refused request, by field.
func fieldErrors(t testing.TB, a harness.Answer) map[string]fieldError {
	t.Helper()
	var problem struct{ Errors []fieldError }
	require.NoError(t, json.Unmarshal(a.Raw, &problem))
	byField := map[string]fieldError{}
	for _, e := range problem.Errors {
		byField[e.Field] = e
	}
	return byField
}

type fieldError struct {
	Field, Code, Message, Nearest string
	Known                         []string
}

func TestUnknownFieldsNameTheNearestKnownField(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	for given, nearest := range map[string]string{
		"firstname": "firstName", "first_name": "firstName", "fristName": "firstName", "dateOfBrith": "dateOfBirth",
		"lastName2": "lastName", "favouriteColour": "", strings.Repeat("x", 5000): "",
	} {
		errors := fieldErrors(t, c.Admin().Post(t, "/patients", harness.Body{given: "A"}).
			Refused(t, http.StatusUnprocessableEntity, "validation-failed"))
		if len(given) > 64 {
			given = given[:64] + "…"
		}
		e := errors[given]
		require.Equal(t, "unknown", e.Code, given)
		require.Equal(t, nearest, e.Nearest, given)
		require.Contains(t, e.Known, "firstName")
		require.IsIncreasing(t, e.Known)
		if nearest == "" {
			require.Equal(t, "is not a known field", e.Message)
		} else {
			require.Equal(t, "is not a known field (did you mean "+nearest+"?)", e.Message)
		}
	}
}

func TestUnknownFieldsAreNamedInsideOfLists(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	errors := fieldErrors(t, c.Admin().Post(t, "/units/bulk", harness.Body{"operations": []any{
		harness.Body{"operation": "reserve", "authorizationId": uuid.New(), "unit": 1},
	}}).Refused(t, http.StatusUnprocessableEntity, "validation-failed"))
	require.Equal(t, "units", errors["operations[0].unit"].Nearest)
	require.Contains(t, errors["operations[0].unit"].Known, "expiresInSeconds")
	require.NotContains(t, errors["operations[0].unit"].Known, "operations")
}

func TestUnknownParametersNameTheNearestKnownParameter(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	a := c.Admin().Get(t, "/appointments?practitionerID=1&colour=red").
		Refused(t, http.StatusBadRequest, "malformed-request")
	require.Equal(t, "Unknown query parameter: colour, practitionerID (did you mean practitionerId?).", a.Text("detail"))
	errors := fieldErrors(t, a)
	require.Equal(t, "practitionerId", errors["practitionerID"].Nearest)
	require.Empty(t, errors["colour"].Nearest)
	require.Contains(t, errors["colour"].Known, "status")
	require.NotContains(t, errors["colour"].Known, "Break-Glass", "headers are not parameters of the query")
}

// TestAnEmptyBodyNamesEveryMissingField sends an empty object to every operation that needs a body.
func TestAnEmptyBodyNamesEveryMissingField(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	operations, schemas := readOperations(t)
	tested := 0
	for _, op := range operations {
		body := op.body
		if ref, ok := body["$ref"].(string); ok {
			body = schemas[strings.TrimPrefix(ref, "#/components/schemas/")]
		}
		required, _ := body["required"].([]any)
		if len(required) == 0 || strings.HasPrefix(op.path, "/organizations") { // these are for super administrators
			continue
		}
		tested++
		path := strings.NewReplacer("{id}", uuid.NewString(), "{role}", "BILLER", "{deliveryId}", "1").Replace(op.path)
		a := c.Admin().Send(t, op.method, path, harness.Body{})
		require.Equal(t, http.StatusUnprocessableEntity, a.Status, op.name)
		errors := fieldErrors(t, a)
		for _, field := range required {
			require.Equal(t, "required", errors[field.(string)].Code, "%s of %s", field, op.name)
		}
	}
	require.Greater(t, tested, 40)
}
