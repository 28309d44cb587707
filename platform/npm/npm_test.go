package npm_test

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/npm"
)

const (
	scope   = "@example"
	name    = "@example/tool"
	version = "1.2.3"
	content = "the archive"
)

// registry answers as an npm registry below /npm/. Like a mirror, it returns archive addresses at
// npm's own registry. It records its requests.
type registry struct {
	asked []string // METHOD-less paths with their Authorization
}

func (r *registry) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	r.asked = append(r.asked, strings.TrimSpace(q.Header.Get("Authorization")+" "+q.URL.EscapedPath()))
	switch q.URL.EscapedPath() {
	case "/npm/@example%2ftool":
		fmt.Fprintf(w, `{"versions": {"%s": {"dist": {"tarball": "https://registry.npmjs.org/%s/-/tool-%[1]s.tgz"}}}}`,
			version, name)
	case "/npm/@example/tool/-/tool-1.2.3.tgz":
		fmt.Fprint(w, content)
	default:
		http.NotFound(w, q)
	}
}

// machine has a home, a project and a global configuration.
func machine(t testing.TB, project, user, global string, environment ...string) npm.Machine {
	t.Helper()
	dir := t.TempDir()
	write := func(path, text string) string {
		path = filepath.Join(dir, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	write("work/package.json", "{}")
	write("work/.npmrc", project)
	write("home/.npmrc", user)
	return npm.Machine{
		Environ: append([]string{"HOME=" + filepath.Join(dir, "home")}, environment...),
		Dir:     write("work/deep/down", "")[:len(filepath.Join(dir, "work/deep"))],
		Globals: []string{"/nowhere/npmrc", write("etc/npmrc", global)},
	}
}

func download(t testing.TB, m npm.Machine) (string, error) {
	t.Helper()
	r, err := m.Registry(scope)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	var last int64
	err = r.Download(t.Context(), name, version, &out, func(done, _ int64) { last = done })
	require.Equal(t, int64(out.Len()), last)
	return out.String(), err
}

func TestTheConfiguredRegistryIsUsed(t *testing.T) {
	t.Parallel()
	const nowhere = "registry=http://192.0.2.1:9/npm/"
	for from, make := range map[string]func(t *testing.T, address string) npm.Machine{
		"the project":                func(t *testing.T, a string) npm.Machine { return machine(t, "registry="+a, nowhere, nowhere) },
		"the user":                   func(t *testing.T, a string) npm.Machine { return machine(t, "", "registry = \""+a+"\"", nowhere) },
		"the machine":                func(t *testing.T, a string) npm.Machine { return machine(t, "; none", "# none", "registry="+a) },
		"the scope":                  func(t *testing.T, a string) npm.Machine { return machine(t, nowhere, "@example:registry="+a, "") },
		"npm_config_registry":        func(t *testing.T, a string) npm.Machine { return machine(t, nowhere, "", "", "npm_config_registry="+a) },
		"NPM_CONFIG_REGISTRY":        func(t *testing.T, a string) npm.Machine { return machine(t, nowhere, "", "", "NPM_CONFIG_REGISTRY="+a) },
		"a variable in a file":       func(t *testing.T, a string) npm.Machine { return machine(t, "registry=${MIRROR}", "", "", "MIRROR="+a) },
		"another user configuration": func(t *testing.T, a string) npm.Machine { return elsewhere(t, "npm_config_userconfig", a) },
		"another global one":         func(t *testing.T, a string) npm.Machine { return elsewhere(t, "npm_config_globalconfig", a) },
		"an address without a final /": func(t *testing.T, a string) npm.Machine {
			return machine(t, "registry="+strings.TrimSuffix(a, "/"), "", "")
		},
	} {
		t.Run(from, func(t *testing.T) {
			t.Parallel()
			r := &registry{}
			server := httptest.NewServer(r)
			defer server.Close()
			got, err := download(t, make(t, server.URL+"/npm/"))
			require.NoError(t, err)
			require.Equal(t, content, got)
			require.Equal(t, []string{"/npm/@example%2ftool", "/npm/@example/tool/-/tool-1.2.3.tgz"}, r.asked)
		})
	}
	t.Run("npm's own by default", func(t *testing.T) {
		t.Parallel()
		r, err := npm.Machine{}.Registry(scope)
		require.NoError(t, err)
		require.Equal(t, "registry.npmjs.org", r.Host())
	})
}

func elsewhere(t *testing.T, variable, address string) npm.Machine {
	file := filepath.Join(t.TempDir(), "npmrc")
	require.NoError(t, os.WriteFile(file, []byte("registry="+address), 0o600))
	return machine(t, "", "", "", variable+"="+file)
}

func TestCredentialsGoToTheirRegistryOnly(t *testing.T) {
	t.Parallel()
	const password = "s3cret-of-a-registry"
	encoded := base64.StdEncoding.EncodeToString([]byte(password))
	pair := base64.StdEncoding.EncodeToString([]byte("ada:" + password))
	for line, want := range map[string]string{
		"//HOST/npm/:_authToken=t0ken":                               "Bearer t0ken ",
		"//HOST/:_authToken=${TOKEN}":                                "Bearer from-outside ",
		"//HOST/npm/:_auth=" + pair:                                  "Basic " + pair + " ",
		"//HOST/npm/:username=ada\n//HOST/npm/:_password=" + encoded: "Basic " + pair + " ",
		"//other.example.org/:_authToken=t0ken":                      "",
		"//HOST/else/:_authToken=t0ken":                              "",
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			r := &registry{}
			server := httptest.NewServer(r)
			defer server.Close()
			host := strings.TrimPrefix(server.URL, "http://")
			_, err := download(t,
				machine(t, "", strings.ReplaceAll(line, "HOST", host), "registry="+server.URL+"/npm", "TOKEN=from-outside"))
			require.NoError(t, err)
			require.Equal(t, []string{want + "/npm/@example%2ftool", want + "/npm/@example/tool/-/tool-1.2.3.tgz"}, r.asked)
		})
	}
}

