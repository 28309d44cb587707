package e2e

import (
	"context"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
)

// standbyClinic is a program with a standby for reads.
type standbyClinic struct {
	*harness.Clinic
	standby  *standby
	database *db.DB
}

// openWithStandby starts a primary, a standby and the program.
func openWithStandby(t *testing.T, maxLag time.Duration, settings ...string) standbyClinic {
	t.Helper()
	primary := dbtest.Server(t, false)
	s := startStandby(t, primary)
	database := dbtest.Of(primary)
	opened := database.Open(t, dbtest.WithMaxConns(10), func(c *db.Config) {
		c.Standby = db.StandbyConfig{URL: s.appURL(t, database.AppURL), MaxLag: maxLag}
	})
	c := standbyClinic{harness.Serve(t, database, opened, settings...), s, opened}
	c.awaitStandby(t)
	return c
}

// appURL returns the URL of the standby for the role of another URL.
func (s *standby) appURL(t *testing.T, primary string) string {
	t.Helper()
	u, err := url.Parse(primary)
	require.NoError(t, err)
	query := u.Query()
	query.Set("host", filepath.Dir(s.dir))
	u.RawQuery = query.Encode()
	return u.String()
}

// signal signals all processes of the standby.
func (s *standby) signal(t *testing.T, signal syscall.Signal) {
	t.Helper()
	for _, pid := range append([]int{s.process.Process.Pid}, childProcesses(t, s.process.Process.Pid)...) {
		_ = syscall.Kill(pid, signal) // it may have ended
	}
}

// patients returns the number of patients in an eventual list, and who has answered.
func (c standbyClinic) patients(t *testing.T) (count int, from string) {
	t.Helper()
	a := c.Admin().Get(t, "/patients?limit=200&consistency=eventual").OK(t)
	return len(a.Body["data"].([]any)), a.Header.Get("Read-From")
}

func (c standbyClinic) awaitStandby(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, from := c.patients(t)
		return strings.HasPrefix(from, "standby;lag=")
	}, time.Minute, 50*time.Millisecond)
}

// TestEventualReadsComeFromTheStandby pauses the replay of the standby. A list with consistency=eventual then shows
// the old state and says so, and a list without it shows the change.
func TestEventualReadsComeFromTheStandby(t *testing.T) {
	t.Parallel()
	c := openWithStandby(t, time.Hour)
	before, _ := c.patients(t)
	replay := openSQL(t, c.standby.url)
	runSQL(t, replay, "SELECT pg_wal_replay_pause()")
	c.AddPatient(t)

	count, from := c.patients(t)
	require.Equal(t, before, count)
	require.Contains(t, from, "standby;lag=")
	strong := c.Admin().Get(t, "/patients?limit=200").OK(t)
	require.Len(t, strong.Body["data"], before+1)
	require.Empty(t, strong.Header.Get("Read-From"))
	// A cursor does not depend on the server.
	first := c.Admin().Get(t, "/patients?limit=1&consistency=eventual").OK(t)
	c.Admin().Get(t, "/patients?limit=1&cursor="+url.QueryEscape(first.Text("nextCursor"))).OK(t)

	runSQL(t, replay, "SELECT pg_wal_replay_resume()")
	require.Eventually(t, func() bool {
		count, from := c.patients(t)
		return count == before+1 && strings.HasPrefix(from, "standby;")
	}, time.Minute, 50*time.Millisecond)
	require.Contains(t, c.Metrics(t), `omnirapeutic_eventual_reads_total{reason="",server="standby"}`)
}

// TestEventualReadsComeFromTheStandbyInThePortableProfile reads a change from the standby. The primary records the
// read. The test is not parallel, because the variable sets the profile of the whole process.
func TestEventualReadsComeFromTheStandbyInThePortableProfile(t *testing.T) {
	t.Setenv("OMNI_TEST_PROFILE", string(db.Portable))
	c := openWithStandby(t, time.Hour)
	require.True(t, c.database.IsPortable())
	profile := queryValue[string](t, openSQL(t, c.standby.url), "SELECT profile FROM schema_compatibility")
	require.Equal(t, string(db.Portable), profile)
	owner := openSQL(t, c.Database.OwnerURL)
	recorded := func() int {
		return queryValue[int](t, owner, "SELECT count(*) FROM audit_events WHERE action = 'patient.read'")
	}
	before, _ := c.patients(t)
	c.AddPatient(t)
	require.Eventually(t, func() bool {
		events := recorded()
		count, from := c.patients(t)
		return count == before+1 && strings.HasPrefix(from, "standby;lag=") && recorded() == events+1
	}, time.Minute, 50*time.Millisecond)
	require.Contains(t, c.Metrics(t), `omnirapeutic_eventual_reads_total{reason="",server="standby"}`)
}

