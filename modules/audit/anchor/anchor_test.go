package anchor_test

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/audit/anchor"
	"omnirapeutic/modules/audit/siem/siemtest"
)

var noon = time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)

func head(position int64) anchor.Head {
	return anchor.Head{
		Time: noon, OrganizationID: uuid.New(), Position: position, Hash: strings.Repeat("ab", 32),
	}.Sign([]byte("a key"))
}

func read(t *testing.T, text []byte) anchor.Anchors {
	t.Helper()
	anchors, err := anchor.Read(bytes.NewReader(text))
	require.NoError(t, err)
	return anchors
}

func TestHeadsAreAppendedToAFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "heads.jsonl")
	first, second := []anchor.Head{head(1), head(7)}, []anchor.Head{head(2)}
	for _, heads := range [][]anchor.Head{first, second} {
		require.NoError(t, anchor.Push(t.Context(), heads, nil, []anchor.Destination{anchor.Destination("file://" + file)}))
	}
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, append(first, second...), read(t, text).Heads)
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestAFailedDestinationDoesNotKeepTheOthersFromTheHeads(t *testing.T) {
	t.Parallel()
	var received []byte
	log := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		received, _ = io.ReadAll(r.Body)
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(log.Close)
	full := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInsufficientStorage)
	}))
	t.Cleanup(full.Close)
	heads := []anchor.Head{head(3)}
	err := anchor.Push(t.Context(), heads, nil, []anchor.Destination{
		anchor.Destination("file://" + t.TempDir()), anchor.Destination(full.URL), anchor.Destination(log.URL),
	})
	require.ErrorContains(t, err, "anchor 1: ")
	require.ErrorContains(t, err, "anchor 2: status 507")
	require.NotContains(t, err.Error(), "anchor 3")
	require.Equal(t, heads, read(t, received).Heads)
}

func TestHeadsAreSentAsSyslog(t *testing.T) {
	t.Parallel()
	l, to := siemtest.Listen(t)
	received := siemtest.Receive(t, l, false)
	heads := []anchor.Head{head(1), head(7)}
	require.NoError(t, anchor.Push(t.Context(), heads, nil, []anchor.Destination{anchor.Destination(to)}))
	var texts []string
	for _, message := range <-received {
		header, text, found := strings.Cut(message, " omnirapeutic - audit.head - ")
		require.True(t, found, message)
		require.Regexp(t, `^<110>1 \S+ \S+$`, header)
		texts = append(texts, text)
	}
	require.Equal(t, heads, read(t, []byte(strings.Join(texts, "\n"))).Heads)

	rude, refusing := siemtest.Listen(t)
	siemtest.Receive(t, rude, true)
	require.ErrorContains(t, anchor.Push(t.Context(), heads, nil, []anchor.Destination{anchor.Destination(refusing)}), "anchor 1: ")
}

// TestRsyslogKeepsHeadsWithTheirTimeStamp reads what Debian's rsyslog has written, as the command verify does.
func TestRsyslogKeepsHeadsWithTheirTimeStamp(t *testing.T) {
	t.Parallel()
	to, out := siemtest.Rsyslog(t)
	heads := []anchor.Head{head(3), head(4)}
	authority := &anchor.Authority{URL: openAuthority(t).url}
	require.NoError(t, anchor.Push(t.Context(), heads, authority, []anchor.Destination{anchor.Destination(to)}))
	var texts []string
	require.Eventually(t, func() bool {
		written, _ := os.ReadFile(out)
		texts = strings.Split(strings.TrimSpace(string(written)), "\n")
		return len(texts) == len(heads)+1
	}, 10*time.Second, 50*time.Millisecond)
	for i, line := range texts {
		texts[i] = strings.TrimPrefix(line, "110 audit.head ")
	}
	anchors := read(t, []byte(strings.Join(texts, "\n")))
	require.Equal(t, heads, anchors.Heads)
	require.Len(t, anchors.Stamps, 1)
}

func TestReadNamesTheLineThatIsNoHead(t *testing.T) {
	t.Parallel()
	line, err := json.Marshal(head(1))
	require.NoError(t, err)
	for _, wrong := range []string{"{}", "nonsense", `{"position":3}`, `{"timestamp":"AAAA"}`} {
		_, err := anchor.Read(strings.NewReader(string(line) + "\n\n" + wrong + "\n"))
		require.ErrorContains(t, err, "line 3", wrong)
	}
}

