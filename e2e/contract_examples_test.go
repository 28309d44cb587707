package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/platform/openapi"
)

// shownRequest is the request that Swagger UI sends if the reader changes nothing.
type shownRequest struct {
	operation, method, path string
	public                  bool
	media, body             string
}

// refusedInTheDemo are operations whose example is refused on a fresh demo practice, with
// the reason.
var refusedInTheDemo = map[string]string{
	"startProviderSignIn":    "the demo has no identity provider",
	"finishProviderSignIn":   "the demo has no identity provider",
	"getIdentityProvider":    "the demo has no identity provider",
	"removeIdentityProvider": "the demo has no identity provider",
	"exchangeSignInCode":     "the demo has no identity provider",
	"confirmLinkRequest":     "the demo has no identity provider",
	"declineLinkRequest":     "the demo has no identity provider",
	"unlinkUser":             "the demo has no identity provider",
	"setIdentityProvider":    "no public address is configured",
	"readCalendar":           "the file's name is a secret that is shown once, when the feed is created",
	"listAnonymousAttempts":  "for super administrators",
	"getVerification":        "no verification has run yet",
	"createOrganization":     "for super administrators",
	"switchOrganization":     "for super administrators",
	"refreshSignIn":          "the refresh token is a secret of the sign-in",
	"clearRefusedAddress":    "no mail is sent from the demo practice",
	"requestPasswordReset":   "the demo sends no mail",
	"resetPassword":          "the token is a secret of the link",
	"acceptInvitation":       "the token is a secret of the link",
	"confirmMySecondFactor":  "the code comes from an authenticator",
	"renewMyRecoveryCodes":   "the code comes from an authenticator",
	"turnMySecondFactorOff":  "the code comes from an authenticator",
	"takeSecondFactor":       "the user has no second factor",
	"endMySession":           "sign-ins begin after the document is read",
	"endUserSession":         "sign-ins begin after the document is read",
	"redeliver":              "the webhooks are switched off, so there are no deliveries",
	"signSession":            "the hash is that of another text",
}

// startable is an operation whose success depends on the time of day.
const startable = "startAppointment"

// shownRequests reads the requests from the served document, in order.
func shownRequests(t *testing.T, c *harness.Clinic) []shownRequest {
	t.Helper()
	response, err := http.Get(c.URL + "/api/openapi.json")
	require.NoError(t, err)
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	document, err := openapi.Parse(raw)
	require.NoError(t, err)
	var all []shownRequest
	for path, item := range document.Get("paths").(*openapi.Object).All() {
		for method, operation := range item.(*openapi.Object).All() {
			all = append(all, shownAs(t, path, method, operation.(*openapi.Object)))
		}
	}
	return all
}

func shownAs(t *testing.T, path, method string, operation *openapi.Object) shownRequest {
	t.Helper()
	r := shownRequest{
		operation: operation.Get("operationId").(string), method: strings.ToUpper(method), path: path,
		public: operation.Get("security") != nil,
	}
	query := url.Values{}
	parameters, _ := operation.Get("parameters").([]any)
	for _, item := range parameters {
		p := item.(*openapi.Object)
		name, example := p.Get("name").(string), p.Get("example")
		if example == nil {
			continue
		}
		switch p.Get("in") {
		case "path":
			r.path = strings.ReplaceAll(r.path, "{"+name+"}", url.PathEscape(fmt.Sprint(example)))
		case "query":
			query.Set(name, fmt.Sprint(example))
		default:
			t.Errorf("%s has an example in the %s", r.operation, p.Get("in"))
		}
	}
	if len(query) > 0 {
		r.path += "?" + query.Encode()
	}
	if body, ok := operation.Get("requestBody").(*openapi.Object); ok {
		for media, content := range body.Get("content").(*openapi.Object).All() {
			r.media = media
			for _, example := range content.(*openapi.Object).Get("examples").(*openapi.Object).All() {
				text, err := json.Marshal(example.(*openapi.Object).Get("value"))
				require.NoError(t, err)
				r.body = string(text)
				break
			}
			break
		}
	}
	return r
}

// execute sends the request as shown.
func execute(t *testing.T, c harness.Caller, r shownRequest) harness.Answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), r.method, c.URL+r.path, strings.NewReader(r.body))
	require.NoError(t, err)
	if r.media != "" {
		request.Header.Set("Content-Type", r.media)
	}
	if !r.public {
		request.Header.Set("Authorization", "Bearer "+c.Token)
	}
	if r.operation == "listenToEvents" { // the answer does not end
		response, err := harness.Browser.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		return harness.Answer{Status: response.StatusCode}
	}
	return c.Do(t, request, r.path)
}

// demoClinic starts the program on a database with the demo practice.
func demoClinic(t *testing.T) *harness.Clinic {
	t.Helper()
	c, _ := openPracticeOn(t, loadedDemo.New(t))
	return c
}