func TestProxiesAreUsed(t *testing.T) {
	t.Parallel()
	var through atomic.Int64
	r := &registry{}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		through.Add(1)
		if q.URL.Host != "registry.example.org" {
			http.Error(w, "another host", http.StatusBadGateway)
			return
		}
		r.ServeHTTP(w, q)
	}))
	defer proxy.Close()
	const address = "registry=http://registry.example.org/npm/\n"
	for _, m := range []npm.Machine{
		machine(t, address, "proxy="+proxy.URL, ""),
		machine(t, address, "", "", "HTTP_PROXY="+proxy.URL),
		machine(t, address, "", "", "http_proxy="+strings.TrimPrefix(proxy.URL, "http://")),
		machine(t, address, "", "", "npm_config_proxy="+proxy.URL, "NO_PROXY=example.com"),
	} {
		before := through.Load()
		got, err := download(t, m)
		require.NoError(t, err)
		require.Equal(t, content, got)
		require.Equal(t, before+2, through.Load())
	}

	direct := httptest.NewServer(&registry{})
	defer direct.Close()
	_, err := download(t,
		machine(t, "registry="+direct.URL+"/npm/", "", "", "HTTP_PROXY="+proxy.URL, "NO_PROXY=127.0.0.1"))
	require.NoError(t, err, "not through the proxy")
	_, err = download(t, machine(t, "", "", "", "HTTPS_PROXY=http://"))
	require.ErrorContains(t, err, "HTTPS_PROXY")
}

func TestHTTPSWithTheMachinesAuthorities(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(&registry{})
	defer server.Close()
	authority := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	require.NoError(t, os.WriteFile(authority, text, 0o600))
	line := "registry=" + server.URL + "/npm/\n"
	for _, m := range []npm.Machine{
		machine(t, line+"cafile="+authority, "", ""),
		machine(t, line+`ca="`+strings.ReplaceAll(string(text), "\n", `\n`)+`"`, "", ""),
		machine(t, line, "", "", "NODE_EXTRA_CA_CERTS="+authority),
		machine(t, line+"strict-ssl=false", "", ""),
		machine(t, line, "", "", "npm_config_strict_ssl=false"),
	} {
		got, err := download(t, m)
		require.NoError(t, err)
		require.Equal(t, content, got)
	}
	_, err := download(t, machine(t, line, "", ""))
	require.ErrorContains(t, err, "certificate", "an unknown authority is refused")
	r, err := machine(t, line+"cafile=/nowhere/ca.pem", "", "").Registry(scope)
	require.ErrorContains(t, err, "cafile")
	require.Nil(t, r)
}

func TestRegistryErrorsNameTheRegistry(t *testing.T) {
	t.Parallel()
	var tries atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		switch q.URL.Path[:4] {
		case "/401":
			w.WriteHeader(http.StatusUnauthorized)
		case "/old":
			fmt.Fprint(w, `{"versions": {"0.1.0": {}}}`)
		case "/web":
			fmt.Fprint(w, `<html>`)
		case "/503":
			tries.Add(1)
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	for path, says := range map[string]string{
		"/401": "check the credentials for it in .npmrc", "/old": "does not have @example/tool in version 1.2.3",
		"/web": "does not answer as an npm registry", "/503": "503",
	} {
		_, err := download(t, machine(t, "registry="+server.URL+path, "", ""))
		require.ErrorContains(t, err, says)
		require.ErrorContains(t, err, strings.TrimPrefix(server.URL, "http://"))
	}
	require.Equal(t, int64(3), tries.Load(), "it is retried if that can help")
	_, err := download(t, machine(t, "registry=not a url", "", ""))
	require.ErrorContains(t, err, "registry in npm's configuration")
}
