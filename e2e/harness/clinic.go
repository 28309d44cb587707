package harness

import (
	"cmp"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/app"
	"omnirapeutic/config"
	"omnirapeutic/modules/events"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/smtp/smtptest"
	"omnirapeutic/platform/telemetry/logtest"
)

// Clinic is the whole program on its own database, tested over HTTP.
type Clinic struct {
	// Set before Start; all but the database have defaults.
	Database      dbtest.Database
	Clock         *Clock           // nil: the real time
	NewID         func() uuid.UUID // nil: [NewID]
	Settings      []string         // environment variables of the program
	VerifyWait    time.Duration    // wait of requests for the verifications that they start; 0: long enough
	EventTuning   events.Tuning
	EventPoll     time.Duration    // interval of relaying without a signal; 0: one second
	Mail          *smtptest.Server // the mail server; nil: none, or MailServer
	MailServer    MailServer       // a mail server outside of the process
	RealPasswords bool             // hash passwords at full cost, and delay refusals as in production

	// Set by Start.
	App                *app.App
	URL                string
	SharesTransactions bool // commands share transactions, of which one runs at a time

	// Set by AddPractices. Most tests use the clinic's own practice only.
	Own, Other Practice
}

// Open starts a clinic. Options are passed to the database, for example to insert a proxy.
func Open(t testing.TB, options ...dbtest.Option) *Clinic {
	t.Helper()
	database := TwoPractices.New(t)
	return Serve(t, database, database.Open(t, options...))
}

// OpenInTheAfternoon is [Open] with a clock that begins at 15:00 of the practices, today or tomorrow. It is for
// tests of earlier sessions of the same day: with the real time, they would fail shortly after midnight.
func OpenInTheAfternoon(t testing.TB) *Clinic {
	t.Helper()
	database := dbtest.New(t) // tokens of a prepared practice would have expired
	now := time.Now().In(NewYork(t))
	afternoon := time.Date(now.Year(), now.Month(), now.Day(), 15, 0, 0, 0, now.Location())
	if afternoon.Before(now) {
		afternoon = afternoon.AddDate(0, 0, 1)
	}
	c := &Clinic{Database: database, Clock: &Clock{}}
	c.Clock.SetAhead(afternoon.Sub(now))
	c.Start(t, database.Open(t))
	c.Own, c.Other = c.AddPractice(t, "own"), c.AddPractice(t, "other")
	return c
}

// Serve starts the program on an open database, with environment variables, and creates
// two practices.
func Serve(t testing.TB, database dbtest.Database, opened *db.DB, settings ...string) *Clinic {
	t.Helper()
	c := &Clinic{Database: database, Settings: settings}
	c.Start(t, opened)
	c.AddPractices(t)
	return c
}

// SecondInstance starts another instance of the program on the same database, with
// environment variables of its own.
func SecondInstance(t testing.TB, first *Clinic, opened *db.DB, settings ...string) *Clinic {
	t.Helper()
	c := *first
	c.Settings = settings
	c.Start(t, opened)
	return &c
}

// Start starts the program on an open database.
func (c *Clinic) Start(t testing.TB, opened *db.DB) {
	t.Helper()
	if c.Clock == nil {
		c.Clock = &Clock{}
	}
	if c.NewID == nil {
		c.NewID = NewID
	}
	logger := logtest.Logger()
	settings, err := config.Load("",
		slices.Concat([]string{"HOME=/nowhere", "OMNI_FAILURE_RATE_LIMIT=0", "OMNI_DB_PROFILE=" + string(dbtest.Profile())},
			TransactionSettings(), c.mailSettings(), c.Settings))
	require.NoError(t, err)
	logtest.Secret("a password", Password)
	logtest.Secret("the secret of tokens", settings.Token.Secret.Reveal())
	c.SharesTransactions = settings.Commands.BatchLimit > 1 && !opened.IsPortable()
	failureHold := time.Millisecond
	if c.RealPasswords {
		failureHold = 0
	}
	c.App, err = app.New(app.Dependencies{
		Config:         settings,
		Database:       opened,
		Logger:         logger,
		Tracer:         tracer(),
		Clock:          c.Clock.Now,
		NewID:          c.NewID,
		Events:         c.EventTuning,
		EventPoll:      c.EventPoll,
		QuickPasswords: !c.RealPasswords,
		FailureHold:    failureHold,
		VerifyWait:     cmp.Or(c.VerifyWait, longVerifyWait),
		MailRoots:      c.mailRoots(),
		ExampleWait:    time.Minute,
	})
	require.NoError(t, err)
	spans.expect(t, c.App, c.Database)
	t.Cleanup(c.App.Verifications.Close)
	server := httptest.NewServer(c.App.Handler())
	t.Cleanup(server.Close)
	c.URL = server.URL
}

// longVerifyWait is longer than the verification of any test's practice.
const longVerifyWait = time.Minute

// SharedTransactions lets commands share transactions, as by default.
var SharedTransactions = []string{"OMNI_COMMAND_BATCH_LIMIT=256", "OMNI_COMMAND_BATCHES=1", "OMNI_COMMAND_LOCK=true"}

// SeparateTransactions gives each command a transaction of its own. Several run at once,
// without the lock, and conflicts are retried.
var SeparateTransactions = []string{"OMNI_COMMAND_BATCH_LIMIT=1", "OMNI_COMMAND_BATCHES=8", "OMNI_COMMAND_LOCK=false"}

// TransactionSettings returns the settings for all tests that do not choose. With
// OMNI_TEST_SEPARATE, each command has a transaction of its own.
func TransactionSettings() []string {
	if os.Getenv("OMNI_TEST_SEPARATE") != "" {
		return SeparateTransactions
	}
	return SharedTransactions
}

// Metrics returns the program's metrics.
func (c *Clinic) Metrics(t testing.TB) string {
	t.Helper()
	w := httptest.NewRecorder()
	c.App.MetricsHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	require.Equal(t, http.StatusOK, w.Code)
	return w.Body.String()
}

// NewID returns a new id, of the kind that the program creates.
func NewID() uuid.UUID { return uuid.Must(uuid.NewV7()) }

// Concurrently runs fn n times concurrently, started at a barrier.
func Concurrently(n int, fn func(i int)) {
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
