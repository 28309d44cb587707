package e2e

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"omnirapeutic/app"
	"omnirapeutic/modules/appointments"
	"omnirapeutic/modules/authorization"
	"omnirapeutic/modules/emergency"
	"omnirapeutic/modules/events"
	"omnirapeutic/modules/rbac/oidc"
	passwords "omnirapeutic/modules/rbac/password"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/openapi"
)

const contractFile = "../app/openapi.json"

// members describes the members that have the same meaning in every schema.
var members = map[string]string{
	"createdAt":           "The time of creation.",
	"updatedAt":           "The time of the last change.",
	"version":             "The number of changes, starting with 1.",
	"firstName":           "The first name.",
	"lastName":            "The last name.",
	"dateOfBirth":         "The date of birth.",
	"medicalRecordNumber": "The number of the patient's record. The organization uses each number once.",
	"memberNumber":        "The patient's member number with the payer.",
	"licenseNumber":       "The number of the practitioner's license.",
	"npi":                 "The National Provider Identifier. The organization uses each one once.",
	"payerCode":           "The payer's id in claims.",
	"timeZone":            "The IANA name of the time zone, such as `America/New_York`.",
	"email":               "The e-mail address.",
	"authNumber":          "The number that the payer gave the authorization.",
	"totalUnits":          "The number of authorized units.",
	"usedUnits":           "The number of units consumed by sessions.",
	"scheduledUnits":      "The number of units reserved for future sessions.",
	"availableUnits":      "The number of units that are neither used nor scheduled.",
	"serviceDate":         "The date of the service, in the organization's time zone.",
	"occurredAt":          "The time of the event.",
	"startTime":           "The start.",
	"endTime":             "The end.",
	"startDate":           "The first day.",
	"endDate":             "The last day.",
	"units":               "The number of units.",
	"requested":           "The number of requested units.",
	"consumedUnits":       "The number of consumed units.",
	"releasedUnits":       "The number of released units.",
	"missingUnits":        "The number of units that are neither reserved nor available.",
	"expiresInSeconds":    "The lifetime of the hold in seconds. Without it the reservation does not expire.",
	"reference":           "A text of the client.",
	"remainder":           "The treatment of the rest of a named reservation.",
	"reason":              "The reason.",
	"createdBy":           "The user or the API key that created it.",
}

// TestContract generates the OpenAPI document from the code and from recorded requests,
// and compares it with the served one. Routes, fields, statuses and error codes can
// therefore not differ between the two.
func TestContract(t *testing.T) {
	t.Parallel()
	examples, routes := play(t)
	if c, err := published(); err == nil {
		c.declares(routes)
	}
	document := openapi.Document{
		Title:   "Omnirapeutic",
		Version: "1",
		Description: "Insurers authorize a number of 15-minute units of a service for a patient. This API keeps those units " +
			"exactly right at the instant of booking, " +
			"explains every refusal, and can replay every unit for an auditor.\n\n" +
			"To try it out on the page of this document, execute `POST /auth/login`, copy the `accessToken` of the answer, " +
			"press **Authorize** and paste it there. " +
			"The page forgets the token when it is closed. Programs send it as `Authorization: Bearer …`.\n\n" +
			"Errors are problem documents (RFC 9457) with a stable `code`. " +
			"Dates are `YYYY-MM-DD` in the organization's time zone, instants RFC 3339 in UTC, ids UUIDs.",
		Server: "/api/v1", Module: "omnirapeutic", Root: "..",
		Status: app.StatusOf, Problem: reflect.TypeFor[app.Problem](),
		Members: members,
		Opening: reflect.TypeFor[events.StreamOpening](),
		Event:   reflect.TypeFor[events.Event](), Events: map[string]reflect.Type{
			authorization.EventBalance: reflect.TypeFor[authorization.BalanceChange](),
		},
		TestEvents: map[string]reflect.Type{events.EventTest: reflect.TypeFor[events.TestEvent]()},
		Tags: map[string]string{
			"auth":              "Signing in and out, and the signed-in user.",
			"authorizations":    "Authorizations of payers and their units: the unit ledger.",
			"units":             "Many unit operations in one request.",
			"appointments":      "Bookings and their outcomes.",
			"sessions":          "Sessions: records of completed appointments.",
			"calendar-feeds":    "Links for calendar programs.",
			"calendars":         "Calendars in iCalendar format.",
			"reports":           "Usage of units, and forecasts.",
			"alerts":            "What needs attention.",
			"events":            "Live events.",
			"organizations":     "Organizations: practices, which own all other records.",
			"patients":          "Patients.",
			"practitioners":     "Practitioners, who render services.",
			"payers":            "Payers, who authorize and pay for services.",
			"insurances":        "Insurance coverages of patients.",
			"service-codes":     "Service codes of payers.",
			"service-pairs":     "Services that may overlap for one patient.",
			"sign-in-policy":    "Whether users need a second factor.",
			"identity-provider": "Signing in with an identity provider of the organization.",
			"emergency-grants":  "Emergency access to records outside a user's scope, with review.",
			"api-keys":          "API keys for other systems.",
			"permission-sets":   "Permission sets of roles.",
			"users":             "Users and their roles.",
			"admin":             "For operators of the program.",
		},
	}
	for _, kind := range appointments.EventTypes() {
		document.Events[kind.Name] = reflect.TypeFor[appointments.AppointmentChange]()
	}
	for _, kind := range emergency.EventTypes() {
		document.Events[kind.Name] = reflect.TypeFor[emergency.GrantChange]()
	}
	for _, kind := range oidc.EventTypes() {
		document.Events[kind.Name] = reflect.TypeFor[oidc.ProviderLinkChange]()
	}
	document.Events[oidc.EventProviderChanged] = reflect.TypeFor[oidc.ProviderChange]()
	document.Events[appointments.EventReminder] = reflect.TypeFor[appointments.AppointmentReminder]()
	for _, r := range routes {
		require.NotEmpty(t, r.Name, "%s %s has no name", r.Method, r.Path)
		require.NotEmpty(t, r.Description, "%s %s has no description", r.Method, r.Path)
		require.Contains(t, document.Tags, strings.Split(r.Path, "/")[1], "%s %s has an undescribed tag", r.Method, r.Path)
		require.True(t,
			slices.ContainsFunc(examples[r.Name], func(e openapi.Example) bool { return e.Status == r.Endpoint.Status }),
			"%s has no example of a success", r.Name)
		document.Operations = append(document.Operations,
			openapi.Operation{Route: r, Faults: app.FaultsOf(r), Examples: examples[r.Name]})
	}
	var published []string
	for _, kind := range slices.Concat(authorization.EventTypes(), appointments.EventTypes(), emergency.EventTypes(),
		oidc.EventTypes()) {
		published = append(published, kind.Name)
	}
	require.ElementsMatch(t, published, slices.Collect(maps.Keys(document.Events)))
	want, err := document.Build()
	require.NoError(t, err)
	if *update {
		require.NoError(t, os.WriteFile(contractFile, want, 0o600))
	}
	have, err := os.ReadFile(contractFile)
	require.NoError(t, err)
	if !bytes.Equal(want, have) {
		now, before := strings.Split(string(want), "\n"), strings.Split(string(have), "\n")
		for i := range min(len(now), len(before)) {
			require.Equal(t, now[i], before[i], "line %d of %s is out of date: go test ./e2e -run TestContract -update", i+1,
				contractFile)
		}
		t.Fatalf("%s is out of date: go test ./e2e -run TestContract -update", contractFile)
	}
	requireValid(t, want)
}

