package e2e

import (
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/app"
	"omnirapeutic/app/cli"
	"omnirapeutic/config"
	"omnirapeutic/modules/events"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/telemetry/logtest"
)

// TestMain compares the contract with the requests of all tests. It runs the program
// itself if a test has requested it; see [instance].
func TestMain(m *testing.M) {
	if os.Getenv(runMain) != "" {
		os.Exit(cli.Main())
	}
	flag.Parse()
	if parallel := flag.Lookup("test.parallel"); parallel.Value.String() == parallel.DefValue {
		// Many tests wait for a timeout or another process, so more tests than processors
		// run in parallel.
		_ = parallel.Value.Set(strconv.Itoa(2 * runtime.GOMAXPROCS(0)))
	}
	dbtest.Main(m, func() error {
		if !isWholeRun() {
			return nil
		}
		c, err := published()
		if err != nil {
			return err
		}
		if missing := c.promised(); len(missing) > 0 {
			return fmt.Errorf("no test has produced these refusals of the contract:\n%s", strings.Join(missing, "\n"))
		}
		return nil
	})
}

// skipUnlessLong skips a test that takes many seconds, unless tests run at full length.
func skipUnlessLong(t *testing.T) {
	t.Helper()
	if !long {
		t.Skip("slow: run go test -tags long ./e2e")
	}
}

const password = "correct-horse-battery"

// longVerifyWait is longer than the verification of any test's practice.
const longVerifyWait = time.Minute

// clinic is the whole program on its own database, tested over HTTP.
type clinic struct {
	database dbtest.Database
	app      *app.App
	url      string
	clock    *clock
	newID    func() uuid.UUID
	settings []string      // environment variables of the program
	wait     time.Duration // wait of requests for the verifications that they start; 0: long enough
	shares   bool          // commands share transactions
	tuning   events.Tuning
	poll     time.Duration // interval of relaying without a signal; 0: one second
	hashes   bool          // hash passwords at full cost, and delay refusals as in production
	own      practice
	other    practice
}

// clock is the program's clock, which tests may set.
type clock struct {
	offset atomic.Int64
	fixed  time.Time // if set, the time is frozen
}

func (c *clock) now() time.Time {
	ahead := time.Duration(c.offset.Load())
	if !c.fixed.IsZero() {
		return c.fixed.Add(ahead)
	}
	return time.Now().Add(ahead)
}

// frozen returns a clock that is frozen at a time.
func frozen(at time.Time) *clock { return &clock{fixed: at} }

// freeze freezes the clock at a time.
func (c *clock) freeze(at time.Time) { c.fixed = at }

// set moves the clock to an offset from the real time.
func (c *clock) set(ahead time.Duration) { c.offset.Store(int64(ahead)) }

// advance moves the clock forward.
func (c *clock) advance(by time.Duration) { c.offset.Add(int64(by)) }

// open starts a clinic. Options are passed to the database, for example to insert a proxy.
func open(t testing.TB, options ...dbtest.Option) *clinic {
	t.Helper()
	database := twoPractices.New(t)
	return serve(t, database, database.Open(t, options...))
}

// serve starts the program on an open database, with environment variables, and creates
// two practices.
func serve(t testing.TB, database dbtest.Database, opened *db.DB, settings ...string) *clinic {
	t.Helper()
	c := &clinic{database: database, settings: settings}
	c.listen(t, opened)
	c.fill(t)
	return c
}

// secondInstance starts another instance of the program on the same database, with
// environment variables of its own.
func secondInstance(t testing.TB, first *clinic, opened *db.DB, settings ...string) *clinic {
	t.Helper()
	c := *first
	c.settings = settings
	c.listen(t, opened)
	return &c
}

func (c *clinic) listen(t testing.TB, opened *db.DB) {
	t.Helper()
	if c.clock == nil {
		c.clock = &clock{}
	}
	if c.newID == nil {
		c.newID = newID
	}
	logger := logtest.Logger()
	settings, err := config.Load("",
		slices.Concat([]string{"HOME=/nowhere", "OMNI_FAILURE_RATE_LIMIT=0"}, transactions(), c.settings))
	require.NoError(t, err)
	logtest.Secret("a password", password)
	logtest.Secret("the secret of tokens", settings.Token.Secret.Reveal())
	c.shares = settings.Commands.BatchLimit > 1
	failureHold := time.Millisecond
	if c.hashes {
		failureHold = 0
	}
	c.app, err = app.New(app.Dependencies{
		Config:         settings,
		Database:       opened,
		Logger:         logger,
		Clock:          c.clock.now,
		NewID:          c.newID,
		Events:         c.tuning,
		EventPoll:      c.poll,
		QuickPasswords: !c.hashes,
		FailureHold:    failureHold,
		VerifyWait:     cmp.Or(c.wait, longVerifyWait),
		ExampleWait:    time.Minute,
	})
	require.NoError(t, err)
	t.Cleanup(c.app.Verifications.Close)
	server := httptest.NewServer(c.app.Handler())
	t.Cleanup(server.Close)
	c.url = server.URL
}

