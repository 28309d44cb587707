package audit_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/audit"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/db/wireproxy"
	"omnirapeutic/platform/telemetry/logtest"
	"omnirapeutic/platform/trail"
)

// queueing is a trail that queues on disk, because its database accepts no writes.
func (o *office) queueing(t *testing.T, dir string) *audit.Service {
	t.Helper()
	opened := o.place.Open(t,
		dbtest.Through(func(url string) string { return url + "&options=-c%20default_transaction_read_only%3Don" }))
	return o.spooling(opened, dir)
}

func (o *office) spooling(opened *db.DB, dir string) *audit.Service {
	return audit.New(audit.Dependencies{
		Database: opened, Clock: func() time.Time { return o.now }, Logger: logtest.Logger(),
		DiskQueue: audit.NewDiskQueue(dir),
	})
}

// queue makes a process queue the events and end.
func (o *office) queue(t *testing.T, dir string, events ...trail.Event) {
	t.Helper()
	s := o.queueing(t, dir)
	require.NoError(t, s.Prepare())
	for _, e := range events {
		require.NoError(t, s.Note(t.Context(), []trail.Event{e}))
	}
	require.Equal(t, len(events), s.Queued())
	s.Close()
}

func filesIn(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	return found
}

func TestReadsAreQueuedWhileTheDatabaseTakesNoWrites(t *testing.T) {
	t.Parallel()
	o, dir := open(t), t.TempDir()
	full, other := event(uuid.New()), event(uuid.New())
	full.PatientID, full.GrantID, full.Address = new(uuid.New()), new(uuid.New()), "192.0.2.1"
	full.After = map[string]string{"operation": "getPatient"}
	s := o.queueing(t, dir)
	require.NoError(t, s.Note(t.Context(), []trail.Event{full}))
	require.NoError(t, s.Note(t.Context(), []trail.Event{other, other}))
	require.Equal(t, 3, s.Queued())
	require.Zero(t, o.count(t, "SELECT count(*) FROM audit_events"))
	_, err := s.Replay(t.Context())
	require.Error(t, err, "its database still accepts no writes")
	require.Equal(t, 3, s.Queued())
	require.NoError(t, s.Note(t.Context(), []trail.Event{full}), "it keeps queueing")

	later := o.spooling(o.database, dir)
	entered, err := later.Replay(t.Context())
	require.NoError(t, err)
	require.Zero(t, entered, "another process still has the file")
	s.Close()
	entered, err = later.Replay(t.Context())
	require.NoError(t, err)
	require.Equal(t, 4, entered)
	require.Empty(t, filesIn(t, dir))
	require.Equal(t, 2, o.count(t, `SELECT count(*) FROM audit_events
		WHERE organization_id = $1 AND actor_id = $2 AND patient_id = $3 AND grant_id = $4
		AND address = $5 AND occurred_at = $6 AND after::json ->> 'operation' = 'getPatient'`,
		full.OrganizationID, full.ActorID, *full.PatientID, *full.GrantID, full.Address, full.OccurredAt))
	sealed, err := later.Seal(t.Context())
	require.NoError(t, err)
	require.Equal(t, 4, sealed)
	findings, err := later.Verify(t.Context(), audit.VerificationScope{Organization: full.OrganizationID}, nil)
	require.NoError(t, err)
	require.True(t, findings.OK)
}

func TestAReplayThatIsInterruptedEntersNothingTwice(t *testing.T) {
	t.Parallel()
	const many = 2500 // three transactions
	for name, place := range map[string]wireproxy.Point{
		"before COMMIT": wireproxy.BeforeServer, "after COMMIT": wireproxy.BeforeAnswer,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, dir := open(t), t.TempDir()
			queued := make([]trail.Event, many)
			for i := range queued {
				queued[i] = event(uuid.UUID{1})
			}
			s := o.queueing(t, dir)
			require.NoError(t, s.Note(t.Context(), queued))
			s.Close()
			proxy := wireproxy.Start(t, o.place.AppURL)
			later := o.spooling(o.place.Open(t, dbtest.Through(proxy.URL)), dir)
			proxy.BreakAfter(place, "UPDATE audit_spools", "commit", 1)
			_, err := later.Replay(t.Context())
			require.Error(t, err)
			_, err = later.Replay(t.Context())
			require.NoError(t, err)
			require.Equal(t, many, o.count(t, "SELECT count(*) FROM audit_events"))
			require.Empty(t, filesIn(t, dir))
		})
	}
}

