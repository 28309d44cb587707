package postgres_test

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db/pgurl/pgurltest"
	"omnirapeutic/platform/postgres"
)

func TestProgramStopsOnSignal(t *testing.T) {
	t.Parallel()
	dir := scratch(t)
	c := startProgram(t, dir, nil)
	require.Empty(t, c.Failure)
	require.NoError(t, c.Process.Signal(syscall.SIGTERM))
	require.NoError(t, c.Wait())
	require.NoFileExists(t, pidFile(dir), "the server ended before the program did")
	require.Contains(t, readLog(t, dir), "received fast shutdown request")
}

func TestProgramIsKilled(t *testing.T) {
	t.Parallel()
	dir := scratch(t)
	c := startProgram(t, dir, nil, "PGPORT=1") // must be ignored
	require.Empty(t, c.Failure)
	execute(t, c.Owner, "CREATE TABLE notes AS SELECT 'kept' AS note")
	require.NoError(t, c.Process.Kill())
	_ = c.Wait()
	eventually(t, "the server stops itself", func() bool { return missing(pidFile(dir)) })
	require.Contains(t, readLog(t, dir), "received fast shutdown request")
	require.Contains(t, readLog(t, dir), "database system is shut down")
}

func TestVariablesOfLibpqDoNotReachThePrivateServer(t *testing.T) {
	t.Parallel()
	dir := scratch(t)
	var environment []string
	for name, value := range pgurltest.Hostile {
		environment = append(environment, name+"="+value)
	}
	c := startProgram(t, dir, nil, environment...)
	require.Empty(t, c.Failure, "the cluster is created, started and reached")
	server, err := os.ReadFile("/proc/" + strconv.Itoa(postmaster(t, dir)) + "/environ")
	if err == nil { // Linux
		for _, variable := range environment {
			require.NotContains(t, "\x00"+string(server), "\x00"+variable+"\x00")
		}
	}
	require.Equal(t, "UTC", value[string](t, c.App, "SHOW timezone"))
	require.NoError(t, c.Process.Signal(syscall.SIGTERM))
	require.NoError(t, c.Wait())
}

func TestProgramIsKilledAndStartedAtOnce(t *testing.T) {
	t.Parallel()
	dir := scratch(t)
	c := startProgram(t, dir, nil)
	require.Empty(t, c.Failure)
	execute(t, c.Owner, "CREATE TABLE notes AS SELECT 'kept' AS note")
	require.NoError(t, c.Process.Kill())
	_ = c.Wait()
	start(t, postgres.Options{Dir: dir})
	require.Equal(t, "kept", value[string](t, c.Owner, "SELECT note FROM notes"))
	require.NotContains(t, readLog(t, dir), "recovery in progress", "the shutdown was waited for")
}

func TestProgramAndServerAreKilled(t *testing.T) {
	t.Parallel()
	dir := scratch(t)
	c := startProgram(t, dir, nil)
	require.Empty(t, c.Failure)
	execute(t, c.Owner, "CREATE TABLE notes AS SELECT 'kept' AS note")
	// Frozen first, so that neither can react to the other's death.
	server := postmaster(t, dir)
	require.NoError(t, syscall.Kill(server, syscall.SIGSTOP))
	require.NoError(t, c.Process.Kill())
	require.NoError(t, syscall.Kill(server, syscall.SIGKILL))
	_ = c.Wait()
	require.FileExists(t, pidFile(dir))

	start(t, postgres.Options{Dir: dir})
	require.Equal(t, "kept", value[string](t, c.Owner, "SELECT note FROM notes"))
	require.Contains(t, readLog(t, dir), "automatic recovery in progress")
}

