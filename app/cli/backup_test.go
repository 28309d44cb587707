package cli_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/app/cli"
	"omnirapeutic/platform/telemetry/logtest"
)

// client calls a server as the demo's scheduler.
type client struct{ base, token string }

func (c *client) call(method, path, key string, body, answer any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	var content io.Reader = bytes.NewReader(text)
	if method == http.MethodGet {
		content = http.NoBody
	}
	request, err := http.NewRequest(method, c.base+path, content)
	if err != nil {
		return err
	}
	if key != "" {
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Idempotency-Key", key)
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s", method, path, response.Status)
	}
	return json.NewDecoder(response.Body).Decode(answer)
}

func signedIn(t *testing.T, address string) *client {
	t.Helper()
	c := &client{base: "http://" + address + "/api/v1"}
	var answer struct{ AccessToken string }
	require.NoError(t, c.call(http.MethodPost, "/auth/login", uuid.NewString(),
		map[string]string{"email": "scheduler@demo.test", "password": "Omni-Demo-Practice-2026"}, &answer))
	c.token = answer.AccessToken
	logtest.Secret("an access token", c.token)
	return c
}

// balance is the part of an authorization that changes.
type balance struct {
	ID             string
	ScheduledUnits int
}

// anAuthorization returns an active authorization of the demo.
func (c *client) anAuthorization(t *testing.T) balance {
	t.Helper()
	var page struct{ Data []balance }
	require.NoError(t, c.call(http.MethodGet, "/authorizations?status=ACTIVE&limit=1", "", nil, &page))
	require.Len(t, page.Data, 1)
	return page.Data[0]
}

func (c *client) reserve(id string) error {
	return c.call(http.MethodPost, "/authorizations/"+id+"/reserve", uuid.NewString(), map[string]int{"units": 1}, new(any))
}

func TestABackupOfAServingProgramHasEveryAcceptedRequest(t *testing.T) {
	t.Parallel()
	dir := openDir(t)
	identity, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	keys := filepath.Join(dir, "key.txt")
	require.NoError(t, os.WriteFile(keys, []byte(identity.String()+"\n"), 0o600))
	environment := []string{"OMNI_DATA_DIR=" + dir + "/data", "OMNI_ADDR=127.0.0.1:0"}
	run := func(code int, environment []string, arguments ...string) string {
		got, out, errors := runProgram(t, environment, "", arguments...)
		require.Equal(t, code, got, "%v: %s%s", arguments, out, errors)
		return out + errors
	}

	metrics := freeAddress(t)
	server := program(t, append(environment, "OMNI_METRICS_ADDR="+metrics), "serve")
	_, address := serving(t, server, "Stop with Ctrl-C")
	scheduler := signedIn(t, address)
	before := scheduler.anAuthorization(t)
	const accepted = 20
	for range accepted {
		require.NoError(t, scheduler.reserve(before.ID))
	}
	// More requests are accepted during the backup.
	ended := make(chan struct{})
	var later int
	var reserving sync.WaitGroup
	reserving.Go(func() {
		for {
			select {
			case <-ended:
				return
			default:
				if scheduler.reserve(before.ID) == nil {
					later++
				}
			}
		}
	})
	backups := filepath.Join(dir, "backups")
	for range 2 {
		out := run(cli.ExitOK, environment, "backup", "--to", backups, "--keep", "1", "--recipient", identity.Recipient().String())
		require.Contains(t, out, "Wrote "+backups)
	}
	// A failure is recorded too, and is not a success. The serving program reads both from the database.
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	run(cli.ExitFailed, environment, "backup", "--to", filepath.Join(dir, "file"))
	shown := metricsOf(t, metrics)
	succeeded, failed := shown["omnirapeutic_backup_last_success_timestamp_seconds"],
		shown["omnirapeutic_backup_last_run_timestamp_seconds"]
	require.InDelta(t, time.Now().Unix(), succeeded, time.Hour.Seconds())
	require.GreaterOrEqual(t, failed, succeeded)
	close(ended)
	reserving.Wait()
	require.NoError(t, server.Process.Signal(syscall.SIGTERM))
	require.NoError(t, server.Wait())

	files, err := filepath.Glob(filepath.Join(backups, "*"))
	require.NoError(t, err)
	require.Len(t, files, 1, "--keep removes the older backup, and nothing else is left")
	require.True(t, strings.HasSuffix(files[0], ".tar.gz.age"))

	restored := []string{"OMNI_DATA_DIR=" + dir + "/restored", "OMNI_ADDR=127.0.0.1:0"}
	require.Contains(t, run(cli.ExitFailed, restored, "restore", files[0]), "--identity")
	require.Contains(t, run(cli.ExitOK, restored, "restore", files[0], "--identity", keys), "Restored the backup of ")
	require.Contains(t, run(cli.ExitFailed, restored, "restore", files[0], "--identity", keys), "has data already")
	require.Contains(t, run(cli.ExitOK, restored, "verify"), "Checked")

	server = program(t, restored, "serve")
	_, address = serving(t, server, "Stop with Ctrl-C")
	var after balance
	require.NoError(t, signedIn(t, address).call(http.MethodGet, "/authorizations/"+before.ID, "", nil, &after))
	require.GreaterOrEqual(t, after.ScheduledUnits, before.ScheduledUnits+accepted)
	require.LessOrEqual(t, after.ScheduledUnits, before.ScheduledUnits+accepted+later)
	require.NoError(t, server.Process.Signal(syscall.SIGTERM))
	require.NoError(t, server.Wait())
}

