package e2e

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"omnirapeutic/app"
	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/appointments"
	"omnirapeutic/modules/authorization"
	"omnirapeutic/modules/emergency"
	"omnirapeutic/modules/events"
	"omnirapeutic/modules/rbac/oidc"
	"omnirapeutic/platform/openapi"
)

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
	examples, recorded := recordExamples(t)
	routes := recorded.Routes()
	if c, err := harness.PublishedContract(); err == nil {
		c.DeclareRefusals(routes)
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
		Status: app.StatusOf, Problem: reflect.TypeFor[app.Problem](), Reasons: reflect.TypeFor[app.RefusedBooking](),
		Members: members, Records: map[string]reflect.Type{},
		Opening: reflect.TypeFor[events.StreamOpening](),
		Event:   reflect.TypeFor[events.Event](), Events: map[string]reflect.Type{
			authorization.EventBalance: reflect.TypeFor[authorization.BalanceChange](),
		},
		TestEvents: map[string]reflect.Type{events.EventTest: reflect.TypeFor[events.TestEvent]()},
		Tags: map[string]string{
			"auth":                 "Signing in and out, and the signed-in user.",
			"authorizations":       "Authorizations of payers and their units: the unit ledger.",
			"units":                "Many unit operations in one request.",
			"appointments":         "Bookings and their outcomes.",
			"sessions":             "Sessions: records of completed appointments.",
			"calendar-feeds":       "Links for calendar programs.",
			"calendar-entries":     "Time of practitioners without patients.",
			"calendars":            "Calendars in iCalendar format.",
			"reports":              "Usage of units, and forecasts.",
			"alerts":               "What needs attention.",
			"events":               "Live events.",
			"organizations":        "Organizations: practices, which own all other records.",
			"patients":             "Patients.",
			"practitioners":        "Practitioners, who render services.",
			"payers":               "Payers, who authorize and pay for services.",
			"insurances":           "Insurance coverages of patients.",
			"diagnoses":            "Diagnoses of patients, for claims.",
			"rates":                "Prices of services for payers.",
			"billing":              "Claim lines, exports to payers, and their reconciliation with the ledger.",
			"billing-identity":     "The organization as billing provider and submitter of claims.",
			"service-codes":        "Service codes of payers.",
			"locations":            "Places at which services are rendered.",
			"cancellation-reasons": "Reasons of cancellations.",
			"mail":                 "Mail to people, and addresses that refuse it.",
			"places-of-service":    "Place-of-service codes of CMS.",
			"service-pairs":        "Services that may overlap for one patient.",
			"sign-in-policy":       "Whether users need a second factor.",
			"identity-provider":    "Signing in with an identity provider of the organization.",
			"emergency-grants":     "Emergency access to records outside a user's scope, with review.",
			"api-keys":             "API keys for other systems.",
			"permission-sets":      "Permission sets of roles.",
			"users":                "Users and their roles.",
			"admin":                "For operators of the program.",
		},
	}
	for _, source := range recorded.References() {
		document.Records[source.Kind] = source.Body
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
	document.Events[appointments.EventSigned] = reflect.TypeFor[appointments.SessionSigned]()
	document.Events[appointments.EventReminder] = reflect.TypeFor[appointments.AppointmentReminder]()
	for _, kind := range []string{appointments.EventEntryCreated, appointments.EventEntryDeleted} {
		document.Events[kind] = reflect.TypeFor[appointments.EntryChange]()
	}
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
	if *harness.Update {
		require.NoError(t, os.WriteFile(harness.ContractFile, want, 0o600))
	}
	have, err := os.ReadFile(harness.ContractFile)
	require.NoError(t, err)
	if !bytes.Equal(want, have) {
		now, before := strings.Split(string(want), "\n"), strings.Split(string(have), "\n")
		for i := range min(len(now), len(before)) {
			require.Equal(t, now[i], before[i], "line %d of %s is out of date: go test ./e2e -run TestContract -update", i+1,
				harness.ContractFile)
		}
		t.Fatalf("%s is out of date: go test ./e2e -run TestContract -update", harness.ContractFile)
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
