package loadtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// fake is a server with an in-memory ledger. It is correct unless a test configures
// faults.
type fake struct {
	// Faults; n is the number of the operation on units, from 1.
	takes    func(n int64) time.Duration             // duration of an operation
	says     func(n int64) (status int, code string) // an answer without effect; status 0: none
	loses    func(n int64) bool                      // an operation is confirmed but not executed
	doubles  func(n int64) bool                      // an operation is executed twice
	serial   chan struct{}                           // if set: one operation after the other
	lifetime time.Duration                           // lifetime of a token
	verifies string                                  // the result of a verification
	slow     bool                                    // verifications continue after the answer
	noCodes  bool                                    // there are no service codes initially

	operations atomic.Int64
	mutex      sync.Mutex
	tokens     map[string]time.Time // expiry of each token
	logins     int
	codesMade  int
	accounts   map[string]*fakeAccount
	keys       map[string]bool
	booked     map[string]map[string]int64 // executed units, by kind and account
	calendar   map[string]string           // open appointments and their accounts
	slots      map[string]bool             // occupied slots of practitioners
}

type fakeAccount struct {
	total, scheduled, used int64
	reservations           map[string]bool // open reservations
}

func newFake() *fake {
	return &fake{
		takes:    func(int64) time.Duration { return 10 * time.Millisecond },
		says:     func(int64) (int, string) { return 0, "" },
		loses:    func(int64) bool { return false },
		doubles:  func(int64) bool { return false },
		lifetime: 15 * time.Minute,
		verifies: `{"ok":true,"authorizations":12,"reservations":3400,"entries":5600,"problemCount":0,"problems":[]}`,
		tokens:   map[string]time.Time{},
		accounts: map[string]*fakeAccount{},
		keys:     map[string]bool{},
		calendar: map[string]string{},
		slots:    map[string]bool{},
		booked:   map[string]map[string]int64{"reserve": {}, "release": {}, "consume": {}},
	}
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/api/v1")
	var body map[string]any
	_ = json.NewDecoder(r.Body).Decode(&body)
	switch {
	case path == "/auth/login":
		f.signIn(w, body)
	case !f.signedIn(r):
		refuse(w, http.StatusUnauthorized, "unauthenticated")
	case r.Method == http.MethodPost && !f.newKey(r):
		refuse(w, http.StatusUnprocessableEntity, "key-reused")
	case path == "/admin/no-op":
		sleep(r.Context(), f.takes(f.operations.Add(1)))
		reply(w, http.StatusOK, body)
	case r.Method == http.MethodPost && strings.HasPrefix(path, "/authorizations/"):
		f.operate(w, r, path, body)
	case r.Method == http.MethodPost && strings.HasPrefix(path, "/appointments"):
		f.keepCalendar(w, r, path, body)
	default:
		f.mutex.Lock()
		defer f.mutex.Unlock()
		f.administer(w, r, path, body)
	}
}

func (f *fake) signIn(w http.ResponseWriter, body map[string]any) {
	if body["email"] != "admin@demo.test" || body["password"] != "secret" {
		refuse(w, http.StatusUnauthorized, "wrong-credentials")
		return
	}
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.logins++
	token := uuid.NewString()
	f.tokens[token] = time.Now().Add(f.lifetime)
	reply(w, http.StatusOK, map[string]any{"accessToken": token, "expiresIn": f.lifetime.Seconds()})
}

func (f *fake) signedIn(r *http.Request) bool {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return time.Now().Before(f.tokens[token])
}

func (f *fake) newKey(r *http.Request) bool {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	key := r.Header.Get("Idempotency-Key")
	if uuid.Validate(key) != nil || f.keys[key] {
		return false
	}
	f.keys[key] = true
	return true
}

func (f *fake) administer(w http.ResponseWriter, r *http.Request, path string, body map[string]any) {
	id := uuid.NewString()
	switch call := r.Method + " " + path; {
	case call == "POST /patients", call == "POST /practitioners":
		reply(w, http.StatusCreated, map[string]any{"id": id})
	case call == "GET /service-codes" && f.noCodes:
		reply(w, http.StatusOK, map[string]any{"data": []any{}, "nextCursor": nil})
	case call == "GET /service-codes":
		code := r.URL.Query().Get("code")
		reply(w, http.StatusOK, map[string]any{"data": []any{map[string]any{"id": "code-1", "code": code}}})
	case call == "POST /service-codes":
		f.codesMade++
		reply(w, http.StatusCreated, map[string]any{"id": id, "code": body["code"]})
	case call == "POST /authorizations":
		f.accounts[id] = &fakeAccount{total: int64(body["totalUnits"].(float64)), reservations: map[string]bool{}}
		reply(w, http.StatusCreated, map[string]any{"id": id})
	case strings.HasPrefix(call, "PATCH /authorizations/"):
		f.accounts[strings.TrimPrefix(path, "/authorizations/")].total = int64(body["totalUnits"].(float64))
		reply(w, http.StatusOK, map[string]any{})
	case strings.HasPrefix(call, "GET /authorizations/"):
		a := f.accounts[strings.TrimPrefix(path, "/authorizations/")]
		reply(w, http.StatusOK, a.balance())
	case call == "GET /admin/retry-metrics":
		n := f.operations.Load()
		reply(w, http.StatusOK, map[string]any{"retries": n, "failures": 0, "operations": []any{
			map[string]any{
				"operation": "authorization.reserve", "retries": n, "failures": 0, "attempts": map[string]int64{"1": n, "2": n / 2},
				"later": "more",
			},
		}})
	case call == "POST /admin/verify":
		if f.slow {
			reply(w, http.StatusAccepted, map[string]any{"id": "v-1", "state": "RUNNING", "result": nil})
			return
		}
		f.replyVerified(w)
	case call == "GET /admin/verifications/v-1":
		f.replyVerified(w)
	default:
		refuse(w, http.StatusNotFound, "not-found")
	}
}

