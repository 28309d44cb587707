package e2e

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/uuid"
	logtest "github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/openapi"
)

// TestForeignIDsLookLikeMissingIDs calls every operation of the document with an id of
// another practice and with an unused id, in every position (path, query, body). After removal of
// the id and of the caller's own trail numbers, the answers must be equal, and so must the executed
// statements, which stand in for timing. New operations are included automatically.
func TestForeignIDsLookLikeMissingIDs(t *testing.T) {
	t.Parallel()
	victim := newRecording(t)
	logger, log := logtest.NewNullLogger()
	stranger := harness.SecondInstance(t, victim.c,
		victim.c.Database.Open(t, func(config *db.Config) { config.SlowQuery, config.Logger = 1, logger }))
	stranger.Own = stranger.AddPractice(t, "stranger")
	p := prober{t: t, c: stranger, log: log, own: belongings(t, stranger), victims: recordsOf(t, victim)}
	trail := victim.c.Count(t, "SELECT count(*) FROM audit_events WHERE organization_id = $1", victim.c.Own.ID)

	requested := 0
	for _, o := range operations(t) {
		switch o.name {
		case "switchOrganization":
			continue // an administrator of all organizations can see others: see TestPermissionToDisableOrganizations
		case "signIn":
			continue // the caller is not signed in yet: see TestSignInCostsTheSameForAnyNumberOfAccounts
		}
		for _, position := range o.positions {
			t.Run(o.method+" "+o.path+" "+position.String(), func(t *testing.T) {
				p.t = t
				p.probe(o, position, victim.examples[o.name])
			})
			requested++
		}
	}
	require.Greater(t, requested, 100, "the document was read")
	require.Equal(t, trail,
		victim.c.Count(t, "SELECT count(*) FROM audit_events WHERE organization_id = $1", victim.c.Own.ID),
		"nothing has happened in the other practice")
}

// idPosition is a position at which an operation takes an id.
type idPosition struct {
	in    string   // path, query or body
	steps []string // members; "[]" for the entries of a list
}

func (p idPosition) String() string { return p.in + ":" + strings.Join(p.steps, ".") }

func (p idPosition) name() string {
	for _, step := range slices.Backward(p.steps) {
		if step != "[]" {
			return step
		}
	}
	return ""
}

type documentedOperation struct {
	method, path, name string
	positions          []idPosition
}

// nonIDParameters are path parameters that are not ids: they are numbers within their parent,
// or select a part of it.
var nonIDParameters = []string{"deliveryId", "file", "role"}

// contractDocument is the published document of the API.
type contractDocument map[string]any

func readDocument(t *testing.T) contractDocument {
	t.Helper()
	raw, err := os.ReadFile(harness.ContractFile)
	require.NoError(t, err)
	var document contractDocument
	require.NoError(t, json.Unmarshal(raw, &document))
	return document
}

// resolve returns the object or the referenced one.
func (d contractDocument) resolve(at any) map[string]any {
	object, _ := at.(map[string]any)
	if ref, ok := object["$ref"].(string); ok {
		found := any(map[string]any(d))
		for step := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
			found = found.(map[string]any)[step]
		}
		return d.resolve(found)
	}
	return object
}