// sharing lets commands share transactions, as by default.
var sharing = []string{"OMNI_COMMAND_BATCH_LIMIT=256", "OMNI_COMMAND_BATCHES=1", "OMNI_COMMAND_LOCK=true"}

// separate gives each command a transaction of its own. Several run at once, without the lock, and
// conflicts are retried.
var separate = []string{"OMNI_COMMAND_BATCH_LIMIT=1", "OMNI_COMMAND_BATCHES=8", "OMNI_COMMAND_LOCK=false"}

// transactions returns the settings for all tests that do not choose. With OMNI_TEST_SEPARATE, each
// command has a transaction of its own.
func transactions() []string {
	if os.Getenv("OMNI_TEST_SEPARATE") != "" {
		return separate
	}
	return sharing
}

// metrics returns the program's metrics.
func (c *clinic) metrics(t testing.TB) string {
	t.Helper()
	w := httptest.NewRecorder()
	c.app.MetricsHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	require.Equal(t, http.StatusOK, w.Code)
	return w.Body.String()
}

func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }

// body is a JSON object.
type body map[string]any

// caller calls the API with an access token.
type caller struct {
	url, token string
	headers    map[string]string
}

func (c *clinic) as(token string) caller { return caller{url: c.url + "/api/v1", token: token} }

func (c *clinic) admin() caller { return c.as(c.own.tokens[rbac.Admin]) }

// with returns a caller that sends an additional header.
func (c caller) with(name, value string) caller {
	headers := map[string]string{name: value}
	for k, v := range c.headers {
		headers[k] = v
	}
	c.headers = headers
	return c
}

func (c caller) get(t testing.TB, path string) answer { return c.send(t, http.MethodGet, path, nil) }

func (c caller) post(t testing.TB, path string, b body) answer {
	return c.send(t, http.MethodPost, path, b)
}

func (c caller) patch(t testing.TB, path string, b body) answer {
	return c.send(t, http.MethodPatch, path, b)
}

func (c caller) delete(t testing.TB, path string) answer {
	return c.send(t, http.MethodDelete, path, nil)
}

// text returns an answer that is not JSON.
func (c caller) text(t testing.TB, path string) []byte {
	t.Helper()
	return c.fetch(t, path).raw
}

// fetch requests an answer that is not JSON.
func (c caller) fetch(t testing.TB, path string) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.url+path, nil)
	require.NoError(t, err)
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	for name, value := range c.headers {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode)
	return answer{status: response.StatusCode, header: response.Header, raw: raw}
}

func (c caller) send(t testing.TB, method, path string, b body) answer {
	t.Helper()
	var content io.Reader
	if b != nil {
		written, err := json.Marshal(b)
		require.NoError(t, err)
		content = bytes.NewReader(written)
	}
	return c.sendRaw(t, method, path, content)
}

func (c caller) sendRaw(t testing.TB, method, path string, content io.Reader) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, c.url+path, content)
	require.NoError(t, err)
	if content != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	for name, value := range c.headers {
		request.Header.Set(name, value)
	}
	return c.exchange(t, request, path)
}

// browser does not follow redirects, which are answers of the API too.
var browser = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// exchange sends a request unchanged, and checks the answer against the contract.
func (c caller) exchange(t testing.TB, request *http.Request, path string) answer {
	t.Helper()
	keepOutOfLogs(t, request)
	response, err := browser.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	return c.answered(t, request.Method, path, response)
}

// keepOutOfLogs registers personal data and secrets of a request, which must not be
// printed from now on.
func keepOutOfLogs(t testing.TB, request *http.Request) {
	t.Helper()
	logtest.Secret("a search text", request.URL.Query().Get("search"))
	if request.GetBody == nil {
		return
	}
	content, err := request.GetBody()
	require.NoError(t, err)
	raw, err := io.ReadAll(content)
	require.NoError(t, err)
	logtest.RegisterRequest(raw)
}

// answered reads an answer, and checks it against the contract.
func (c caller) answered(t testing.TB, method, path string, response *http.Response) answer {
	t.Helper()
	raw, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	a := answer{status: response.StatusCode, header: response.Header, raw: raw}
	if len(raw) > 0 && a.isJSON() {
		require.NoError(t, json.Unmarshal(raw, &a.body), "%s", raw)
	}
	if a.status >= http.StatusBadRequest {
		a.requireProblem(t)
	} else {
		logtest.RegisterResponse(raw)
	}
	c.requireContract(t, method, path, a)
	return a
}

// requireContract checks an answer against the published contract.
func (c caller) requireContract(t testing.TB, method, path string, a answer) {
	t.Helper()
	if !strings.HasSuffix(c.url, "/api/v1") {
		return
	}
	published, err := published()
	require.NoError(t, err)
	published.keeps(t, method, path, a)
}

// answer is an answer of the API.
type answer struct {
	status int
	header http.Header
	raw    []byte
	body   body
}

// isJSON distinguishes JSON from a table.
func (a answer) isJSON() bool {
	media := a.header.Get("Content-Type")
	return !strings.HasPrefix(media, "text/csv") && !strings.HasPrefix(media, "application/jsonl")
}