func TestSessionsOutliveTheirServer(t *testing.T) {
	t.Parallel()
	dir := scratch(t)
	c := startProgram(t, dir, nil)
	require.Empty(t, c.Failure)
	busy := connect(t, c.Owner)
	session := int(busy.PgConn().PID())
	// A frozen session cannot notice that its server is gone.
	require.NoError(t, syscall.Kill(session, syscall.SIGSTOP))
	require.NoError(t, syscall.Kill(postmaster(t, dir), syscall.SIGSTOP))
	require.NoError(t, syscall.Kill(postmaster(t, dir), syscall.SIGKILL))
	require.NoError(t, c.Process.Kill())
	_ = c.Wait()

	started := make(chan *postgres.Server)
	go func() {
		s, err := postgres.Start(t.Context(), postgres.Options{Dir: dir})
		if err != nil {
			t.Error(err)
		}
		started <- s
	}()
	eventually(t, "PostgreSQL sees the session", func() bool {
		return strings.Contains(readLog(t, dir), "is still in use")
	})
	select {
	case <-started:
		t.Error("a second server writes while a session of the first exists")
	case <-time.After(300 * time.Millisecond):
	}
	require.NoError(t, syscall.Kill(session, syscall.SIGCONT))
	if s := <-started; s != nil {
		stop(t, s)
	}
}

// A reused process id in postmaster.pid must not prevent the start of the server or
// kill the other process.
func TestStalePidFile(t *testing.T) {
	t.Parallel()
	dir := scratch(t)
	s := start(t, postgres.Options{Dir: dir})
	owner := s.OwnerURL(s.Database())
	execute(t, owner, "CREATE TABLE notes AS SELECT 'kept' AS note")
	notes := map[string]string{pidFile(dir): "", filepath.Join(dir, "socket", ".s.PGSQL.5432.lock"): ""}
	for note := range notes {
		content, err := os.ReadFile(note)
		require.NoError(t, err)
		_, notes[note], _ = strings.Cut(string(content), "\n")
	}
	stop(t, s)

	for name, credential := range map[string]*syscall.Credential{
		"of the program's user": nil,
		"of the server's user":  serverCredential(t, dir),
	} {
		other := exec.Command("sleep", "600")
		other.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
		require.NoError(t, other.Start())
		t.Cleanup(func() { _, _ = other.Process.Kill(), other.Wait() })
		for note, rest := range notes {
			stale := strconv.Itoa(other.Process.Pid) + "\n" + rest
			require.NoError(t, os.WriteFile(note, []byte(stale), 0o600))
			giveToServer(t, dir, note)
		}

		again := start(t, postgres.Options{Dir: dir})
		require.Equal(t, "kept", value[string](t, owner, "SELECT note FROM notes"), name)
		stop(t, again)
		require.NoError(t, other.Process.Signal(syscall.Signal(0)), "it lives on")
	}

	// Truncated while it was written.
	for note := range notes {
		require.NoError(t, os.WriteFile(note, nil, 0o600))
		giveToServer(t, dir, note)
	}
	start(t, postgres.Options{Dir: dir})
}

// A program that is killed during initdb leaves no incomplete cluster.
func TestProgramIsKilledDuringInitdb(t *testing.T) {
	t.Parallel()
	dir := scratch(t)
	c := launchProgram(t, dir, nil)
	eventually(t, "initdb runs", func() bool {
		made, _ := filepath.Glob(filepath.Join(dir, "initdb-*", "cluster", "base"))
		return len(made) > 0
	})
	require.NoError(t, c.Process.Kill())
	_ = c.Wait()
	require.NoDirExists(t, filepath.Join(dir, "cluster"))
	s := start(t, postgres.Options{Dir: dir})
	require.Equal(t, int64(1), value[int64](t, s.AppURL(s.Database()), "SELECT 1::bigint"))
}

func TestAsAnotherUser(t *testing.T) {
	t.Parallel()
	nobody := credential(t, "nobody")
	dir := filepath.Join(filepath.Dir(scratch(t)), "of-nobody", "data")
	require.NoError(t, os.Mkdir(filepath.Dir(dir), 0o755))
	require.NoError(t, os.Chown(filepath.Dir(dir), int(nobody.Uid), int(nobody.Gid)))
	c := startProgram(t, dir, nobody)
	require.Empty(t, c.Failure)
	require.Equal(t, int64(1), value[int64](t, c.App, "SELECT 1::bigint"))
	require.Equal(t, nobody.Uid, owner(t, filepath.Join(dir, "cluster")))
	require.NoError(t, c.Process.Kill())
	_ = c.Wait()
	eventually(t, "the server stops itself", func() bool { return missing(pidFile(dir)) })
	require.Contains(t, readLog(t, dir), "received fast shutdown request")

	// Root's server runs as another user, who cannot enter: it must be refused, not
	// taken over.
	if serverUser := credentialOfServer(t); serverUser.Uid != nobody.Uid {
		var unreachable *postgres.Unreachable
		_, err := postgres.Start(t.Context(), postgres.Options{Dir: dir})
		require.ErrorAs(t, err, &unreachable)
		require.Equal(t, dir, unreachable.Folder)
		require.Equal(t, nobody.Uid, owner(t, dir))
	}
}

