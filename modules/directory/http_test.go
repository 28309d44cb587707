package directory_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
)

// object is a JSON object.
type object = map[string]any

// serve returns a function that calls the routes as a caller of the own or the other
// organization. Package app tests tokens, permissions and problem documents.
func (r register) serve(t testing.TB) func(own bool, method, path, body string) (int, http.Header, object) {
	e := echo.New()
	for _, route := range r.Routes() {
		require.NotEmpty(t, route.Permission, "%s %s", route.Method, route.Path)
		require.NotEmpty(t, route.Summary, "%s %s", route.Method, route.Path)
		e.Add(route.Method, route.Path, route.Endpoint.Serve)
	}
	statuses := map[fault.Kind]int{fault.Invalid: 422, fault.NotFound: 404, fault.Conflict: 409, fault.Malformed: 400}
	e.HTTPErrorHandler = func(err error, c echo.Context) {
		f, ok := errors.AsType[*fault.Error](err)
		if !ok {
			t.Errorf("%s %s: %v", c.Request().Method, c.Path(), err)
			_ = c.NoContent(http.StatusInternalServerError)
			return
		}
		_ = c.JSON(statuses[f.Kind()], object{"code": f.Code(), "details": f.Details()})
	}
	return func(own bool, method, path, body string) (int, http.Header, object) {
		t.Helper()
		ctx := r.other
		if own {
			ctx = r.own
		}
		caller, err := identity.From(ctx)
		require.NoError(t, err)
		request := httptest.NewRequestWithContext(identity.With(t.Context(), caller), method, path, strings.NewReader(body))
		request.Header.Set("Content-Type", "application/json")
		recorder := httptest.NewRecorder()
		e.ServeHTTP(recorder, request)
		var answer object
		require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &answer), "%s", recorder.Body)
		return recorder.Code, recorder.Header(), answer
	}
}

func TestCommonOperations(t *testing.T) {
	t.Parallel()
	r := open(t)
	call := r.serve(t)
	made := func(path, body string) string {
		status, _, answer := call(true, "POST", path, body)
		require.Equal(t, http.StatusCreated, status, "%v", answer)
		return answer["id"].(string)
	}
	patient := made("/patients", `{"firstName":"Ada","lastName":"Example","dateOfBirth":"2019-05-04"}`)
	payer := made("/payers", `{"name":"Example Health"}`)

	for _, noun := range []struct{ path, code, body, change, field, value, want string }{
		{
			"/patients", "patient-not-found",
			`{"firstName":"Bo","lastName":"Example","dateOfBirth":"2018-01-31","medicalRecordNumber":"7"}`,
			`{"medicalRecordNumber":null}`,
			"medicalRecordNumber", `"7"`, `null`,
		},
		{
			"/practitioners", "practitioner-not-found",
			`{"firstName":"Grace","lastName":"Example","licenseNumber":"L-1","npi":"1234567893",
				"credentials":["RBT",{"code":"BCBA","expiresOn":"2027-01-31"}]}`,
			`{"credentials":[{"code":"BCaBA"}]}`,
			"credentials", `[{"code":"BCBA","expiresOn":"2027-01-31"},{"code":"RBT","expiresOn":null}]`,
			`[{"code":"BCaBA","expiresOn":null}]`,
		},
		{
			"/payers", "payer-not-found", `{"name":"Medicaid","rounding":"FLOOR"}`,
			`{"rounding":"MIDPOINT","weekStartsOn":"MONDAY"}`, "rounding", `"FLOOR"`, `"MIDPOINT"`,
		},
		{
			"/insurances", "insurance-not-found",
			fmt.Sprintf(`{"patientId":%q,"payerId":%q,"memberNumber":"M-1","startsOn":"2026-01-01"}`, patient, payer),
			`{"endsOn":"2026-12-31"}`,
			"endsOn", `null`, `"2026-12-31"`,
		},
		{
			"/service-codes", "service-code-not-found",
			`{"code":"97153","description":"Treatment by protocol","unitMinutes":15,"requiredCredentials":["RBT"]}`,
			`{"requiredCredentials":[]}`,
			"requiredCredentials", `["RBT"]`, `[]`,
		},
	} {
		t.Run(strings.TrimPrefix(noun.path, "/"), func(t *testing.T) {
			status, header, created := call(true, "POST", noun.path, noun.body)
			require.Equal(t, http.StatusCreated, status, "%v", created)
			one := noun.path + "/" + created["id"].(string)
			require.Equal(t, "/api/v1"+one, header.Get("Location"))
			require.Equal(t, r.ownID.String(), created["organizationId"])
			require.JSONEq(t, noun.value, encoded(t, created[noun.field]))
			require.EqualValues(t, 1, created["version"])
			require.Contains(t, created, "createdAt")
			require.Contains(t, created, "updatedAt")

			status, _, read := call(true, "GET", one, "")
			require.Equal(t, http.StatusOK, status)
			require.Equal(t, encoded(t, created), encoded(t, read), "it is read as it was returned")

			_, _, list := call(true, "GET", noun.path+"?limit=200", "")
			require.Contains(t, encoded(t, list["data"]), encoded(t, created["id"]))

			// In another organization it does not exist, for any method.
			for _, method := range []string{"GET", "PATCH"} {
				status, _, problem := call(false, method, one, map[string]string{"PATCH": noun.change}[method])
				require.Equal(t, http.StatusNotFound, status, "%s: %v", method, problem)
				require.Equal(t, noun.code, problem["code"])
			}
			_, _, list = call(false, "GET", noun.path, "")
			require.Equal(t, []any{}, list["data"])
			_, _, after := call(true, "GET", one, "")
			require.Equal(t, encoded(t, read), encoded(t, after), "and was not changed")

			status, _, changed := call(true, "PATCH", one, noun.change)
			require.Equal(t, http.StatusOK, status, "%v", changed)
			require.JSONEq(t, noun.want, encoded(t, changed[noun.field]))
			require.EqualValues(t, 2, changed["version"])

			for _, body := range []string{
				`{"organizationId":"` + r.ownID.String() + `"}`, `{"id":"` + patient + `"}`, `{"version":7}`, `{"unknown":1}`,
			} {
				status, _, problem := call(true, "PATCH", one, body)
				require.Equal(t, http.StatusUnprocessableEntity, status, "%s: %v", body, problem)
			}
			status, _, problem := call(true, "POST", noun.path, `{}`)
			require.Equal(t, http.StatusUnprocessableEntity, status, "%v", problem)
		})
	}
}

