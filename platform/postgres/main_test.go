package postgres_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/datadir"
	"omnirapeutic/platform/postgres"
)

// programDir makes the test binary a program with a private server in this folder until
// it receives SIGTERM. The tests kill it.
const (
	programDir   = "OMNI_TEST_PROGRAM_DIR"
	programUmask = "OMNI_TEST_PROGRAM_UMASK"
	// binaries is the folder of downloaded binaries, for the program.
	binaries = "OMNI_TEST_BINARIES"
)

// root holds the folders of all tests, with a copy of the test binary that every user
// can run.
var root string

func TestMain(m *testing.M) {
	if os.Getenv(binaries) == "" {
		data := os.Getenv("OMNI_DATA_DIR")
		if data == "" {
			data, _ = datadir.Default(runtime.GOOS, os.Geteuid() == 0, os.Getenv)
		}
		_ = os.Setenv(binaries, datadir.Binaries(data)) // a constant name
	}
	postgres.AlsoLookIn(os.Getenv(binaries))
	if dir := os.Getenv(programDir); dir != "" {
		os.Exit(program(dir))
	}
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func runTests(m *testing.M) (int, error) {
	parent := os.TempDir()
	if dir, err := os.MkdirTemp("/dev/shm", "probe-"); err == nil {
		parent = "/dev/shm"
		_ = os.Remove(dir)
	}
	var err error
	if root, err = os.MkdirTemp(parent, "omnirapeutic-postgres-"); err != nil {
		return 1, err
	}
	defer os.RemoveAll(root)
	if err := os.Chmod(root, 0o755); err != nil {
		return 1, err
	}
	self, err := os.Executable()
	if err != nil {
		return 1, err
	}
	if out, err := exec.Command("cp", self, filepath.Join(root, "program")).CombinedOutput(); err != nil {
		return 1, fmt.Errorf("cp: %w %s", err, out)
	}
	if os.Getenv("OMNI_POSTGRES_BIN") == "" && os.Getenv("OMNI_POSTGRES_FETCH") != "false" {
		if err := postgres.FetchWhereNoneAreFound(context.Background(), os.Getenv(binaries)); err != nil {
			return 1, err
		}
	}
	code := m.Run()
	// The command line of a leftover server would contain the folder's name.
	if left, err := exec.Command("pgrep", "-af", root).Output(); err == nil {
		return 1, fmt.Errorf("processes were left behind:\n%s", left)
	}
	return code, nil
}

// scratch returns the path of a data folder that does not exist yet, in a folder that
// every user can enter.
func scratch(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(root, "")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return filepath.Join(dir, "data")
}

func start(t testing.TB, o postgres.Options) *postgres.Server {
	t.Helper()
	if o.Bin == "" {
		o.Bin = os.Getenv("OMNI_POSTGRES_BIN")
	}
	s, err := postgres.Start(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { stop(t, s) })
	return s
}

func stop(t testing.TB, s *postgres.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	require.NoError(t, s.Stop(ctx))
}

func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func execute(t testing.TB, url, statement string) {
	t.Helper()
	conn := connect(t, url)
	_, err := conn.Exec(t.Context(), statement)
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
}

func value[T any](t testing.TB, url, query string) T {
	t.Helper()
	conn := connect(t, url)
	var v T
	require.NoError(t, conn.QueryRow(t.Context(), query).Scan(&v))
	require.NoError(t, conn.Close(t.Context()))
	return v
}

// eventually polls with a deadline that is sufficient on a busy machine.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, 30*time.Second, 10*time.Millisecond, what)
}

func readLog(t testing.TB, dir string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, "postgres.log"))
	require.NoError(t, err)
	return string(content)
}

func pidFile(dir string) string { return filepath.Join(dir, "cluster", "postmaster.pid") }

func postmaster(t testing.TB, dir string) int {
	t.Helper()
	content, err := os.ReadFile(pidFile(dir))
	require.NoError(t, err)
	line, _, _ := strings.Cut(string(content), "\n")
	pid, err := strconv.Atoi(line)
	require.NoError(t, err)
	return pid
}

func missing(path string) bool {
	_, err := os.Stat(path)
	return os.IsNotExist(err)
}

// answer is the output of the child program once its server runs.
type answer struct{ Owner, App, Failure, Type string }

// program is the child's main.
func program(dir string) int {
	if umask, err := strconv.ParseUint(os.Getenv(programUmask), 8, 12); err == nil {
		syscall.Umask(int(umask))
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	s, err := postgres.Start(ctx, postgres.Options{Dir: dir, Bin: os.Getenv("OMNI_POSTGRES_BIN")})
	say := json.NewEncoder(os.Stdout)
	if err != nil {
		_ = say.Encode(answer{Failure: err.Error(), Type: fmt.Sprintf("%T", err)})
		return 1
	}
	_ = say.Encode(answer{Owner: s.OwnerURL(s.Database()), App: s.AppURL(s.Database())})
	select {
	case <-ctx.Done():
	case <-s.Done():
		return 2
	}
	if err := s.Stop(context.Background()); err != nil {
		return 3
	}
	return 0
}

// child is a running child program.
type child struct {
	*exec.Cmd
	answer
}

// startProgram runs the child program, as another user if one is given, and waits for
// its answer.
func startProgram(t testing.TB, dir string, as *syscall.Credential, environment ...string) child {
	t.Helper()
	c := launchProgram(t, dir, as, environment...)
	require.NoError(t, json.NewDecoder(bufio.NewReader(c.out)).Decode(&c.answer))
	return c.child
}

type launched struct {
	child
	out io.Reader
}

func launchProgram(t testing.TB, dir string, as *syscall.Credential, environment ...string) launched {
	t.Helper()
	command := exec.Command(filepath.Join(root, "program"))
	command.Dir = root
	command.Env = append([]string{
		programDir + "=" + dir, "PATH=" + os.Getenv("PATH"), binaries + "=" + os.Getenv(binaries),
		"OMNI_POSTGRES_BIN=" + os.Getenv("OMNI_POSTGRES_BIN"),
	}, environment...)
	command.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	command.Stderr = os.Stderr
	out, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		eventually(t, "the server ends after its program", func() bool { return missing(pidFile(dir)) })
	})
	return launched{child{Cmd: command}, out}
}
