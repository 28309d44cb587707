package e2e

import (
	"bytes"
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/db"
)

// The number of requests per operation, and the seed. OMNI_TEST_CASES and
// OMNI_TEST_SEED change them.
const (
	presetCases = 40
	presetSeed  = 1
)

// bodyLimit is the program's body limit in TestEveryOperation, in bytes.
const bodyLimit = 64 << 10

// TestEveryOperation sends valid and invalid requests, generated from the contract, to
// every operation as every role. No answer is a 5xx, each conforms to the contract,
// invalid requests are refused, and valid ones are understood.
func TestEveryOperation(t *testing.T) {
	t.Parallel()
	harness.SkipUnlessLong(t)
	cases, seed := setting(t, "OMNI_TEST_CASES", presetCases), setting(t, "OMNI_TEST_SEED", presetSeed)
	w := newPropertyWorld(t)
	operations, schemas := readOperations(t)
	notes, succeeded := map[string]int{}, map[string]bool{}
	for round := range cases {
		for _, op := range operations {
			t.Run(fmt.Sprintf("%s/%d", op.name, round), func(t *testing.T) {
				name := fnv.New64a()
				fmt.Fprint(name, op.name, round)
				m := maker{rand.New(rand.NewPCG(uint64(seed), name.Sum64())), schemas, w.known}
				tried := m.valid(op)
				require.NoError(t, tried.settle())
				require.Empty(t, tried.defect, "a value made from the schema is valid\n%s", tried)
				if m.chance(50) {
					m.spoil(&tried)
					require.NoError(t, tried.settle())
				}
				role, token := w.randomCaller(m)
				a := w.send(t, tried, token)
				if op.name == "setSignInPolicy" { // otherwise callers could only set up a second factor
					w.Exec(t, "DELETE FROM sign_in_policies")
				}
				if (strings.HasPrefix(op.path, "/auth/") || strings.HasPrefix(op.path, "/users/")) && a.Status < 300 {
					w.signInAgain(t)
				}
				about := fmt.Sprintf("%s by %s\n%s\nOMNI_TEST_SEED=%d OMNI_TEST_CASES=%d", a.Raw, role, tried, seed, cases)
				require.Less(t, a.Status, 500, about)
				if a.Status == http.StatusTooManyRequests {
					require.Contains(t, []string{"listenToEvents", "signIn"}, op.name, about)
				}
				if tried.defect != "" {
					require.GreaterOrEqual(t, a.Status, 400, "it accepts a request that the contract forbids: %s", about)
					return
				}
				if role != string(rbac.Admin) {
					return
				}
				require.NotContains(t, []int{400, 413, 415}, a.Status, "it refuses a request that the contract allows: %s", about)
				require.True(t,
					a.Status != http.StatusUnauthorized ||
						slices.Contains([]string{"signIn", "refreshSignIn", "finishProviderSignIn", "exchangeSignInCode"},
							op.name), about)
				if a.Status < 300 {
					succeeded[op.name] = true
					w.learn(op, a)
				}
				for _, note := range notesOf(op, a) {
					notes[note]++
				}
			})
		}
	}
	for _, op := range operations {
		if !succeeded[op.name] {
			t.Logf("no request to %s has succeeded", op.name)
		}
	}
	for _, note := range slices.Sorted(maps.Keys(notes)) {
		t.Logf("%4d × allowed by the schema, refused by a rule: %s", notes[note], note)
	}
	if cases >= presetCases { // with fewer cases, the outcome is random
		require.Greater(t, len(succeeded), len(operations)*2/3, "no request has succeeded for most operations: the "+
			"generated requests are useless")
	}
	w.RequireClean(t)
}

func setting(t *testing.T, name string, preset int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return preset
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, name)
	return n
}

// notesOf returns the refused fields.
func notesOf(op operation, a harness.Answer) []string {
	if a.Status != http.StatusUnprocessableEntity {
		return nil
	}
	fields, _ := a.Body["errors"].([]any)
	all := []string{}
	for _, f := range fields {
		field, _ := f.(map[string]any)
		all = append(all, fmt.Sprintf("%s %v %v", op.name, withoutIndexes(field["field"]), field["code"]))
	}
	return all
}

func withoutIndexes(field any) string {
	parts := strings.FieldsFunc(fmt.Sprint(field),
		func(c rune) bool { return c == '[' || c == ']' || c >= '0' && c <= '9' })
	return strings.Join(parts, "")
}

// propertyWorld is a clinic with records of every kind, in two organizations.
type propertyWorld struct {
	*harness.Clinic
	known     known
	furnished []uuid.UUID // organizations with appointments in the next half hour
}

