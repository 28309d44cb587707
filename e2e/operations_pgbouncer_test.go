package e2e

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
)

// TestPgbouncerInTransactionMode runs the program behind pgbouncer in transaction mode with two connections to the
// server, so that successive transactions of a client use different ones. It needs Debian's package pgbouncer.
func TestPgbouncerInTransactionMode(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"exec", "cache_describe"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			database := dbtest.Of(dbtest.Server(t, true))
			behind := database
			behind.AppURL = startPgbouncer(t, database)
			c := harness.Serve(t, database, behind.Open(t, dbtest.WithMaxConns(10), func(c *db.Config) { c.ExecMode = mode }))
			path := c.Authorize(t, 100, harness.Body{"caps": caps("DAY", 50)})
			var clients sync.WaitGroup
			for i := range 8 {
				clients.Go(func() {
					keyed := c.Admin().WithHeader("Idempotency-Key", strconv.Itoa(i))
					for range 5 { // four of them are replays
						a := keyed.Post(t, path+"/reserve", harness.Body{"units": 2})
						require.Equal(t, http.StatusCreated, a.Status, "%s", a.Raw)
					}
					c.Admin().Get(t, "/authorizations?limit=200").OK(t)
				})
			}
			clients.Wait()
			require.Equal(t, http.StatusOK, c.Admin().Post(t, path+"/consume", harness.Body{"units": 3}).Status)
			c.RequireBalance(t, path, 100, 3, 13)
			c.RequireClean(t)
		})
	}
}

// startPgbouncer starts pgbouncer in front of the database, and returns its URL for the program.
func startPgbouncer(t *testing.T, database dbtest.Database) string {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program = "/usr/sbin/pgbouncer"
		if _, err := os.Stat(program); err != nil {
			t.Skip("install the package pgbouncer")
		}
	}
	server, err := url.Parse(database.AppURL)
	require.NoError(t, err)
	password, _ := server.User.Password()
	dir := t.TempDir()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := free.Addr().(*net.TCPAddr).Port
	require.NoError(t, free.Close())
	name := filepath.Base(server.Path)
	write := func(file, content string) string {
		path := filepath.Join(dir, file)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o644)) // for the account of pgbouncer
		return path
	}
	users := write("users", fmt.Sprintf("%q %q\n", server.User.Username(), password))
	settings := write("pgbouncer.ini", fmt.Sprintf(`[databases]
%s = host=%s port=5432 dbname=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
pool_mode = transaction
default_pool_size = 2
auth_type = plain
auth_file = %s
ignore_startup_parameters = extra_float_digits
`, name, server.Query().Get("host"), name, port, users))
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		require.NoError(t, os.Chmod(d, 0o755))
	}
	pooler := exec.CommandContext(t.Context(), program, "-q", settings)
	if os.Getuid() == 0 { // pgbouncer refuses to run as root
		pooler.SysProcAttr = &syscall.SysProcAttr{Credential: ownerOf(t, filepath.Join(server.Query().Get("host"), "..", "cluster"))}
	}
	pooler.Dir = dir
	require.NoError(t, pooler.Start())
	t.Cleanup(func() {
		_ = pooler.Process.Kill() // it may have ended with the test's context
		_ = pooler.Wait()
	})
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}, harness.Soon, 10*time.Millisecond)
	return (&url.URL{Scheme: "postgres", User: server.User, Host: address, Path: "/" + name, RawQuery: "sslmode=disable"}).String()
}
