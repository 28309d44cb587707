package e2e

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/postgres"
)

// TestConfirmedBookingsSurviveAFailover makes a synchronous standby hang, so that the primary
// answers no COMMIT, and then removes the primary. Every confirmed booking exists once the standby
// is promoted.
func TestConfirmedBookingsSurviveAFailover(t *testing.T) {
	t.Parallel()
	dbtest.NeedsPostgreSQL(t, "messages in PostgreSQL's log, with which a lost COMMIT is confirmed")
	primary := dbtest.Server(t, false)
	database := dbtest.Of(primary)
	// COMMITs keep their connections.
	c := harness.Serve(t, database, database.Open(t, dbtest.WithMaxConns(10)), "OMNI_REQUEST_TIMEOUT=4s")
	path := c.Authorize(t, 100)
	s := startStandby(t, primary)
	superuser := openSQL(t, dbtest.Superuser(t, primary))
	runSQL(t, superuser, "ALTER SYSTEM SET synchronous_standby_names = 'standby'")
	runSQL(t, superuser, "SELECT pg_reload_conf()")
	require.Eventually(t, func() bool {
		return queryValue[int](t, superuser, "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") == 1
	}, time.Minute, 10*time.Millisecond)

	promised := map[string]bool{}
	reserve := func(key string) harness.Answer {
		a := c.Admin().WithHeader("Idempotency-Key", key).Post(t, path+"/reserve", harness.Body{"units": 1, "reference": key})
		if a.Status == http.StatusCreated {
			promised[key] = true
		}
		return a
	}
	require.Equal(t, http.StatusCreated, reserve("with the standby").Status)

	s.suspend(t)
	root := harness.Caller{URL: c.URL}
	reserve("first").Refused(t, http.StatusServiceUnavailable, "outcome-unknown")
	root.Get(t, "/readyz").Refused(t, http.StatusServiceUnavailable, "not-ready")
	require.Contains(t, c.Metrics(t), "omnirapeutic_unanswered_commits 1")
	require.NotEqual(t, http.StatusCreated, reserve("first").Status, "the outcome is still unknown")
	// An administrator ends the wait: the commit is now visible but not replicated.
	require.Equal(t, 1, s.cancelWaits(t, superuser))
	require.Eventually(t, func() bool {
		return strings.Contains(c.Metrics(t),
			"omnirapeutic_unanswered_commits 0")
	}, harness.Soon,
		time.Millisecond)
	require.Equal(t, 1, queryValue[int](t, superuser, "SELECT count(*) FROM unit_reservations WHERE reference = 'first'"))
	reserve("first").Refused(t, http.StatusServiceUnavailable, "outcome-unknown")
	// The same with a waiting caller: the server answers success with a warning.
	s.cancelWaits(t, superuser)
	warned := make(chan harness.Answer)
	go func() { warned <- reserve("warned") }()
	require.Eventually(t, func() bool { return s.cancelWaits(t, superuser) > 0 }, harness.Soon, time.Millisecond)
	(<-warned).Refused(t, http.StatusServiceUnavailable, "outcome-unknown")
	require.Equal(t, map[string]bool{"with the standby": true}, promised)

	s.resume(t)
	for _, key := range []string{"first", "warned"} {
		require.Eventually(t, func() bool { return reserve(key).Status == http.StatusCreated }, time.Minute,
			10*time.Millisecond)
	}

	s.suspend(t)
	for _, key := range []string{"lost", "lost as well"} {
		require.Equal(t, http.StatusServiceUnavailable, reserve(key).Status)
	}
	s.failOver(t, primary)
	promoted := openSQL(t, s.url)
	require.Eventually(t, func() bool { return !queryValue[bool](t, promoted, "SELECT pg_is_in_recovery()") }, time.Minute,
		10*time.Millisecond)
	for key := range promised {
		require.Equal(t, 1, queryValue[int](t, promoted, "SELECT count(*) FROM unit_reservations WHERE reference = $1", key),
			key)
	}
	require.Len(t, promised, 3)
	require.Equal(t, 3, queryValue[int](t, promoted, "SELECT count(*) FROM unit_reservations"),
		"the other two are lost, and were not confirmed")
}

// standby is a server that replicates another one.
type standby struct {
	url     string // of the superuser
	process *exec.Cmd
	dir     string
}

