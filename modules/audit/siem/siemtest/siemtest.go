// Package siemtest has receivers of syslog messages, for tests.
package siemtest

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/audit/siem"
)

// Certificate returns a certificate of 127.0.0.1, and the path of a file with its authority.
func Certificate(t *testing.T) (*httptest.Server, string) {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	t.Cleanup(server.Close)
	path := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	require.NoError(t, os.WriteFile(path, text, 0o600))
	return server, path
}

// Receive accepts one connection and returns the messages of RFC 5425 on it. Then it answers the end of the
// stream with its own, unless it is rude.
func Receive(t *testing.T, l net.Listener, rude bool) <-chan []string {
	t.Helper()
	received := make(chan []string, 1)
	go func() {
		defer close(received)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		var messages []string
		for in := bufio.NewReader(c); ; {
			length, err := in.ReadString(' ')
			if err != nil {
				break
			}
			n, err := strconv.Atoi(strings.TrimSpace(length))
			if err != nil {
				t.Errorf("%q is not a length", length)
				return
			}
			message := make([]byte, n)
			if _, err := io.ReadFull(in, message); err != nil {
				t.Error(err)
				return
			}
			if messages = append(messages, string(message)); rude {
				if tcp, ok := c.(*tls.Conn).NetConn().(*net.TCPConn); ok {
					_ = tcp.SetLinger(0) // resets the connection
				}
				return
			}
		}
		received <- messages
	}()
	return received
}

// Listen returns a listener with TLS, and its destination.
func Listen(t *testing.T) (net.Listener, siem.Destination) {
	t.Helper()
	server, ca := Certificate(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", server.TLS)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l, siem.Destination("syslog+tls://" + l.Addr().String() + "?ca=" + ca)
}

// Rsyslog starts Debian's rsyslog with TLS, and returns its destination and the file with a line for each message:
// its priority, MSGID and text. It skips the test if CI has not set OMNI_TEST_RSYSLOG.
func Rsyslog(t *testing.T) (to siem.Destination, out string) {
	t.Helper()
	if os.Getenv("OMNI_TEST_RSYSLOG") == "" {
		t.Skip("set OMNI_TEST_RSYSLOG=1; needs the Debian packages rsyslog and rsyslog-gnutls")
	}
	server, ca := Certificate(t)
	dir := t.TempDir()
	block := func(name, kind string, content []byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600))
		return path
	}
	pair := server.TLS.Certificates[0]
	key := block("key.pem", "PRIVATE KEY", privateKeyOf(t, pair.PrivateKey))
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := l.Addr().(*net.TCPAddr).Port
	require.NoError(t, l.Close())
	out = filepath.Join(dir, "events.jsonl")
	settings := filepath.Join(dir, "rsyslog.conf")
	require.NoError(t, os.WriteFile(settings, fmt.Appendf(nil, `
global(workDirectory=%q defaultNetstreamDriver="gtls" defaultNetstreamDriverCAFile=%q
  defaultNetstreamDriverCertFile=%q defaultNetstreamDriverKeyFile=%q)
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="anon")
input(type="imtcp" port="%d" address="127.0.0.1")
template(name="text" type="string" string="%%pri%% %%msgid%% %%msg%%\n")
action(type="omfile" file=%q template="text")
`, dir, ca, ca, key, port, out), 0o600))
	pid := filepath.Join(dir, "pid")
	rsyslog := exec.CommandContext(t.Context(), "rsyslogd", "-n", "-f", settings, "-i", pid) //nolint:gosec // paths of the test
	rsyslog.Stderr, rsyslog.Stdout = os.Stderr, os.Stderr
	require.NoError(t, rsyslog.Start())
	t.Cleanup(func() { _ = rsyslog.Process.Kill(); _ = rsyslog.Wait() })
	require.Eventually(t, func() bool {
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}, 10*time.Second, 50*time.Millisecond)
	return siem.Destination(fmt.Sprintf("syslog+tls://127.0.0.1:%d?ca=%s", port, ca)), out
}

func privateKeyOf(t *testing.T, key any) []byte {
	t.Helper()
	text, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return text
}