// freeAddress returns an address on which nothing listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := l.Addr().String()
	require.NoError(t, l.Close())
	return address
}

// metricsOf returns the metrics without labels at an address.
func metricsOf(t *testing.T, address string) map[string]float64 {
	t.Helper()
	answer, err := http.Get("http://" + address + "/metrics")
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	found := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if number, err := strconv.ParseFloat(value, 64); err == nil {
			found[name] = number
		}
	}
	return found
}

func TestABackupThatIsIncompleteIsNotRestored(t *testing.T) {
	t.Parallel()
	dir := openDir(t)
	environment := []string{"OMNI_DATA_DIR=" + dir + "/data", "OMNI_DEMO=false"}
	code, _, errors := runProgram(t, environment, "", "verify")
	require.Equal(t, cli.ExitOK, code, errors)
	code, out, errors := runProgram(t, environment, "", "backup", "--to", dir+"/backups") // of a stopped program
	require.Equal(t, cli.ExitOK, code, out+errors)
	files, err := filepath.Glob(filepath.Join(dir, "backups", "omnirapeutic-*.tar.gz"))
	require.NoError(t, err)
	require.Len(t, files, 1)

	content, err := os.ReadFile(files[0])
	require.NoError(t, err)
	cut := filepath.Join(dir, "cut.tar.gz")
	require.NoError(t, os.WriteFile(cut, content[:len(content)-1000], 0o600))
	for name, file := range map[string]string{"a shortened file": cut, "another file": os.Args[0]} {
		restored := dir + "/" + strings.ReplaceAll(name, " ", "-")
		code, _, errors := runProgram(t, []string{"OMNI_DATA_DIR=" + restored}, "", "restore", file)
		require.Equal(t, cli.ExitFailed, code, name)
		require.NotEmpty(t, errors)
		require.NoDirExists(t, restored+"/postgres/cluster", name)
		left, err := filepath.Glob(restored + "/postgres/restore-*")
		require.NoError(t, err)
		require.Empty(t, left)
	}
}

func TestBackupRefusesAConfiguredDatabase(t *testing.T) {
	t.Parallel()
	environment := []string{"OMNI_DATABASE_URL=postgres://a:b@h/d"}
	code, _, errors := runProgram(t, environment, "", "backup", "--to", t.TempDir())
	require.Equal(t, cli.ExitFailed, code)
	require.Contains(t, errors, "back it up with its own programs")
	code, _, errors = runProgram(t, nil, "", "backup", "--to", t.TempDir(), "--recipient", "bob")
	require.Equal(t, cli.ExitFailed, code)
	require.Contains(t, errors, "--recipient bob is not a public key")
}