// TestReadsOfTheStandbyAreRecordedOnThePrimary stops the audit trail of the primary: then nothing is shown.
func TestReadsOfTheStandbyAreRecordedOnThePrimary(t *testing.T) {
	t.Parallel()
	c := openWithStandby(t, time.Hour, "OMNI_AUDIT_SPOOL=none")
	owner := openSQL(t, c.Database.OwnerURL)
	events := func() int {
		return queryValue[int](t, owner, "SELECT count(*) FROM audit_events WHERE action = 'patient.read'")
	}
	before := events()
	_, from := c.patients(t)
	require.Contains(t, from, "standby;")
	require.Equal(t, before+1, events())
	runSQL(t, owner, "ALTER TABLE audit_events RENAME TO audit_events_away")
	a := c.Admin().Get(t, "/patients?consistency=eventual")
	require.Equal(t, http.StatusServiceUnavailable, a.Status, "%s", a.Raw)
	runSQL(t, owner, "ALTER TABLE audit_events_away RENAME TO audit_events")
	c.patients(t)
}

// TestEventualReadsFallBackToThePrimary: a standby that lags, hangs, is killed or promoted leaves the reads to the
// primary, and each of them succeeds.
func TestEventualReadsFallBackToThePrimary(t *testing.T) {
	t.Parallel()
	c := openWithStandby(t, time.Second)
	replay := openSQL(t, c.standby.url)
	fallsBack := func(reason string) {
		t.Helper()
		require.Eventually(t, func() bool {
			_, from := c.patients(t)
			return from == "primary;reason="+reason
		}, time.Minute, 50*time.Millisecond, reason)
	}

	runSQL(t, replay, "SELECT pg_wal_replay_pause()")
	c.AddPatient(t)
	fallsBack("lag")
	runSQL(t, replay, "SELECT pg_wal_replay_resume()")
	c.awaitStandby(t)

	c.standby.suspend(t) // it receives nothing, and has replayed all that it has received
	c.AddPatient(t)
	fallsBack("lag")
	c.standby.resume(t)
	c.awaitStandby(t)

	c.standby.signal(t, syscall.SIGSTOP)
	fallsBack("down")
	c.standby.signal(t, syscall.SIGCONT)
	c.awaitStandby(t)

	runSQL(t, replay, "SELECT pg_promote()")
	fallsBack("promoted")
	c.AddPatient(t)
	c.patients(t)
	require.Eventually(t, func() bool { return strings.Contains(c.Metrics(t), "omnirapeutic_standby_usable 0") },
		harness.Soon, 10*time.Millisecond)
}