func encoded(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	require.NoError(t, err)
	return string(b)
}

func TestPages(t *testing.T) {
	t.Parallel()
	r := open(t)
	call := r.serve(t)
	const n = 5
	for i := range n {
		status, _, answer := call(true, "POST", "/payers", fmt.Sprintf(`{"name":"Payer %d"}`, i))
		require.Equal(t, http.StatusCreated, status, "%v", answer)
	}
	var seen []string
	next := "/payers?limit=2"
	for pages := 1; ; pages++ {
		_, _, answer := call(true, "GET", next, "")
		for _, payer := range answer["data"].([]any) {
			seen = append(seen, payer.(object)["name"].(string))
		}
		if answer["nextCursor"] == nil {
			require.Equal(t, 3, pages)
			break
		}
		next = "/payers?limit=2&cursor=" + answer["nextCursor"].(string)
	}
	require.Equal(t, []string{"Payer 0", "Payer 1", "Payer 2", "Payer 3", "Payer 4"}, seen)

	for path, status := range map[string]int{
		"/payers?cursor=nonsense": 422, "/payers?limit=0": 422, "/payers?limit=201": 422, "/payers?name=x": 400,
		"/patients?lastName=Example": 400, "/patients?status=GONE": 422,
	} {
		got, _, answer := call(true, "GET", path, "")
		require.Equal(t, status, got, "%s: %v", path, answer)
	}
}

func TestPatientSearch(t *testing.T) {
	t.Parallel()
	r := open(t)
	call := r.serve(t)
	for _, body := range []string{
		`{"firstName":"Ada","lastName":"Smith","dateOfBirth":"2019-05-04","medicalRecordNumber":"A-1"}`,
		`{"firstName":"Bo","lastName":"Smythe","dateOfBirth":"2018-05-04"}`,
		`{"firstName":"Cy","lastName":"Jones","dateOfBirth":"2018-05-04"}`,
	} {
		status, _, answer := call(true, "POST", "/patients", body)
		require.Equal(t, http.StatusCreated, status, "%v", answer)
	}
	for body, names := range map[string]string{
		`{"lastName":"sm"}`:                  "Ada Bo",
		`{"medicalRecordNumber":"A-1"}`:      "Ada",
		`{"medicalRecordNumber":"a-"}`:       "",
		`{"dateOfBirth":"2018-05-04"}`:       "Bo Cy",
		`{"lastName":"j","status":"ACTIVE"}`: "Cy",
		`{}`:                                 "Ada Bo Cy",
	} {
		status, _, answer := call(true, "POST", "/patients/search", body)
		require.Equal(t, http.StatusOK, status, "%v", answer)
		var found []string
		for _, p := range answer["data"].([]any) {
			found = append(found, p.(object)["firstName"].(string))
		}
		require.Equal(t, names, strings.Join(found, " "), body)
		_, _, elsewhere := call(false, "POST", "/patients/search", body)
		require.Equal(t, []any{}, elsewhere["data"])
	}
}