func TestAsRoot(t *testing.T) {
	t.Parallel()
	wanted := credentialOfServer(t)
	dir := scratch(t)
	start(t, postgres.Options{Dir: dir})
	require.Equal(t, wanted.Uid, owner(t, dir))
	require.Equal(t, wanted.Uid, owner(t, filepath.Join(dir, "cluster")))
	require.Equal(t, wanted.Uid, owner(t, filepath.Join("/proc", strconv.Itoa(postmaster(t, dir)))))
	environment, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(postmaster(t, dir)), "environ"))
	require.NoError(t, err)
	require.Contains(t, string(environment), "HOME="+dir)
	require.NotContains(t, string(environment), "USER=", "it is a clean one")
}

// Root's umask may exclude others from root's files.
func TestAsRootWithATightUmask(t *testing.T) {
	t.Parallel()
	credentialOfServer(t)
	dir := filepath.Join(scratch(t), "made", "on", "the", "way")
	c := startProgram(t, dir, nil, programUmask+"=077")
	require.Empty(t, c.Failure)
	require.Equal(t, int64(1), value[int64](t, c.App, "SELECT 1::bigint"))
}

// A folder that is not empty keeps its owner.
func TestAsRootInAFolderOfAnotherUser(t *testing.T) {
	t.Parallel()
	credentialOfServer(t)
	dir := scratch(t)
	require.NoError(t, os.Mkdir(dir, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "letter"), nil, 0o600))
	start(t, postgres.Options{Dir: dir})
	require.Zero(t, owner(t, dir))
}

func TestUnreachableFolder(t *testing.T) {
	t.Parallel()
	nobody := credential(t, "nobody")
	closed := filepath.Join(filepath.Dir(scratch(t)), "closed")
	require.NoError(t, os.MkdirAll(filepath.Join(closed, "open"), 0o755))
	require.NoError(t, os.Chmod(closed, 0o700))
	link := filepath.Join(filepath.Dir(closed), "link")
	require.NoError(t, os.Symlink(filepath.Join(closed, "open"), link))

	for _, dir := range []string{
		filepath.Join(closed, "data"), filepath.Join(closed, "open", "data"), filepath.Join(link, "data"),
	} {
		_, err := postgres.Start(t.Context(), postgres.Options{Dir: dir})
		var unreachable *postgres.Unreachable
		require.ErrorAs(t, err, &unreachable, dir)
		require.Equal(t, closed, unreachable.Folder)
		require.Contains(t, err.Error(), closed)
		require.NoDirExists(t, dir, "nothing was made")

		c := startProgram(t, dir, nobody)
		require.Equal(t, "*postgres.Unreachable", c.Type, c.Failure)
		require.Contains(t, c.Failure, closed)
	}
}

// credential returns a user to run a child as; only root can.
func credential(t testing.TB, name string) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can run a program as another user")
	}
	u, err := user.Lookup(name)
	require.NoError(t, err)
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	require.NoError(t, err)
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	require.NoError(t, err)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// credentialOfServer returns the user as which root's server runs.
func credentialOfServer(t testing.TB) *syscall.Credential {
	t.Helper()
	for _, name := range []string{"omnirapeutic", "postgres"} {
		if _, err := user.Lookup(name); err == nil {
			return credential(t, name)
		}
	}
	return credential(t, "nobody")
}

// serverCredential returns the user that owns a cluster; nil for the current user.
func serverCredential(t testing.TB, dir string) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	id := owner(t, filepath.Join(dir, "cluster"))
	return &syscall.Credential{Uid: id, Gid: id}
}

func giveToServer(t testing.TB, dir, path string) {
	t.Helper()
	require.NoError(t, os.Chown(path, int(owner(t, filepath.Join(dir, "cluster"))), -1))
}

func owner(t testing.TB, path string) uint32 {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	return info.Sys().(*syscall.Stat_t).Uid //nolint:forcetypeassert // on unix it is
}
