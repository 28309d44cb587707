package app

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"

	"omnirapeutic/config"
)

// writePair writes a certificate for 127.0.0.1 with a serial number, and its key.
func writePair(t testing.TB, files config.TLS, serial int64) {
	t.Helper()
	chain, key := pair(t, serial)
	require.NoError(t, os.WriteFile(files.Certificate, chain, 0o600))
	require.NoError(t, os.WriteFile(files.Key, key, 0o600))
}

func pair(t testing.TB, serial int64) (chain, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	now := time.Now()
	created, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), IPAddresses: []net.IP{
			net.IPv4(127, 0, 0, 1),
		},
	}, &x509.Certificate{SerialNumber: big.NewInt(serial)}, private.Public(), private)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: created}), pem.EncodeToMemory(&pem.Block{
		Type:  "PRIVATE KEY",
		Bytes: secret,
	})
}

func newFiles(t testing.TB) config.TLS {
	t.Helper()
	dir := t.TempDir()
	return config.TLS{Certificate: filepath.Join(dir, "chain.pem"), Key: filepath.Join(dir, "key.pem")}
}

// encrypted is a server with a certificate whose files are checked on demand.
type encrypted struct {
	*testServer
	listeners *Listeners
	files     config.TLS
	logger    *logrus.Logger
	said      *test.Hook
}

func startEncrypted(t *testing.T) *encrypted {
	t.Helper()
	e := &encrypted{testServer: newTestServer(t), files: newFiles(t)}
	e.logger, e.said = test.NewNullLogger()
	writePair(t, e.files, 1)
	listeners, err := Listen(t.Context(), config.Config{Addr: "127.0.0.1:0", HTTP: config.HTTP{TLS: e.files}})
	require.NoError(t, err)
	e.listeners = listeners
	served := make(chan error, 1)
	go func() { served <- e.Serve(listeners.api) }()
	t.Cleanup(func() {
		require.NoError(t, e.Shutdown(context.Background()))
		require.NoError(t, <-served)
	})
	return e
}

// check triggers a check of the files, by a tick or by SIGHUP.
func (e *encrypted) check(requested bool) { e.listeners.certificate.check(requested, e.logger) }

// events returns the events that the watch has logged.
func (e *encrypted) events() (names []string) {
	for _, line := range e.said.AllEntries() {
		names = append(names, fmt.Sprint(line.Data["event"]))
	}
	return names
}

// client keeps its connection open.
func (e *encrypted) client(t testing.TB, settings *tls.Config) *http.Client {
	t.Helper()
	settings.InsecureSkipVerify = true // certificates are compared by serial number
	transport := &http.Transport{TLSClientConfig: settings, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// serial sends a request and returns the serial number of the connection's certificate.
func (e *encrypted) serial(t testing.TB, client *http.Client) int64 {
	t.Helper()
	response, err := client.Get(e.listeners.url() + "/healthz")
	require.NoError(t, err)
	defer response.Body.Close()
	_, err = new(bytes.Buffer).ReadFrom(response.Body) // reads to the end, so that the connection is kept
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Equal(t, transportSecurity, response.Header.Get("Strict-Transport-Security"))
	return response.TLS.PeerCertificates[0].SerialNumber.Int64()
}

func TestCertificateIsReadAgain(t *testing.T) {
	t.Parallel()
	t.Run("it is shown to new connections, and old ones stay", func(t *testing.T) {
		t.Parallel()
		e := startEncrypted(t)
		old := e.client(t, &tls.Config{})
		require.EqualValues(t, 1, e.serial(t, old))
		e.check(false)
		require.Empty(t, e.events(), "nothing has changed")
		writePair(t, e.files, 2)
		require.EqualValues(t, 1, e.serial(t, e.client(t, &tls.Config{})), "the files have not been checked yet")
		e.check(false)
		require.Equal(t, []string{"certificate_read"}, e.events())
		require.EqualValues(t, 2, e.serial(t, e.client(t, &tls.Config{})))
		require.EqualValues(t, 1, e.serial(t, old), "the connection is still the first one")
	})
	t.Run("it is reloaded on a signal", func(t *testing.T) {
		t.Parallel()
		e := startEncrypted(t)
		e.check(true)
		writePair(t, e.files, 2)
		e.check(true)
		e.check(false)
		require.Equal(t, []string{"certificate_unchanged", "certificate_read"}, e.events())
		require.EqualValues(t, 2, e.serial(t, e.client(t, &tls.Config{})))
	})
	t.Run("it stays if the files hold no valid pair, which is logged once", func(t *testing.T) {
		t.Parallel()
		for name, spoil := range map[string]func(files config.TLS) error{
			"the key of another certificate": func(files config.TLS) error {
				_, key := pair(t, 3)
				return os.WriteFile(files.Key, key, 0o600)
			},
			"no certificate": func(files config.TLS) error { return os.WriteFile(files.Certificate, []byte("half"), 0o600) },
			"a missing key":  func(files config.TLS) error { return os.Remove(files.Key) },
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				e := startEncrypted(t)
				require.NoError(t, spoil(e.files))
				for range 3 {
					e.check(false)
				}
				require.Equal(t, []string{"certificate_refused"}, e.events())
				require.EqualValues(t, 1, e.serial(t, e.client(t, &tls.Config{})))
				e.check(true)
				writePair(t, e.files, 2)
				e.check(false)
				require.Equal(t, []string{"certificate_refused", "certificate_refused", "certificate_read"}, e.events(),
					"SIGHUP is logged; then the watch continues")
				require.EqualValues(t, 2, e.serial(t, e.client(t, &tls.Config{})))
			})
		}
	})
	t.Run("one file that is written before the other is not an error", func(t *testing.T) {
		t.Parallel()
		files := newFiles(t)
		writePair(t, files, 1)
		c, err := readCertificate(files)
		require.NoError(t, err)
		logger, said := test.NewNullLogger()
		chain, key := pair(t, 2)
		require.NoError(t, os.WriteFile(files.Certificate, chain, 0o600))
		c.check(false, logger)
		require.Empty(t, said.AllEntries())
		require.EqualValues(t, 1, c.current.Load().Leaf.SerialNumber.Int64())
		require.NoError(t, os.WriteFile(files.Key, key, 0o600))
		c.check(false, logger)
		require.Len(t, said.AllEntries(), 1)
		require.Equal(t, "certificate_read", said.LastEntry().Data["event"])
		require.EqualValues(t, 2, c.current.Load().Leaf.SerialNumber.Int64())
	})
}