// operations reads the operations of the document.
func operations(t *testing.T) []documentedOperation {
	t.Helper()
	document := readDocument(t)
	resolve := document.resolve
	var positions func(in string, schema any, steps []string) []idPosition
	positions = func(in string, schema any, steps []string) (found []idPosition) {
		s := resolve(schema)
		if s["format"] == "uuid" {
			return []idPosition{{in, slices.Clone(steps)}}
		}
		members, _ := s["properties"].(map[string]any)
		for name, member := range members {
			found = append(found, positions(in, member, append(slices.Clone(steps), name))...)
		}
		if items := s["items"]; items != nil {
			found = append(found, positions(in, items, append(slices.Clone(steps), "[]"))...)
		}
		for _, several := range []string{"oneOf", "anyOf", "allOf"} {
			options, _ := s[several].([]any)
			for _, option := range options {
				found = append(found, positions(in, option, steps)...)
			}
		}
		return found
	}
	var all []documentedOperation
	for path, methods := range document["paths"].(map[string]any) {
		for method, o := range methods.(map[string]any) {
			operation, ok := o.(map[string]any)
			if !ok || operation["operationId"] == nil {
				continue
			}
			d := documentedOperation{method: strings.ToUpper(method), path: path, name: operation["operationId"].(string)}
			parameters, _ := operation["parameters"].([]any)
			for _, item := range parameters {
				parameter := resolve(item)
				in, name := parameter["in"].(string), parameter["name"].(string)
				if in == "path" && !slices.Contains(nonIDParameters, name) {
					d.positions = append(d.positions, idPosition{in, []string{name}})
				} else if in == "query" {
					d.positions = append(d.positions, positions(in, parameter["schema"], []string{name})...)
				}
			}
			content, _ := resolve(operation["requestBody"])["content"].(map[string]any)
			for _, media := range content {
				for _, found := range positions("body", media.(map[string]any)["schema"], nil) {
					if !slices.ContainsFunc(d.positions, func(p idPosition) bool { return p.String() == found.String() }) {
						d.positions = append(d.positions, found)
					}
				}
			}
			all = append(all, d)
		}
	}
	// An export of the trail records its parameters, so it must follow the searches.
	slices.SortFunc(all, func(x, y documentedOperation) int {
		return strings.Compare(x.path+" "+x.method,
			y.path+" "+y.method)
	})
	return all
}

// recordKinds are the kinds of records by the names of id members and parameters.
var recordKinds = map[string]string{
	"patientId":       "patients",
	"practitionerId":  "practitioners",
	"practitionerIds": "practitioners",
	"locationId":      "locations",

	"supervisingPractitionerId": "practitioners",
	"authorizationId":           "authorizations",
	"toAuthorizationId":         "authorizations",
	"moveToAuthorizationId":     "authorizations",
	"reservationId":             "reservations",
	"insuranceId":               "insurances",
	"payerId":                   "payers",
	"serviceCodeId":             "service-codes",
	"appointmentId":             "appointments",
	"actorId":                   "users",
	"userId":                    "users",
	"ownedBy":                   "users",
	"apiKeyOwnerId":             "users",
	"subjectId":                 "authorizations",
	"seriesId":                  "series",
	"makeUpFor":                 "appointments",
	"cancellationReasonId":      "cancellation-reasons",
}

// belongings are a practice's records, one of each kind that requests name.
func belongings(t *testing.T, c *harness.Clinic) map[string]string {
	t.Helper()
	admin := c.Admin()
	payer := admin.Post(t, "/payers", harness.Body{"name": "Example Health"}).Created(t).String()
	practitioner := c.AddPractitioner(t, "RBT")
	authorization := c.Authorize(t, 100)
	own := map[string]string{
		"patients":      c.Own.Patient.String(),
		"service-codes": c.Own.ServiceCode.String(),
		"payers":        payer,
		"locations":     admin.Post(t, "/locations", harness.Body{"name": "Clinic", "kind": "CLINIC"}).Created(t).String(),
		"practitioners": practitioner.String(),
		"cancellation-reasons": admin.Post(t, "/cancellation-reasons", harness.Body{
			"code": "SCHOOL", "name": "School holiday", "party": "FAMILY",
		}).Created(t).String(),
		"authorizations": harness.IDOf(authorization),
		"organizations":  c.Own.ID.String(),
		"insurances": admin.Post(t, "/insurances", harness.Body{
			"patientId": c.Own.Patient, "payerId": payer, "memberNumber": "M-1", "startsOn": "2026-01-01",
		}).Created(t).String(),
		"diagnoses": admin.Post(t, "/diagnoses", harness.Body{
			"patientId": c.Own.Patient, "code": "F84.0", "startsOn": "2024-01-01",
		}).Created(t).String(),
		"rates": admin.Post(t, "/rates", harness.Body{
			"payerId": payer, "serviceCodeId": c.Own.ServiceCode, "startsOn": "2024-01-01", "centsPerUnit": 1575,
		}).Created(t).String(),
		"reservations": admin.Post(t, authorization+"/reserve", harness.Body{"units": 1}).ReservationID(t),
		"appointments": harness.IDOf(c.Book(t, c.Booking(authorization, practitioner, c.At(t, 1, "15:00"), time.Hour))),
		"users":        harness.IDOf(c.UserWithRole(t, admin, rbac.Biller)),
	}
	return own
}