// replyVerified writes a finished verification. An invalid result makes the whole answer invalid JSON.
func (f *fake) replyVerified(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"id":"v-1","state":"FINISHED","failure":null,"result":%s}`, f.verifies)
}

func (a *fakeAccount) balance() map[string]any {
	return map[string]any{
		"totalUnits": a.total, "scheduledUnits": a.scheduled, "usedUnits": a.used,
		"availableUnits": a.total - a.scheduled - a.used,
	}
}

func (f *fake) operate(w http.ResponseWriter, r *http.Request, path string, body map[string]any) {
	n := f.operations.Add(1)
	if f.serial != nil {
		f.serial <- struct{}{}
		defer func() { <-f.serial }()
	}
	if !sleep(r.Context(), f.takes(n)) {
		return
	}
	if status, code := f.says(n); status != 0 {
		refuse(w, status, code)
		return
	}
	parts := strings.Split(path, "/")
	id, kind := parts[2], parts[3]
	f.mutex.Lock()
	defer f.mutex.Unlock()
	a := f.accounts[id]
	if body["units"] != 1.0 {
		refuse(w, http.StatusUnprocessableEntity, "invalid")
		return
	}
	effect := int64(1)
	if f.loses(n) {
		effect = 0
	}
	if f.doubles(n) {
		effect = 2
	}
	f.booked[kind][id]++
	reservation, _ := body["reservationId"].(string)
	switch {
	case kind == "reserve" && a.total-a.scheduled-a.used < 1:
		f.booked[kind][id]--
		refuse(w, http.StatusConflict, "insufficient-units")
	case kind == "reserve":
		created := uuid.NewString()
		a.scheduled += effect
		a.reservations[created] = true
		reply(w, http.StatusCreated,
			map[string]any{"reservation": map[string]any{"id": created, "units": 1}, "authorization": a.balance()})
	case !a.reservations[reservation]:
		refuse(w, http.StatusConflict, "reservation-closed")
	default:
		delete(a.reservations, reservation)
		a.scheduled -= effect
		if kind == "consume" {
			a.used += effect
		}
		reply(w, http.StatusOK, map[string]any{"authorization": a.balance()})
	}
}

// units returns the executed units of one kind.
func (f *fake) units(kind string) (sum int64) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	for _, n := range f.booked[kind] {
		sum += n
	}
	return sum
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"status": status, "code": code, "detail": "It says " + code + "."})
}

// inMemory sends requests to the fake without a network, so that a test can use virtual
// time.
type inMemory struct {
	to http.Handler
	// cut returns errors that break a connection before or after the request arrives.
	cut func(r *http.Request) (before, after error)
}

func (m inMemory) RoundTrip(r *http.Request) (*http.Response, error) {
	var before, after error
	if m.cut != nil {
		before, after = m.cut(r)
	}
	if before != nil {
		return nil, before
	}
	if r.Body == nil {
		r = r.Clone(r.Context())
		r.Body = http.NoBody
	}
	answer := httptest.NewRecorder()
	m.to.ServeHTTP(answer, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if after != nil {
		return nil, after
	}
	return answer.Result(), nil
}

// isOperation reports whether a request belongs to the load.
func isOperation(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.Count(r.URL.Path, "/") == 5
}

// runOn runs a scenario against a fake. Call it in a bubble of virtual time.
func runOn(t *testing.T, f *fake, o Options) Result {
	t.Helper()
	result, err := tryOn(t, inMemory{to: f}, o)
	require.NoError(t, err)
	return result
}

func tryOn(t *testing.T, transport http.RoundTripper, o Options) (Result, error) {
	t.Helper()
	if len(o.URLs) == 0 {
		o.URLs = []string{"http://server.test"}
	}
	if o.Email == "" {
		o.Email, o.Password = "admin@demo.test", "secret"
	}
	o, s, err := o.resolve()
	if err != nil {
		return Result{}, err
	}
	return run(t.Context(), o, s, transport)
}

func every(n int64) func(int64) bool {
	return func(i int64) bool { return i%n == 0 }
}

// missed returns the targets that are not met.
func missed(r Result) (what []string) {
	for _, t := range r.Targets {
		if !t.Met {
			what = append(what, fmt.Sprintf("%s: %v, limit %v", t.What, t.Measured, t.Limit))
		}
	}
	return what
}