func TestCertificateIsWatched(t *testing.T) {
	t.Parallel()
	files := newFiles(t)
	writePair(t, files, 1)
	c, err := readCertificate(files)
	require.NoError(t, err)
	require.InDelta(t, time.Now().Add(time.Hour).Unix(), c.expires(), 60)
	ctx, stop := context.WithCancel(t.Context())
	ticks, hangUps, ended := make(chan time.Time), make(chan os.Signal), make(chan struct{})
	logger, said := test.NewNullLogger()
	go func() { defer close(ended); c.watch(ctx, ticks, hangUps, logger) }()
	writePair(t, files, 2)
	ticks <- time.Now()
	hangUps <- os.Interrupt // received after the tick was handled
	stop()
	<-ended
	require.Equal(t, "certificate_read", said.AllEntries()[0].Data["event"])
	require.Equal(t, "certificate_unchanged", said.AllEntries()[1].Data["event"])
	require.EqualValues(t, 2, c.current.Load().Leaf.SerialNumber.Int64())
}

func TestEncryptionIsModern(t *testing.T) {
	t.Parallel()
	e := startEncrypted(t)
	for name, c := range map[string]struct {
		settings *tls.Config
		accepted bool
	}{
		"it speaks TLS 1.3":  {&tls.Config{MinVersion: tls.VersionTLS13}, true},
		"it speaks TLS 1.2":  {&tls.Config{MaxVersion: tls.VersionTLS12}, true},
		"it refuses TLS 1.1": {&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, false},
		"it refuses suites without forward secrecy": {
			&tls.Config{
				MaxVersion:   tls.VersionTLS12,
				CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_AES_128_CBC_SHA},
			}, false,
		},
		"it refuses suites in CBC mode": {&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA,
			tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA,
			tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256,
			tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256,
		}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.settings.InsecureSkipVerify = true
			connection, err := tls.Dial("tcp", e.listeners.api.Addr().String(), c.settings)
			if connection != nil {
				defer func() { _ = connection.Close() }()
			}
			if c.accepted {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, "remote error", "the server is the one that refuses")
		})
	}
	t.Run("it does not answer unencrypted requests", func(t *testing.T) {
		t.Parallel()
		response, err := http.Get("http://" + e.listeners.api.Addr().String() + "/healthz")
		require.NoError(t, err)
		defer response.Body.Close()
		require.Equal(t, http.StatusBadRequest, response.StatusCode)
	})
}

func TestListenersAreTakenTogether(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, taken.Close()) })
	t.Run("it names the address that is used", func(t *testing.T) {
		t.Parallel()
		_, err := Listen(t.Context(), config.Config{Addr: taken.Addr().String()})
		require.ErrorContains(t, err, "OMNI_ADDR")
		_, err = Listen(t.Context(), config.Config{Addr: "127.0.0.1:0", MetricsAddr: taken.Addr().String()})
		require.ErrorContains(t, err, "OMNI_METRICS_ADDR")
	})
	t.Run("it refuses an unreadable certificate", func(t *testing.T) {
		t.Parallel()
		_, err := Listen(t.Context(), config.Config{Addr: "127.0.0.1:0", HTTP: config.HTTP{TLS: newFiles(t)}})
		require.ErrorContains(t, err, "OMNI_TLS_CERTIFICATE")
	})
}