// recordsOf finds a record of each kind in the story's practice.
func recordsOf(t *testing.T, s *recording) map[string]string {
	t.Helper()
	owner, err := sql.Open("pgx", s.c.Database.OwnerURL)
	require.NoError(t, err)
	defer owner.Close()
	found := map[string]string{}
	for kind, table := range map[string]string{
		"patients":       "patients",
		"practitioners":  "practitioners",
		"authorizations": "authorizations",
		"insurances":     "insurances",
		"payers":         "payers",
		"diagnoses":      "diagnoses",
		"rates":          "rates",
		"service-codes":  "service_codes",
		"locations":      "locations",

		"cancellation-reasons": "cancellation_reasons",
		"appointments":         "appointments",
		"reservations":         "unit_reservations",
		"users":                "users",
		"series":               "appointment_series",
	} {
		query := "SELECT id::text FROM " + table + " WHERE organization_id = $1 ORDER BY id LIMIT 1"
		var id string
		require.NoError(t, owner.QueryRowContext(t.Context(), query, s.c.Own.ID).Scan(&id))
		found[kind] = id
	}
	return found
}

var anyID = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// anySequence matches event numbers in the caller's own trail, which grows with each request.
var anySequence = regexp.MustCompile(`"sequence":\d+`)

var anyRequest = regexp.MustCompile(`"requestId":"[^"]*"`)

// prober calls operations as the stranger.
type prober struct {
	t       *testing.T
	c       *harness.Clinic
	log     *logtest.Hook
	own     map[string]string // by kind
	victims map[string]string // by kind
}

// requiredQuery are query parameters that an operation requires in addition to its example and
// the id.
var requiredQuery = map[string]string{
	"listOpenings":        "?from=2026-03-10&to=2026-03-10&minutes=45",
	"startProviderSignIn": "?challenge=" + harness.Challenge(harness.Verifier),
}

// probe calls an operation with a foreign id and an unused id in one position. All
// other ids are the stranger's own.
func (p prober) probe(o documentedOperation, at idPosition, examples []openapi.Example) {
	t := p.t
	e := examples[slices.IndexFunc(examples, func(e openapi.Example) bool { return e.Status < http.StatusBadRequest })]
	var b any
	if e.Request != nil {
		require.NoError(t, json.Unmarshal(e.Request, &b))
		b = p.mine(b, "")
		if at.name() == "reservationId" {
			b = asRelease(b)
		}
	}
	path := o.path
	for name, value := range e.Path {
		if !slices.Contains(at.steps, name) || at.in != "path" {
			if own, ok := p.own[strings.Split(o.path, "/")[1]]; ok {
				value = anyID.ReplaceAllString(value, own)
			}
			path = strings.Replace(path, "{"+name+"}", value, 1)
		}
	}
	path += requiredQuery[o.name]
	ask := func(kind string) (harness.Answer, []string, string) {
		var id string
		path, b := path, b
		switch at.in {
		case "path":
			value := e.Path[at.steps[0]]
			id = anyID.FindString(value)
			require.NotEmpty(t, id, "the example's path has no id at %s", at)
			if kind == "unknown" {
				id = uuid.NewString()
				value = anyID.ReplaceAllString(value, id)
			}
			path = strings.Replace(path, "{"+at.steps[0]+"}", value, 1)
		default:
			require.Contains(t, recordKinds, at.name(), "add the kind of record that it names")
			id = p.victims[recordKinds[at.name()]]
			if kind == "unknown" {
				id = uuid.NewString()
			}
			if at.in == "query" {
				path += "?" + at.steps[0] + "=" + id
				break
			}
			b = p.put(b, at.steps, id)
		}
		a, statements := p.send(o.method, path, b)
		said := anySequence.ReplaceAllString(strings.ReplaceAll(string(a.Raw), id, "ID"), `"sequence":0`)
		return a, statements, anyRequest.ReplaceAllString(said, `"requestId":""`)
	}
	ask("unknown") // fills caches
	theirs, requested, said := ask("another organization's")
	unknown, requestedUnknown, saidOfUnknown := ask("unknown")
	require.Equal(t, unknown.Status, theirs.Status, "%s", theirs.Raw)
	require.Equal(t, saidOfUnknown, said)
	require.Equal(t, requestedUnknown, requested, "as much work")
	switch {
	case at.in == "path":
		require.Equal(t, http.StatusNotFound, theirs.Status, "%s", theirs.Raw)
	case at.in == "query": // a list of the stranger's own records: empty
		require.NotContains(t, string(theirs.Raw), `"id":`, "%s", theirs.Raw)
	case theirs.Status < http.StatusBadRequest: // a preview, or a verdict per item
		require.Contains(t, said, `-not-found"`)
	}
}

