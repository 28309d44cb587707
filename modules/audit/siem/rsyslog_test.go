package siem_test

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/audit/siem"
)

// TestRsyslogReceivesEveryEvent sends events to Debian's rsyslog over TLS. CI sets OMNI_TEST_RSYSLOG.
func TestRsyslogReceivesEveryEvent(t *testing.T) {
	t.Parallel()
	if os.Getenv("OMNI_TEST_RSYSLOG") == "" {
		t.Skip("set OMNI_TEST_RSYSLOG=1; needs the Debian packages rsyslog and rsyslog-gnutls")
	}
	server, ca := certificate(t)
	dir := t.TempDir()
	block := func(name, kind string, content []byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600))
		return path
	}
	pair := server.TLS.Certificates[0]
	key := block("key.pem", "PRIVATE KEY", privateKeyOf(t, pair.PrivateKey))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := l.Addr().(*net.TCPAddr).Port
	require.NoError(t, l.Close())
	out := filepath.Join(dir, "events.jsonl")
	settings := filepath.Join(dir, "rsyslog.conf")
	require.NoError(t, os.WriteFile(settings, fmt.Appendf(nil, `
global(workDirectory=%q defaultNetstreamDriver="gtls" defaultNetstreamDriverCAFile=%q
  defaultNetstreamDriverCertFile=%q defaultNetstreamDriverKeyFile=%q)
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="anon")
input(type="imtcp" port="%d" address="127.0.0.1")
template(name="text" type="string" string="%%pri%% %%msgid%% %%msg%%\n")
action(type="omfile" file=%q template="text")
`, dir, ca, ca, key, port, out), 0o600))
	rsyslog := exec.CommandContext(t.Context(), "rsyslogd", "-n", "-f", settings, "-i", filepath.Join(dir, "pid"))
	rsyslog.Stderr, rsyslog.Stdout = os.Stderr, os.Stderr
	require.NoError(t, rsyslog.Start())
	t.Cleanup(func() { _ = rsyslog.Process.Kill(); _ = rsyslog.Wait() })
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}, 10*time.Second, 50*time.Millisecond)

	const rounds, many = 4, 500
	to := siem.Destination(fmt.Sprintf("syslog+tls://127.0.0.1:%d?ca=%s", port, ca))
	for range rounds {
		require.NoError(t, to.Send(t.Context(), events(many)))
	}
	var lines []string
	require.Eventually(t, func() bool {
		text, _ := os.ReadFile(out)
		lines = strings.Split(strings.TrimSpace(string(text)), "\n")
		return len(lines) >= rounds*many
	}, 10*time.Second, 50*time.Millisecond)
	require.Len(t, lines, rounds*many)
	for i, line := range lines {
		parts := strings.SplitN(line, " ", 3)
		require.Equal(t, "patient.read", parts[1])
		var e siem.Event
		require.NoError(t, json.Unmarshal([]byte(strings.TrimSpace(parts[2])), &e), line)
		require.Equal(t, events(many)[i%many], e)
	}
}

func privateKeyOf(t *testing.T, key any) []byte {
	t.Helper()
	text, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return text
}