func newPropertyWorld(t *testing.T) *propertyWorld {
	t.Helper()
	database := harness.TwoPractices.New(t)
	c := &harness.Clinic{Database: database, Settings: []string{"OMNI_BODY_LIMIT=" + strconv.Itoa(bodyLimit)}}
	// Logs every statement for inspection.
	c.Start(t, database.Open(t, func(c *db.Config) { c.SlowQuery = time.Nanosecond }))
	c.AddPractices(t)
	w := &propertyWorld{
		Clinic: c,
		known:  known{ids: map[string][]string{}, made: map[string][]string{}, cursors: map[string][]string{}},
	}
	for _, role := range rbac.Roles() {
		w.known.emails = append(w.known.emails, string(role)+"@own.test")
	}
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(receiver.Close)
	for _, p := range []harness.Practice{c.Own, c.Own, c.Other} { // most requests concern the own organization
		w.furnish(t, p, receiver.URL)
	}
	w.deliver(t)
	return w
}

func (w *propertyWorld) is(kind string, id uuid.UUID) uuid.UUID {
	w.known.ids[kind] = append(w.known.ids[kind], id.String())
	return id
}

func (w *propertyWorld) furnish(t *testing.T, p harness.Practice, receiver string) {
	t.Helper()
	admin := w.As(p.Tokens[rbac.Admin])
	w.is("organizations", p.ID)
	w.is("patients", p.Patient)
	w.is("service-codes", p.ServiceCode)
	practitioner := w.is("practitioners",
		admin.Post(t, "/practitioners", harness.Body{"firstName": "Jordan", "lastName": "Lee"}).Created(t))
	payer := w.is("payers", admin.Post(t, "/payers", harness.Body{"name": "State Medicaid"}).Created(t))
	w.is("insurances", admin.Post(t, "/insurances",
		harness.Body{"patientId": p.Patient, "payerId": payer, "memberNumber": "M-1", "startsOn": "2020-01-01"}).Created(t))
	w.is("diagnoses", admin.Post(t, "/diagnoses",
		harness.Body{"patientId": p.Patient, "code": "F84.0", "startsOn": fmt.Sprintf("2024-01-%02d",
			1+len(w.known.ids["diagnoses"]))}).Created(t)) // each from another day
	w.is("rates", admin.Post(t, "/rates", harness.Body{
		"payerId": payer, "serviceCodeId": p.ServiceCode, "startsOn": "2024-01-01", "centsPerUnit": 1575,
	}).Created(t))
	w.is("users", uuid.MustParse(harness.IDOf(w.UserWithRole(t, admin, rbac.Biller))))
	w.is("emergency-grants", w.As(p.Tokens[rbac.Technician]).
		Post(t, "/emergency-grants", harness.Body{"patientId": p.Patient, "reason": emergencyReason}).Created(t))
	w.is("webhooks", admin.Post(t, "/admin/webhooks", harness.Body{"url": receiver}).Created(t))
	today := w.Clock.Now()
	for _, dates := range [][2]string{
		{today.AddDate(0, -1, 0).Format(time.DateOnly), today.AddDate(0, 6, 0).Format(time.DateOnly)},
		{"1900-01-01", "2199-12-31"},
	} {
		authorization := w.is("authorizations", admin.Post(t, "/authorizations", harness.Body{
			"patientId":     p.Patient,
			"serviceCodeId": p.ServiceCode,
			"totalUnits":    10_000_000,
			"startDate":     dates[0],
			"endDate":       dates[1],
			"caps": []any{
				harness.Body{"period": "WEEK", "units": 1_000_000}, harness.Body{"period": "MONTH", "units": 5_000_000},
			},
		}).Created(t))
		for range 3 {
			reservation, err := uuid.Parse(admin.Post(t, "/authorizations/"+authorization.String()+"/reserve",
				harness.Body{"units": 4}).
				ReservationID(t))
			require.NoError(t, err)
			w.is("reservations", reservation)
		}
		for i := range 12 {
			at := w.At(t, -2-i, fmt.Sprintf("%d:00", 8+2*len(w.known.ids["authorizations"])))
			booked := w.is("appointments", admin.Post(t, "/appointments", harness.Body{
				"patientId": p.Patient, "practitionerId": practitioner, "serviceCodeId": p.ServiceCode,
				"authorizationId": authorization,
				"startTime":       at, "endTime": at.Add(time.Hour), "notes": dates[0],
			}).Created(t))
			if i%3 == 0 {
				done := admin.Post(t, "/appointments/"+booked.String()+"/complete", harness.Body{}).OK(t)
				w.is("sessions", uuid.MustParse(done.Body["session"].(map[string]any)["id"].(string)))
			}
		}
		if !slices.Contains(w.furnished, p.ID) {
			w.furnished = append(w.furnished, p.ID)
			w.soonToStart(t, p, practitioner, authorization)
		}
	}
}