// send sends the request in the first role that may.
func (p prober) send(method, path string, b any) (harness.Answer, []string) {
	var content harness.Body
	if b != nil {
		content = harness.Body(b.(map[string]any))
	}
	for _, role := range rbac.Roles() {
		p.log.Reset()
		a := p.c.As(p.c.Own.Tokens[role]).Send(p.t, method, path, content)
		if a.Status == http.StatusForbidden {
			continue
		}
		var statements []string
		for _, entry := range p.log.AllEntries() {
			if entry.Data["event"] == "slow_statement" && entry.Data["count"] == nil { // not a summary of repeats
				statements = append(statements, fmt.Sprintf("%s: %v rows", shapeOf(entry.Data["sql"].(string)), entry.Data["rows"]))
			}
		}
		return a, statements
	}
	require.Fail(p.t, "no role may", "%s %s", method, path)
	return harness.Answer{}, nil
}

// shapeOf returns a statement without its values.
func shapeOf(sql string) string {
	words := strings.FieldsFunc(anyID.ReplaceAllString(sql, " "),
		func(r rune) bool { return !unicode.IsLetter(r) && r != '_' })
	return strings.Join(words, " ")
}

// mine replaces the example's ids by the stranger's own.
func (p prober) mine(at any, name string) any {
	switch value := at.(type) {
	case map[string]any:
		for member, inner := range value {
			value[member] = p.mine(inner, member)
		}
	case []any:
		for i, inner := range value {
			value[i] = p.mine(inner, name)
		}
	case string:
		if own, ok := p.own[recordKinds[name]]; ok && anyID.MatchString(value) {
			return own
		}
	}
	return at
}

// excludedMembers lists members that exclude another member.
var excludedMembers = map[string][]string{
	"practitionerIds": {"practitionerId"}, "patients": {"patientId", "authorizationId"},
}

// asRelease changes the operation in a body to one that takes a reservation.
func asRelease(at any) any {
	switch value := at.(type) {
	case map[string]any:
		if _, ok := value["operation"]; ok {
			value["operation"], value["units"] = "release", 1
			delete(value, "serviceDate")
			delete(value, "reference")
		}
		for member, inner := range value {
			value[member] = asRelease(inner)
		}
	case []any:
		for i, inner := range value {
			value[i] = asRelease(inner)
		}
	}
	return at
}

// put returns the body with the id in the position, which it creates if necessary.
func (p prober) put(at any, steps []string, id string) any {
	if len(steps) == 0 {
		return id
	}
	if steps[0] == "[]" {
		list, _ := at.([]any)
		list = slices.Clone(list)
		if len(list) == 0 {
			list = []any{nil}
		}
		list = list[:1] // other entries would be executed
		list[0] = p.put(list[0], steps[1:], id)
		return list
	}
	created := map[string]any{}
	object, exists := at.(map[string]any)
	for member, value := range object {
		if !slices.Contains(excludedMembers[steps[0]], member) {
			created[member] = value
		}
	}
	if !exists && steps[0] != "reservationId" { // an entry of a list that the example does not have
		created["patientId"], created["authorizationId"] = p.own["patients"], p.own["authorizations"]
	}
	created[steps[0]] = p.put(created[steps[0]], steps[1:], id)
	return created
}
