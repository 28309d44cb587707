package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
)

// writeCertificate writes a certificate for 127.0.0.1 and its key into one file.
func writeCertificate(t *testing.T, path string, serial int64) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses: []net.IP{
			net.IPv4(127, 0, 0, 1),
		},
	}
	created, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	both := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: created}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})...)
	require.NoError(t, os.WriteFile(path+".new", both, 0o600))
	require.NoError(t, os.Rename(path+".new", path))
}

// TestServeEncrypts serves HTTPS with the real program, changes its certificate on
// SIGHUP, and checks the exported expiry.
func TestServeEncrypts(t *testing.T) {
	t.Parallel()
	database := harness.TwoPractices.New(t)
	c := harness.Serve(t, database, database.Open(t))
	path := filepath.Join(t.TempDir(), "server.pem")
	writeCertificate(t, path, 1)
	serving := c.Launch(t, database.AppURL, "OMNI_TLS_CERTIFICATE="+path, "OMNI_TLS_KEY="+path, "OMNI_LOG_LEVEL=info")
	require.True(t, strings.HasPrefix(serving.Clinic.URL, "https://"), serving.Clinic.URL)
	serial := func() int64 {
		client := http.Client{Transport: &http.Transport{
			// Distinguished by its serial number.
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true, ForceAttemptHTTP2: true,
		}}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, serving.Clinic.URL+"/api/v1/auth/me", nil)
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer "+c.Own.Tokens[rbac.Admin])
		response, err := client.Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		require.Equal(t, http.StatusOK, response.StatusCode)
		require.Equal(t, 2, response.ProtoMajor)
		require.NotEmpty(t, response.Header.Get("Strict-Transport-Security"))
		return response.TLS.PeerCertificates[0].SerialNumber.Int64()
	}
	require.EqualValues(t, 1, serial())
	writeCertificate(t, path, 2)
	require.NoError(t, serving.Process.Process.Signal(syscall.SIGHUP))
	serving.Output.Await(t, "event=certificate_read")
	require.EqualValues(t, 2, serial())
	require.Regexp(t, `\nomnirapeutic_tls_certificate_expiry_timestamp_seconds 1\.\d+e\+09\n`, serving.Metrics(t))
	require.NoError(t, serving.Process.Process.Signal(syscall.SIGTERM))
	require.NoError(t, serving.Process.Wait(), "exit code 0: %s", serving.Output.String())
}

// TestMetricsHaveAListenerOfTheirOwn requests metrics and profiles on the public
// address.
func TestMetricsHaveAListenerOfTheirOwn(t *testing.T) {
	t.Parallel()
	database := harness.TwoPractices.New(t)
	c := harness.Serve(t, database, database.Open(t))
	serving := c.Launch(t, database.AppURL)
	require.Contains(t, serving.Metrics(t), "omnirapeutic_http_requests_in_flight")
	for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/heap", "/debug/vars"} {
		for _, token := range []string{"", c.Own.Tokens[rbac.Admin], c.Own.Tokens[rbac.SuperAdmin]} {
			requested := harness.Caller{URL: serving.Clinic.URL, Token: token}
			requested.Get(t, path).Refused(t, http.StatusNotFound, "route-not-found")
		}
	}
	response, err := http.Get(serving.MetricsURL + "/api/v1/patients")
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusNotFound, response.StatusCode, "nor is the API there")

	none := c.Launch(t, database.AppURL, "OMNI_METRICS_ADDR=none")
	require.Empty(t, none.MetricsURL)
	require.NotContains(t, none.Output.String(), "profiles")
}

// TestForwardedAddressesAreTrustedFromTrustedProxiesOnly signs in with forged addresses, on
// a server without trusted proxies and on one behind a proxy.
func TestForwardedAddressesAreTrustedFromTrustedProxiesOnly(t *testing.T) {
	t.Parallel()
	database := harness.TwoPractices.New(t)
	opened := database.Open(t)
	direct := harness.Serve(t, database, opened, "OMNI_RATE_LIMIT=0.001", "OMNI_RATE_BURST=100", "OMNI_TOKEN_RATE_LIMIT=0")
	behind := harness.SecondInstance(t, direct, opened,
		"OMNI_RATE_LIMIT=0.001", "OMNI_RATE_BURST=2", "OMNI_TOKEN_RATE_LIMIT=0",
		"OMNI_TRUSTED_PROXIES=127.0.0.0/8, ::1")
	signIn := func(c *harness.Clinic, forwarded string) harness.Answer {
		return c.As("").WithHeader("X-Forwarded-For", forwarded).WithHeader("X-Real-Ip", "203.0.113.9").Post(t, "/auth/login",
			harness.Body{"email": "ADMIN@own.test", "password": harness.Password})
	}
	newest := func() string {
		a := direct.Admin().Get(t, "/admin/audit-events?action=user.sign-in&limit=1")
		require.Equal(t, http.StatusOK, a.Status, "%s", a.Raw)
		return harness.Answer{Body: a.Body["data"].([]any)[0].(map[string]any)}.Text("address")
	}
	t.Run("it is the connection's without trusted proxies, for the audit trail and for rate limits", func(t *testing.T) {
		left := signIn(direct, "192.0.2.1").Header.Get("RateLimit")
		require.Equal(t, "127.0.0.1", newest())
		require.NotEqual(t, left, signIn(direct, "192.0.2.2").Header.Get("RateLimit"), "another header uses the same bucket")
	})
	t.Run("it is the address seen by a trusted proxy", func(t *testing.T) {
		require.Equal(t, http.StatusOK, signIn(behind, "198.51.100.66, 192.0.2.1").Status)
		require.Equal(t, "192.0.2.1", newest(), "earlier entries are forged")
		require.Equal(t, http.StatusOK, signIn(behind, "198.51.100.67, 192.0.2.1").Status)
		signIn(behind, "198.51.100.68, 192.0.2.1").Refused(t, http.StatusTooManyRequests, "rate-limited")
		require.Equal(t, http.StatusOK, signIn(behind, "192.0.2.2").Status, "another client")
	})
}