// requireProblem checks what every problem document must have.
func (a answer) requireProblem(t testing.TB) {
	t.Helper()
	require.Equal(t, "application/problem+json", a.header.Get("Content-Type"), "%s", a.raw)
	for _, member := range []string{"type", "title", "detail", "instance", "code", "requestId"} {
		require.NotEmpty(t, a.body[member], "%s is missing in %s", member, a.raw)
	}
	require.EqualValues(t, a.status, a.body["status"])
	require.Empty(t, innards.FindString(string(a.raw)), "%s", a.raw)
}

// innards are internals that no answer may contain: statements, tables, files and lines
// of the program, and names of its libraries.
var innards = regexp.MustCompile(`SQLSTATE|pgx|gorm|pq:|echo|duplicate key|violates|goroutine|panic|runtime error|nil pointer|` +
	`SELECT |INSERT INTO|UPDATE \w+ SET|DELETE FROM|relation \\?"|column \\?"|\.go:\d+|/src/|dial tcp|127\.0\.0\.1|\.sock|%!`)

// request is the id of the request in the records.
func (a answer) request() string { return a.header.Get("X-Request-Id") }

func (a answer) text(member string) string { s, _ := a.body[member].(string); return s }

// number returns a number by its path of members.
func (a answer) number(t testing.TB, path ...string) int {
	t.Helper()
	at := any(map[string]any(a.body))
	for _, member := range path {
		object, ok := at.(map[string]any)
		require.True(t, ok, "no %v in %s", path, a.raw)
		at = object[member]
	}
	n, ok := at.(float64)
	require.True(t, ok, "no number %v in %s", path, a.raw)
	return int(n)
}

// created returns the id of the created record.
func (a answer) created(t testing.TB) uuid.UUID {
	t.Helper()
	require.Equal(t, http.StatusCreated, a.status, "%s", a.raw)
	id, err := uuid.Parse(a.text("id"))
	require.NoError(t, err, "%s", a.raw)
	return id
}

// refused checks a problem's status and code.
func (a answer) refused(t testing.TB, status int, code string) answer {
	t.Helper()
	require.Equal(t, status, a.status, "%s", a.raw)
	require.Equal(t, code, a.body["code"], "%s", a.raw)
	return a
}

// reservationID returns the id of the reservation of a reserve.
func (a answer) reservationID(t testing.TB) string {
	t.Helper()
	require.Equal(t, http.StatusCreated, a.status, "%s", a.raw)
	reservation, ok := a.body["reservation"].(map[string]any)
	require.True(t, ok, "%s", a.raw)
	return reservation["id"].(string)
}

// authorize creates an authorization that is valid this year and returns its path.
func (c *clinic) authorize(t testing.TB, total int, changes ...body) string {
	t.Helper()
	today := c.clock.now()
	b := body{
		"patientId": c.own.patient, "serviceCodeId": c.own.serviceCode, "totalUnits": total,
		"startDate": today.AddDate(0, -1, 0).Format(time.DateOnly), "endDate": today.AddDate(0, 6, 0).Format(time.DateOnly),
	}
	for _, change := range changes {
		for k, v := range change {
			b[k] = v
		}
	}
	return "/authorizations/" + c.admin().post(t, "/authorizations", b).created(t).String()
}

// requireBalance checks the counters of an authorization.
func (c *clinic) requireBalance(t testing.TB, path string, total, used, scheduled int) {
	t.Helper()
	a := c.admin().get(t, path)
	require.Equal(t, http.StatusOK, a.status, "%s", a.raw)
	require.Equal(t, []int{total, used, scheduled, total - used - scheduled},
		[]int{
			a.number(t, "totalUnits"), a.number(t, "usedUnits"), a.number(t, "scheduledUnits"),
			a.number(t, "availableUnits"),
		},
		"total, used, scheduled, available in %s", a.raw)
}

// verify verifies the caller's organization, and returns the result as an answer.
func (c caller) verify(t testing.TB) answer {
	t.Helper()
	a := c.post(t, "/admin/verify", body{})
	if a.status == http.StatusAccepted {
		path := strings.TrimPrefix(a.header.Get("Location"), "/api/v1")
		require.Eventually(t, func() bool {
			a = c.get(t, path).ok(t)
			return a.body["state"] != "RUNNING"
		}, time.Minute, 100*time.Millisecond)
	}
	require.Equal(t, http.StatusOK, a.status, "%s", a.raw)
	require.Equal(t, "FINISHED", a.body["state"], "%s", a.raw)
	a.body = a.body["result"].(map[string]any)
	return a
}

// requireClean checks that the clinic's ledger is consistent.
func (c *clinic) requireClean(t testing.TB) {
	t.Helper()
	a := c.admin().verify(t)
	require.Equal(t, true, a.body["ok"], "%s", a.raw)
	logtest.Look("metrics", []byte(c.metrics(t)))
}

// together runs fn n times concurrently, started at a barrier.
func together(n int, fn func(i int)) {
	ready := make(chan struct{})
	done := make(chan struct{})
	for i := range n {
		go func() {
			defer func() { done <- struct{}{} }()
			<-ready
			fn(i)
		}()
	}
	close(ready)
	for range n {
		<-done
	}
}