// authority is a time stamping authority made of the commands of OpenSSL, an implementation of RFC 3161
// that is not ours.
type authority struct {
	dir string
	url string
}

const settings = `
[tsa]
default_tsa = t
[t]
serial = ./serial
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_alg = sha256
[stamps]
basicConstraints = critical,CA:false
extendedKeyUsage = critical,timeStamping
`

func openAuthority(t *testing.T) *authority {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		require.Empty(t, os.Getenv("CI"), "the checks need openssl")
		t.Skip("openssl is not installed")
	}
	a := &authority{dir: t.TempDir()}
	require.NoError(t, os.WriteFile(filepath.Join(a.dir, "settings"), []byte(settings), 0o600))
	a.openssl(t, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=Test CA", "-keyout", "ca.key", "-out", "ca.pem")
	a.openssl(t, "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=Test TSA", "-keyout", "tsa.key", "-out", "tsa.csr")
	a.openssl(t, "x509", "-req", "-in", "tsa.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "settings",
		"-extensions", "stamps", "-out", "tsa.pem")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query, _ := io.ReadAll(r.Body)
		_ = os.WriteFile(filepath.Join(a.dir, "query"), query, 0o600)
		a.openssl(t, "ts", "-reply", "-config", "settings", "-queryfile", "query", "-signer", "tsa.pem", "-inkey", "tsa.key",
			"-chain", "ca.pem", "-out", "response")
		response, _ := os.ReadFile(filepath.Join(a.dir, "response"))
		w.Header().Set("Content-Type", "application/timestamp-reply")
		_, _ = w.Write(response)
	}))
	t.Cleanup(server.Close)
	a.url = server.URL
	return a
}

func (a *authority) openssl(t *testing.T, arguments ...string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), "openssl", arguments...)
	c.Dir = a.dir
	out, err := c.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}

func (a *authority) roots(t *testing.T) *x509.CertPool {
	t.Helper()
	certificate, err := os.ReadFile(filepath.Join(a.dir, "ca.pem"))
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(certificate))
	return roots
}

// push returns the lines that the destination of a push has got.
func (a *authority) push(t *testing.T, heads ...anchor.Head) ([]byte, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "heads.jsonl")
	err := anchor.Push(t.Context(), heads, &anchor.Authority{URL: a.url}, []anchor.Destination{anchor.Destination("file://" + file)})
	text, readErr := os.ReadFile(file)
	require.NoError(t, readErr)
	return text, err
}

func TestAnAuthorityStampsTheHeads(t *testing.T) {
	t.Parallel()
	a := openAuthority(t)
	before := time.Now().Truncate(time.Second)
	text, err := a.push(t, head(5), head(6))
	require.NoError(t, err)
	anchors := read(t, text)
	require.Len(t, anchors.Heads, 2)
	require.Len(t, anchors.Stamps, 1)
	require.False(t, anchors.Stamps[0].Time.Before(before))
	require.NoError(t, anchors.Stamps[0].Trust(a.roots(t)))
	require.Error(t, anchors.Stamps[0].Trust(x509.NewCertPool()), "the authority is unknown")

	t.Run("openssl verifies the time stamp of the lines", func(t *testing.T) {
		t.Parallel()
		lines := bytes.SplitAfter(text, []byte("\n"))
		var last struct{ Timestamp []byte }
		require.NoError(t, json.Unmarshal(lines[2], &last))
		require.NoError(t, os.WriteFile(filepath.Join(a.dir, "lines"), bytes.Join(lines[:2], nil), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(a.dir, "stamp"), last.Timestamp, 0o600))
		require.Contains(t, a.openssl(t, "ts", "-verify", "-data", "lines", "-in", "stamp", "-CAfile", "ca.pem"), "Verification: OK")
	})
	t.Run("it is not valid for other lines", func(t *testing.T) {
		t.Parallel()
		_, err := anchor.Read(bytes.NewReader(bytes.Replace(text, []byte(`"position":6`), []byte(`"position":7`), 1)))
		require.ErrorContains(t, err, "line 3: the time stamp is not valid for the lines before it")
	})
}

func TestHeadsAreKeptWithoutATimeStampIfTheAuthorityFails(t *testing.T) {
	t.Parallel()
	down := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(down.Close)
	text, err := (&authority{url: down.URL}).push(t, head(4))
	require.ErrorContains(t, err, "time stamp: status 404")
	anchors := read(t, text)
	require.Len(t, anchors.Heads, 1)
	require.Empty(t, anchors.Stamps)
}