// requireValid checks the document against the schema of OpenAPI 3.1, and each schema in
// it against JSON Schema.
func requireValid(t *testing.T, document []byte) {
	t.Helper()
	specification, err := os.ReadFile(filepath.Join("testdata", "openapi-3.1-schema.json"))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	add := func(name string, text []byte) any {
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		require.NoError(t, err)
		require.NoError(t, compiler.AddResource(name, value))
		return value
	}
	add("specification", specification)
	value := add("document", document)
	schema, err := compiler.Compile("specification")
	require.NoError(t, err)
	require.NoError(t, schema.Validate(value))
	var shape struct {
		Components struct{ Schemas map[string]any }
	}
	require.NoError(t, json.Unmarshal(document, &shape))
	for name := range shape.Components.Schemas {
		_, err := compiler.Compile("document#/components/schemas/" + name)
		require.NoError(t, err)
	}
}

// contract is the published contract, with which all tests compare answers.
type contract struct {
	paths  []contractPath
	events map[string]*jsonschema.Schema // by type

	mu       sync.Mutex
	seen     map[string]bool // "operation code"
	refusals map[string]bool // also "operation code"
}

type contractPath struct {
	parts      []string
	operations map[string]contractOperation // by method
}

type contractOperation struct {
	name    string
	answers map[int]contractAnswer
}

// contractAnswer is the schemas of an answer by media type; empty without a body.
type contractAnswer map[string]*jsonschema.Schema

// contractResponse is a response, or a reference to one.
type contractResponse struct {
	Ref     string `json:"$ref"`
	Content map[string]struct{}
}

var published = sync.OnceValues(readContract)