// requestsByName returns the requests by their operation.
func requestsByName(requests []shownRequest) map[string]shownRequest {
	byName := map[string]shownRequest{}
	for _, r := range requests {
		byName[r.operation] = r
	}
	return byName
}

// signInToDemo signs in with the example.
func signInToDemo(t *testing.T, c *harness.Clinic, requests []shownRequest) harness.Caller {
	t.Helper()
	a := execute(t, c.As(""), requestsByName(requests)["signIn"])
	require.Equal(t, http.StatusOK, a.Status, "%s", a.Raw)
	return c.As(a.Text("accessToken"))
}

func TestFirstExecuteOfSwaggerUIReadsTheDemo(t *testing.T) {
	t.Parallel()
	executeReads(t, demoClinic(t))
}

// executeReads executes every GET.
func executeReads(t *testing.T, c *harness.Clinic) {
	t.Helper()
	requests := shownRequests(t, c)
	admin := signInToDemo(t, c, requests)
	for _, r := range requests {
		if r.method != http.MethodGet {
			continue
		}
		a := execute(t, admin, r)
		_, refused := refusedInTheDemo[r.operation]
		require.Equal(t, !refused, a.Status < http.StatusMultipleChoices, "%s %s answers %d: %s", r.operation, r.path,
			a.Status, a.Raw)
		if r.operation == "listOpenings" {
			require.NotEmpty(t, a.Body["data"])
		}
	}
}

func TestFirstExecuteOfSwaggerUIWritesInTheDemo(t *testing.T) {
	t.Parallel()
	executeWrites(t, demoClinic(t))
}

// executeWrites executes every operation that is not a GET, in the order of the document,
// and signs in before each of them: some end the sign-in.
func executeWrites(t *testing.T, c *harness.Clinic) {
	t.Helper()
	requests := shownRequests(t, c)
	for _, r := range requests {
		if r.method == http.MethodGet || r.operation == startable {
			continue
		}
		a := execute(t, signInToDemo(t, c, requests), r)
		_, refused := refusedInTheDemo[r.operation]
		require.Equal(t, !refused, a.Status < http.StatusMultipleChoices, "%s %s %s answers %d: %s", r.operation, r.path,
			r.body, a.Status, a.Raw)
	}
}

// TestExamplesOfTheDemoFollowTheDate reads the document again some days after the demo
// was loaded.
func TestExamplesOfTheDemoFollowTheDate(t *testing.T) {
	t.Parallel()
	c := demoClinic(t)
	before := requestsByName(shownRequests(t, c))
	require.Equal(t, before, requestsByName(shownRequests(t, c)), "the choice is stable")
	c.Clock.Advance(5 * 24 * time.Hour)
	requests := shownRequests(t, c)
	after := requestsByName(requests)
	require.NotEqual(t, before["listOpenings"].path, after["listOpenings"].path)
	require.Equal(t, before["getPatient"].path, after["getPatient"].path)
	admin := signInToDemo(t, c, requests)
	for _, operation := range []string{
		"listOpenings", "previewAppointment", "bookAppointment", "changeAppointment",
		"reserveUnits",
	} {
		a := execute(t, admin, after[operation])
		require.Less(t, a.Status, http.StatusMultipleChoices, "%s %s: %s", operation, after[operation].body, a.Raw)
		if operation == "previewAppointment" {
			require.Equal(t, true, a.Body["bookable"], "%s", a.Raw)
		}
	}
}

// TestExamplesOfTheDemoAreNewAfterAMinute books the example's time, and finds another one
// in the document.
func TestExamplesOfTheDemoAreNewAfterAMinute(t *testing.T) {
	t.Parallel()
	c := demoClinic(t)
	requests := shownRequests(t, c)
	booking := requestsByName(requests)["bookAppointment"]
	admin := signInToDemo(t, c, requests)
	require.Equal(t, http.StatusCreated, execute(t, admin, booking).Status)
	require.GreaterOrEqual(t, execute(t, admin, booking).Status, http.StatusBadRequest, "the time is taken")
	c.Clock.Advance(time.Minute)
	booking = requestsByName(shownRequests(t, c))["bookAppointment"]
	a := execute(t, admin, booking)
	require.Equal(t, http.StatusCreated, a.Status, "%s", a.Raw)
}

func TestWithoutTheDemoTheDocumentIsServedAsRecorded(t *testing.T) {
	t.Parallel()
	recorded, err := os.ReadFile(harness.ContractFile)
	require.NoError(t, err)
	response, err := http.Get(harness.Open(t).URL + "/api/openapi.json")
	require.NoError(t, err)
	defer response.Body.Close()
	served, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.True(t, bytes.Equal(recorded, served))
}