// soonToStart books appointments in the next half hour, and starts every second one.
func (w *propertyWorld) soonToStart(t *testing.T, p harness.Practice, practitioner, authorization uuid.UUID) {
	t.Helper()
	admin := w.As(p.Tokens[rbac.Admin])
	const length = 2 * time.Minute
	for i := range 12 {
		at := w.Ago(time.Duration(-i) * length)
		booked := w.is("appointments", admin.Post(t, "/appointments", harness.Body{
			"patientId":       p.Patient,
			"practitionerId":  practitioner,
			"serviceCodeId":   p.ServiceCode,
			"authorizationId": authorization,
			"startTime":       at,
			"endTime":         at.Add(length),
		}).Created(t))
		if i%2 == 1 {
			admin.Post(t, "/appointments/"+booked.String()+"/start", harness.Body{}).OK(t)
		}
	}
}

// deliver sends the events to the webhooks, and stops, because later webhooks have no
// receiver.
func (w *propertyWorld) deliver(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); w.RunEvents(ctx) }()
	defer func() { cancel(); <-ended }()
	require.Eventually(t, func() bool {
		a := w.Admin().Get(t, "/admin/webhooks/"+w.known.ids["webhooks"][0]+"/deliveries?state=DELIVERED")
		return len(a.Body["data"].([]any)) > 0
	}, harness.Soon, 10*time.Millisecond)
}

// randomCaller returns the caller of a request: mostly an administrator, because others are
// refused in most places.
func (w *propertyWorld) randomCaller(m maker) (name, token string) {
	switch {
	case m.chance(65):
		return string(rbac.Admin), w.Own.Tokens[rbac.Admin]
	case m.chance(10):
		return "an anonymous caller", ""
	case m.chance(10):
		return "a forger", pick(m, "x", "a.b.c", w.Own.Tokens[rbac.Admin]+"x", strings.Repeat("x", 5000))
	case m.chance(20):
		return "another organization's administrator", w.Other.Tokens[rbac.Admin]
	}
	role := pick(m, rbac.Roles()[1:]...)
	return string(role), w.Own.Tokens[role]
}

// signInAgain replaces tokens that are no longer valid, as after a sign-out or a change
// of roles. Disabled users stay signed out.
func (w *propertyWorld) signInAgain(t *testing.T) {
	t.Helper()
	_, err := w.Owner(t).ExecContext(t.Context(), "DELETE FROM sign_in_failures") // generated passwords are wrong
	require.NoError(t, err)
	for name, p := range map[string]harness.Practice{"own": w.Own, "other": w.Other} {
		for role, token := range p.Tokens {
			if w.As(token).Get(t, "/auth/me").Status == http.StatusUnauthorized {
				answer := w.As("").Post(t, "/auth/login", harness.Body{
					"email": string(role) + "@" + name + ".test", "password": harness.Password,
				})
				if answer.Status == http.StatusOK {
					p.Tokens[role] = answer.Text("accessToken")
				}
			}
		}
	}
}

// send sends the request. It reads only the beginning of a stream.
func (w *propertyWorld) send(t *testing.T, tried trial, token string) harness.Answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Soon)
	defer cancel()
	var content io.Reader
	if tried.body != nil {
		content = bytes.NewReader(tried.body)
		if tried.unsent {
			content = io.MultiReader(content)
		}
	}
	c := w.As(token)
	path := tried.target()
	request, err := http.NewRequestWithContext(ctx, tried.op.method, c.URL+path, content)
	require.NoError(t, err, path)
	maps.Copy(request.Header, tried.header)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if tried.op.name != "listenToEvents" {
		return c.Do(t, request, path)
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	if response.StatusCode == http.StatusOK {
		require.Equal(t, "text/event-stream", response.Header.Get("Content-Type"))
		return harness.Answer{Status: response.StatusCode}
	}
	return c.CheckAnswer(t, request.Method, path, response)
}

// learn stores ids and cursors of an answer.
func (w *propertyWorld) learn(op operation, a harness.Answer) {
	if cursor := a.Text("nextCursor"); cursor != "" {
		w.known.cursors[op.name] = append(w.known.cursors[op.name], cursor)
	}
	if reservation, ok := a.Body["reservation"].(map[string]any); ok {
		w.known.ids["reservations"] = append(w.known.ids["reservations"], fmt.Sprint(reservation["id"]))
	}
	if kind := strings.TrimPrefix(strings.TrimPrefix(op.path, "/admin"), "/"); a.Status == http.StatusCreated &&
		a.Text("id") != "" {
		w.known.ids[kind] = append(w.known.ids[kind], a.Text("id"))
		w.known.made[kind] = append(w.known.made[kind], a.Text("id"))
	}
}