// TestEventualReadsSurviveAStandbyThatFailsInMidRead suspends and then kills the standby while a statement waits
// for a lock that only the standby has, because its replay is paused.
func TestEventualReadsSurviveAStandbyThatFailsInMidRead(t *testing.T) {
	t.Parallel()
	c := openWithStandby(t, time.Hour)
	owner, replay := openSQL(t, c.Database.OwnerURL), openSQL(t, c.standby.url)
	lock, err := owner.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = lock.ExecContext(t.Context(), "LOCK TABLE patients IN ACCESS EXCLUSIVE MODE")
	require.NoError(t, err)
	runSQL(t, owner, "CREATE TABLE written ()") // flushes the log, which has the lock
	require.Eventually(t, func() bool {
		return queryValue[int](t, replay, "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted") > 0
	}, time.Minute, 10*time.Millisecond)
	runSQL(t, replay, "SELECT pg_wal_replay_pause()")
	require.Eventually(t, func() bool {
		return queryValue[string](t, replay, "SELECT pg_get_wal_replay_pause_state()") == "paused"
	}, time.Minute, 10*time.Millisecond)
	require.NoError(t, lock.Rollback())

	for _, fail := range []func(){
		func() { c.standby.signal(t, syscall.SIGSTOP) },
		func() { require.NoError(t, c.standby.process.Process.Signal(syscall.SIGQUIT)) },
	} {
		require.Eventually(t, func() bool { // payers are not locked
			from := c.Admin().Get(t, "/payers?consistency=eventual").OK(t).Header.Get("Read-From")
			return strings.HasPrefix(from, "standby;lag=")
		}, time.Minute, 50*time.Millisecond)
		answer := make(chan string, 1)
		go func() {
			_, from := c.patients(t)
			answer <- from
		}()
		require.Eventually(t, func() bool {
			return queryValue[int](t, replay, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") > 0
		}, time.Minute, 10*time.Millisecond)
		fail()
		require.Equal(t, "primary;reason=down", <-answer)
		c.standby.signal(t, syscall.SIGCONT)
	}
}

// TestEventualReadsSurviveAConflictWithReplay: the standby cancels a read that blocks the replay for too long, with
// 40001. The primary repeats it.
func TestEventualReadsSurviveAConflictWithReplay(t *testing.T) {
	t.Parallel()
	dbtest.NeedsPostgreSQL(t, "standbys of PostgreSQL")
	c := openWithStandby(t, time.Hour)
	owner, replay := openSQL(t, c.Database.OwnerURL), openSQL(t, c.standby.url)
	runSQL(t, replay, "ALTER SYSTEM SET max_standby_streaming_delay = '10ms'")
	runSQL(t, replay, "SELECT pg_reload_conf()")
	ctx, reads := db.WithEventualReads(t.Context())
	runs := 0
	inRecovery, err := db.Snapshot(ctx, c.database, "test", func(ctx context.Context) (inRecovery bool, err error) {
		runs++
		tx, err := db.Handle(ctx)
		if err != nil {
			return false, err
		}
		if err := tx.Raw("SELECT pg_is_in_recovery() FROM patients UNION SELECT pg_is_in_recovery()").
			Scan(&inRecovery).Error; err != nil || !inRecovery {
			return inRecovery, err
		}
		runSQL(t, owner, "DO 'BEGIN LOCK TABLE patients IN ACCESS EXCLUSIVE MODE; CREATE TABLE written (); END'")
		return inRecovery, tx.Exec("SELECT pg_sleep(30)").Error
	})
	require.NoError(t, err)
	require.False(t, inRecovery, "the primary has answered")
	require.Equal(t, 2, runs)
	require.Equal(t, db.Source{Reason: db.Conflict}, reads.Source())
}

// TestConsistencyWithoutAStandby: the parameter is part of the contract, whether or not there is a standby.
func TestConsistencyWithoutAStandby(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	a := c.Admin().Get(t, "/reports/utilization/totals?consistency=eventual").OK(t)
	require.Equal(t, "primary;reason=not-configured", a.Header.Get("Read-From"))
	require.Empty(t, c.Admin().Get(t, "/patients?consistency=strong").OK(t).Header.Get("Read-From"))
	for _, query := range []string{"consistency=some", "consistency=", "consistency=strong&consistency=eventual"} {
		c.Admin().Get(t, "/patients?"+query).Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	}
	// A list that concerns security does not accept it.
	require.Equal(t, http.StatusBadRequest, c.Admin().Get(t, "/users?consistency=eventual").Status)
}

// TestAPrimaryIsNoStandby names the primary as the standby: the check reports it, and reads succeed.
func TestAPrimaryIsNoStandby(t *testing.T) {
	t.Parallel()
	database := harness.TwoPractices.New(t)
	opened := database.Open(t, func(c *db.Config) { c.Standby = db.StandbyConfig{URL: c.URL, MaxLag: time.Second} })
	require.ErrorContains(t, opened.CheckStandby(t.Context()), "no standby")
	c := harness.Serve(t, database, opened)
	require.Eventually(t, func() bool {
		a := c.Admin().Get(t, "/patients?consistency=eventual").OK(t)
		return a.Header.Get("Read-From") == "primary;reason=promoted"
	}, harness.Soon, 10*time.Millisecond)
}