func readContract() (*contract, error) {
	raw, err := os.ReadFile(contractFile)
	if err != nil {
		return nil, err
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource("contract", document); err != nil {
		return nil, err
	}
	var shape struct {
		Paths map[string]map[string]struct {
			OperationID string
			Responses   map[string]contractResponse
		}
		Webhooks   map[string]struct{}
		Components struct{ Responses map[string]contractResponse }
	}
	if err := json.Unmarshal(raw, &shape); err != nil {
		return nil, err
	}
	c := &contract{events: map[string]*jsonschema.Schema{}, seen: map[string]bool{}, refusals: map[string]bool{}}
	for kind := range shape.Webhooks {
		at := "contract#/webhooks/" + pointer(kind) + "/post/requestBody/content/" + pointer("application/json") + "/schema"
		if c.events[kind], err = compiler.Compile(at); err != nil {
			return nil, err
		}
	}
	for path, methods := range shape.Paths {
		p := contractPath{parts: strings.Split(path, "/"), operations: map[string]contractOperation{}}
		for method, operation := range methods {
			o := contractOperation{name: operation.OperationID, answers: map[int]contractAnswer{}}
			for status, answer := range operation.Responses {
				code, err := strconv.Atoi(status)
				if err != nil {
					return nil, err
				}
				at := "contract#/paths/" + pointer(path) + "/" + method + "/responses/" + status
				if name, ok := strings.CutPrefix(answer.Ref, "#/components/responses/"); ok {
					at, answer = "contract"+answer.Ref, shape.Components.Responses[name]
				}
				a := contractAnswer{}
				for media := range answer.Content {
					at := at + "/content/" + pointer(media) + "/schema"
					if a[media], err = compiler.Compile(at); err != nil {
						return nil, err
					}
				}
				o.answers[code] = a
			}
			p.operations[strings.ToUpper(method)] = o
		}
		c.paths = append(c.paths, p)
	}
	return c, nil
}

func pointer(text string) string {
	text = strings.ReplaceAll(strings.ReplaceAll(text, "~", "~0"), "/", "~1")
	return strings.ReplaceAll(strings.ReplaceAll(text, "{", "%7B"), "}", "%7D")
}

// operation returns the operation of a request, or false if the contract has none.
func (c *contract) operation(method, path string) (contractOperation, bool) {
	path, _, _ = strings.Cut(path, "?")
	parts := strings.Split(path, "/")
	best, found, literals := contractOperation{}, false, -1
	for _, p := range c.paths {
		if n, ok := p.matches(parts); ok && n > literals {
			best, found = p.operations[method]
			literals = n
		}
	}
	return best, found
}

// matches reports whether the path matches the pattern, and the number of literal matches.
func (p contractPath) matches(parts []string) (literals int, ok bool) {
	if len(parts) != len(p.parts) {
		return 0, false
	}
	for i, part := range p.parts {
		switch {
		case part == parts[i]:
			literals++
		case !strings.HasPrefix(part, "{") || parts[i] == "":
			return 0, false
		}
	}
	return literals, true
}

// keeps checks an answer against the contract.
func (c *contract) keeps(t testing.TB, method, path string, a answer) {
	t.Helper()
	o, ok := c.operation(method, path)
	if !ok || *update {
		return
	}
	code, _ := a.body["code"].(string)
	if a.status >= http.StatusBadRequest {
		requireTextForPeople(t, a.body)
	}
	c.mu.Lock()
	c.seen[o.name+" "+code] = true
	c.mu.Unlock()
	documented, ok := o.answers[a.status]
	require.True(t, ok, "%s %s answered %d, which is not in the contract: %s", method, path, a.status, a.raw)
	if len(documented) == 0 {
		require.Empty(t, a.raw)
		return
	}
	media, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
	require.Contains(t, documented, media)
	var instance any = string(a.raw)
	if a.isJSON() {
		var err error
		instance, err = jsonschema.UnmarshalJSON(bytes.NewReader(a.raw))
		require.NoError(t, err)
	}
	require.NoError(t, documented[media].Validate(instance), "%s %s answered %s", method, path, a.raw)
}

// machineText is text that people cannot read: an instant in UTC, or an id.
var machineText = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// requireTextForPeople checks that the texts of a problem document use local times and names. Exact
// values belong to its other members.
func requireTextForPeople(t testing.TB, problem map[string]any) {
	t.Helper()
	detail, _ := problem["detail"].(string)
	require.NotRegexp(t, machineText, strings.ReplaceAll(detail, "such as 2026-01-31T14:00:00Z", ""))
	reasons, _ := problem["reasons"].([]any)
	for _, reason := range reasons {
		require.NotRegexp(t, machineText, reason.(map[string]any)["detail"])
	}
}

// keepsEvent checks an event against the contract.
func (c *contract) keepsEvent(t testing.TB, kind string, event any) {
	t.Helper()
	if !*update {
		require.Contains(t, c.events, kind)
		require.NoError(t, c.events[kind].Validate(event))
	}
}

// promised lists the refusals in the contract that no test has produced. Refusals that
// any request can receive are tested once, elsewhere.
func (c *contract) promised() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var missing []string
	for key := range c.refusals {
		if !c.seen[key] {
			missing = append(missing, key)
		}
	}
	slices.Sort(missing)
	return missing
}

// declares records the refusals in the routes of an app.
func (c *contract) declares(routes []httpx.Route) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range routes {
		for _, f := range r.Refusals {
			if !slices.ContainsFunc(unreachable, func(u *fault.Error) bool { return u.Is(f) }) {
				c.refusals[r.Name+" "+f.Code()] = true
			}
		}
	}
}

// unreachable refusals cannot occur here: too many concurrent sign-ins are tested with
// real hashing, in rbac.
var unreachable = []*fault.Error{passwords.ErrBusy}

// isWholeRun reports whether all tests run at full length.
func isWholeRun() bool {
	for _, name := range []string{"test.run", "test.skip", "test.bench", "test.fuzz", "test.list"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" {
			return false
		}
	}
	return long && !*update
}