// startStandby copies the primary, and makes the copy replicate it under the name standby.
func startStandby(t *testing.T, primary *postgres.Server) *standby {
	t.Helper()
	bin := "/usr/lib/postgresql/" + strconv.Itoa(primary.Version()) + "/bin/"
	if _, err := os.Stat(bin + "pg_basebackup"); err != nil {
		found, err := exec.LookPath("pg_basebackup")
		said, _ := exec.CommandContext(t.Context(), found, "--version").Output() // no output is no version
		if err != nil || !strings.Contains(string(said), fmt.Sprintf(") %d.", primary.Version())) {
			t.Skip("a standby needs pg_basebackup of the server's version: install PostgreSQL's client programs")
		}
		bin = filepath.Dir(found) + "/"
	}
	superuser, err := url.Parse(dbtest.Superuser(t, primary))
	require.NoError(t, err)
	password, _ := superuser.User.Password()
	base, err := os.MkdirTemp("", "omnirapeutic-standby-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(base, 0o755))
	s := &standby{dir: filepath.Join(base, "data")}
	copying := exec.CommandContext(t.Context(), bin+"pg_basebackup", "-h", superuser.Query().Get("host"), "-p", "5432",
		"-U", superuser.User.Username(), "-D", s.dir, "-X", "stream", "-R", "-c", "fast")
	copying.Env = []string{"PGPASSWORD=" + password, "PGSSLMODE=disable", "HOME=" + base}
	said, err := copying.CombinedOutput()
	require.NoError(t, err, "%s", said)
	account := ownerOf(t, filepath.Join(primary.Dir(), "cluster"))
	require.NoError(t, filepath.WalkDir(base, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(account.Uid), int(account.Gid))
	}))
	s.process = exec.CommandContext(context.WithoutCancel(t.Context()), bin+"postgres", "-D", s.dir,
		"-c", "unix_socket_directories="+base, "-c", "cluster_name=standby", "-c", "synchronous_standby_names=", "-c", "restart_after_crash=on")
	if os.Getuid() == 0 {
		s.process.SysProcAttr = &syscall.SysProcAttr{Credential: account}
	}
	s.process.Env, s.process.Dir = []string{"HOME=" + base}, base
	require.NoError(t, s.process.Start())
	t.Cleanup(func() {
		require.NoError(t, s.process.Process.Signal(syscall.SIGQUIT))
		_ = s.process.Wait() // an immediate shutdown exits with an error
		require.NoError(t, os.RemoveAll(base))
	})
	query := superuser.Query()
	query.Set("host", base)
	superuser.RawQuery = query.Encode()
	s.url = superuser.String()
	return s
}

func ownerOf(t *testing.T, path string) *syscall.Credential {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	stat := info.Sys().(*syscall.Stat_t)
	return &syscall.Credential{Uid: stat.Uid, Gid: stat.Gid}
}

// receiver returns the process that receives the primary's log, or 0 if there is none.
func (s *standby) receiver(t *testing.T) (pid int) {
	t.Helper()
	all := childProcesses(t, s.process.Process.Pid)
	at := slices.IndexFunc(all, func(pid int) bool {
		line, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
		return err == nil && strings.Contains(string(line), "walreceiver")
	})
	if at < 0 {
		return 0
	}
	return all[at]
}

// signalReceiver signals the process that receives the primary's log once it runs.
func (s *standby) signalReceiver(t *testing.T, signal syscall.Signal) {
	t.Helper()
	require.Eventually(t, func() bool {
		pid := s.receiver(t)
		return pid != 0 && syscall.Kill(pid, signal) == nil
	}, time.Minute, 10*time.Millisecond)
}

func (s *standby) suspend(t *testing.T) {
	t.Helper()
	s.signalReceiver(t, syscall.SIGSTOP)
}

func (s *standby) resume(t *testing.T) {
	t.Helper()
	s.signalReceiver(t, syscall.SIGCONT)
}

// cancelWaits ends all waits for the standby, as an administrator can, and returns their number.
func (s *standby) cancelWaits(t *testing.T, superuser *sql.DB) int {
	t.Helper()
	return queryValue[int](t, superuser,
		`SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'`)
}

// failOver kills the primary and promotes the standby. It also kills a suspended receiver, so the
// data that it has not read is lost. A running receiver ends with the primary.
func (s *standby) failOver(t *testing.T, primary *postgres.Server) {
	t.Helper()
	killServer(t, primary)
	if pid := s.receiver(t); pid != 0 {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended already; otherwise the standby would restart without it
	}
	require.Eventually(t, func() bool {
		server, err := sql.Open("pgx", s.url)
		require.NoError(t, err)
		defer server.Close()
		_, err = server.ExecContext(t.Context(), "SELECT pg_promote()")
		return err == nil
	}, time.Minute, 100*time.Millisecond)
}

func openSQL(t *testing.T, url string) *sql.DB {
	t.Helper()
	opened, err := sql.Open("pgx", url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, opened.Close()) })
	return opened
}

func runSQL(t *testing.T, server *sql.DB, statement string) {
	t.Helper()
	_, err := server.ExecContext(t.Context(), statement)
	require.NoError(t, err)
}

func queryValue[T any](t *testing.T, server *sql.DB, query string, arguments ...any) (value T) {
	t.Helper()
	require.NoError(t, server.QueryRowContext(t.Context(), query, arguments...).Scan(&value))
	return value
}