func TestErrorsNameTheirField(t *testing.T) {
	t.Parallel()
	r := open(t)
	call := r.serve(t)
	for _, c := range []struct{ path, body, code, field string }{
		{
			"/patients", `{"firstName":"Ada","lastName":"Example","dateOfBirth":"2019-05-04","medicalRecordNumber":"7"}`,
			"medical-record-number-taken", "medicalRecordNumber",
		},
		{"/practitioners", `{"firstName":"Grace","lastName":"Example","npi":"1234567893"}`, "npi-taken", "npi"},
		{"/service-codes", `{"code":"97153","description":"Treatment by protocol"}`, "service-code-taken", "code"},
	} {
		status, _, answer := call(true, "POST", c.path, c.body)
		require.Equal(t, http.StatusCreated, status, "%v", answer)
		status, _, answer = call(true, "POST", c.path, c.body)
		require.Equal(t, http.StatusConflict, status, "%v", answer)
		require.Equal(t, c.code, answer["code"])
		require.Equal(t, c.field, answer["details"].(object)["field"])
	}
	tooLong := strings.Repeat("x", 101)
	for body, fields := range map[string]string{
		`{}`: "dateOfBirth firstName lastName",
		`{"firstName":"","lastName":" ","dateOfBirth":"2026-02-30"}`:                      "dateOfBirth firstName lastName",
		`{"firstName":"A\u0007","lastName":"` + tooLong + `","dateOfBirth":"2199-01-01"}`: "firstName lastName",
		`{"firstName":"A","lastName":"B","dateOfBirth":"2199-01-01",
			"medicalRecordNumber":" 7"}`: "dateOfBirth medicalRecordNumber",
		`{"firstName":"A","lastName":"B","dateOfBirth":"2019-01-01",
			"medicalRecordNumber":"` + tooLong + `"}`: "medicalRecordNumber",
	} {
		status, _, answer := call(true, "POST", "/patients", body)
		require.Equal(t, http.StatusUnprocessableEntity, status, "%s: %v", body, answer)
		details := encoded(t, answer["details"])
		for field := range strings.FieldsSeq(fields) {
			require.Contains(t, details, `"field":"`+field+`"`, body)
		}
		require.Equal(t, len(strings.Fields(fields)), strings.Count(details, `"field":`), "%s: %s", body, details)
	}

	_, _, patient := call(true, "POST", "/patients", `{"firstName":"Bo","lastName":"Example","dateOfBirth":"2019-05-04"}`)
	_, _, practitioner := call(true, "POST", "/practitioners", `{"firstName":"Bo","lastName":"Example"}`)
	require.Equal(t, []any{}, practitioner["credentials"])
	_, _, payer := call(true, "POST", "/payers", `{"name":"Example Health"}`)
	_, _, code := call(true, "POST", "/service-codes", `{"code":"97154","description":"Group"}`)
	for _, c := range []struct {
		path   string
		record object
		body   string
		field  string
	}{
		{"/patients/", patient, `{"firstName":""}`, "firstName"},
		{"/patients/", patient, `{"lastName":null}`, "lastName"},
		{"/patients/", patient, `{"dateOfBirth":null}`, "dateOfBirth"},
		{"/patients/", patient, `{"dateOfBirth":"2199-01-01"}`, "dateOfBirth"},
		{"/patients/", patient, `{"medicalRecordNumber":""}`, "medicalRecordNumber"},
		{"/patients/", patient, `{"status":"DELETED"}`, "status"},
		{"/practitioners/", practitioner, `{"npi":"12"}`, "npi"},
		{"/practitioners/", practitioner, `{"credentials":null}`, "credentials"},
		{"/practitioners/", practitioner, `{"credentials":["BCBA","B C"]}`, "credentials[1].code"},
		{"/practitioners/", practitioner, `{"credentials":[{"code":"BCBA","expires":"2027-01-01"}]}`, "credentials[0]"},
		{"/practitioners/", practitioner, `{"credentials":[7]}`, "credentials[0]"},
		{"/payers/", payer, `{"rounding":"UP"}`, "rounding"},
		{"/payers/", payer, `{"weekStartsOn":""}`, "weekStartsOn"},
		{"/payers/", payer, `{"rounding":"FLOOR","roundingFrom":"2026-03-01"}`, "roundingFrom"},
		{"/payers/", payer, `{"rounding":"FLOOR","roundingFrom":null}`, "roundingFrom"},
		{"/payers/", payer, `{"roundingFrom":"2026-03-02"}`, "rounding"},
		{"/service-codes/", code, `{"lane":"PARENT"}`, "lane"},
	} {
		status, _, answer := call(true, "PATCH", c.path+c.record["id"].(string), c.body)
		require.Equal(t, http.StatusUnprocessableEntity, status, "%s: %v", c.body, answer)
		require.Contains(t, encoded(t, answer["details"]), `"field":"`+c.field+`"`, c.body)
	}
}