func TestAFileThatComesBackIsNotEnteredAgain(t *testing.T) {
	t.Parallel()
	o, dir := open(t), t.TempDir()
	o.queue(t, dir, event(uuid.New()), event(uuid.New()))
	path := filesIn(t, dir)[0]
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	later := o.spooling(o.database, dir)
	_, err = later.Replay(t.Context())
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, content, 0o600))
	_, err = later.Replay(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, o.count(t, "SELECT count(*) FROM audit_events"))
	require.Empty(t, filesIn(t, dir))
}

func TestIncompleteLinesAreNotEntered(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		spoil func(content []byte) []byte
		kept  int
	}{
		"a machine that stopped while it wrote leaves a part of a line": {func(c []byte) []byte { return append(c, c[:20]...) }, 0},
		"a file that was tampered with is kept":                         {func(c []byte) []byte { return append(c, "{}\n"...) }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, dir := open(t), t.TempDir()
			o.queue(t, dir, event(uuid.New()), event(uuid.New()))
			path := filesIn(t, dir)[0]
			content, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(path, test.spoil(content), 0o600))
			_, err = o.spooling(o.database, dir).Replay(t.Context())
			require.NoError(t, err)
			require.Equal(t, 2, o.count(t, "SELECT count(*) FROM audit_events"))
			require.Len(t, filesIn(t, dir), test.kept)
		})
	}
}

func TestReadsAreRefusedIfTheyCanNeitherBeRecordedNorQueued(t *testing.T) {
	t.Parallel()
	o := open(t)
	for name, dir := range map[string]string{
		"a folder that cannot be made": "/proc/no/such/folder",
		"no folder":                    "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := o.queueing(t, dir)
			if dir == "" {
				s = audit.New(audit.Dependencies{Database: o.place.Open(t, dbtest.Through(func(url string) string {
					return url + "&options=-c%20default_transaction_read_only%3Don"
				})), Clock: func() time.Time { return o.now }, Logger: logtest.Logger()})
			} else {
				require.Error(t, s.Prepare())
			}
			require.ErrorIs(t, s.Note(t.Context(), []trail.Event{event(uuid.New())}), trail.ErrNotRecorded)
			require.False(t, s.CanQueue())
		})
	}
	t.Run("a folder without room", func(t *testing.T) {
		t.Parallel()
		s := o.queueing(t, t.TempDir())
		audit.LimitSpool(s, 1000)
		var err error
		for n := 0; err == nil && n < 100; n++ {
			err = s.Note(t.Context(), []trail.Event{event(uuid.New())})
		}
		require.ErrorIs(t, err, trail.ErrNotRecorded)
		require.Positive(t, s.Queued())
		require.False(t, s.CanQueue())
	})
}

// TestACommitWithoutAnAnswerIsNotQueued: the trail may contain the event, and a queued copy would
// be entered again.
func TestACommitWithoutAnAnswerIsNotQueued(t *testing.T) {
	t.Parallel()
	o := open(t)
	proxy := wireproxy.Start(t, o.place.AppURL)
	s := o.spooling(o.place.Open(t, dbtest.Through(proxy.URL)), t.TempDir())
	proxy.Break(wireproxy.BeforeAnswer, "commit", 1)
	require.ErrorIs(t, s.Note(context.WithoutCancel(t.Context()), []trail.Event{event(uuid.New())}), trail.ErrNotRecorded)
	require.Zero(t, s.Queued())
	require.Equal(t, 1, o.count(t, "SELECT count(*) FROM audit_events"))
}
