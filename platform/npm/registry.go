package npm

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// Registry is the registry of one scope. Safe for concurrent use.
type Registry struct {
	address       string // with a slash at its end
	authorization string // of the registry, "" for none
	client        *http.Client
	pause         time.Duration // before the second attempt; twice that before the third
}

// Registry returns the registry that the machine uses for packages of a scope such as "@example".
// The error describes the invalid npm configuration.
func (m Machine) Registry(scope string) (*Registry, error) {
	c, err := m.read()
	if err != nil {
		return nil, err
	}
	address := c.first(scope+":registry", "registry")
	if address == "" {
		address = defaultRegistry
	}
	address = strings.TrimSuffix(address, "/") + "/"
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return nil, errors.New("the registry in npm's configuration is not a valid URL, such as " + defaultRegistry)
	}
	transport, err := c.transport()
	if err != nil {
		return nil, err
	}
	return &Registry{
		address: address, authorization: c.authorization(u),
		client: &http.Client{Transport: transport}, pause: time.Second,
	}, nil
}

// Host names the registry, without credentials.
func (r *Registry) Host() string {
	u, err := url.Parse(r.address)
	if err != nil {
		return ""
	}
	return u.Host
}

// authorization returns the Authorization header for the registry: configured for its address, or
// for a parent path.
func (c configuration) authorization(registry *url.URL) string {
	if password, ok := registry.User.Password(); ok {
		return basic(registry.User.Username() + ":" + password)
	}
	path := strings.TrimSuffix(registry.Path, "/")
	for {
		prefix := "//" + registry.Host + path + "/"
		for _, at := range []string{prefix, strings.TrimSuffix(prefix, "/")} {
			if token := c.options[at+":_authToken"]; token != "" {
				return "Bearer " + token
			}
			if pair := c.options[at+":_auth"]; pair != "" {
				return "Basic " + pair
			}
			user := c.options[at+":username"]
			password, err := base64.StdEncoding.DecodeString(c.options[at+":_password"])
			if user != "" && err == nil && len(password) > 0 {
				return basic(user + ":" + string(password))
			}
		}
		above := strings.LastIndex(path, "/")
		if above < 0 {
			return ""
		}
		path = path[:above]
	}
}

func basic(pair string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(pair)) }

// transport uses the proxies and certificate authorities of the configuration.
func (c configuration) transport() (*http.Transport, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.ResponseHeaderTimeout = time.Minute
	proxy, err := c.proxy()
	if err != nil {
		return nil, err
	}
	t.Proxy = proxy
	roots, err := c.roots()
	if err != nil {
		return nil, err
	}
	t.TLSClientConfig = &tls.Config{
		MinVersion: tls.VersionTLS12, RootCAs: roots,
		//nolint:gosec // the administrator's choice; checksums are pinned
		InsecureSkipVerify: c.options["strict-ssl"] == "false",
	}
	return t, nil
}

// proxy chooses as npm does: https-proxy for https, else proxy, and the usual variables if neither
// is configured.
func (c configuration) proxy() (func(*http.Request) (*url.URL, error), error) {
	parse := func(text string) (*url.URL, error) {
		if text == "" {
			return nil, nil
		}
		if !strings.Contains(text, "://") {
			text = "http://" + text
		}
		u, err := url.Parse(text)
		if err != nil || u.Host == "" {
			return nil, errors.New("the proxy in npm's configuration or in HTTPS_PROXY is not a URL such as " +
				"http://proxy.example.org:3128")
		}
		return u, nil
	}
	secure, err := parse(c.first("https-proxy", "HTTPS_PROXY", "https_proxy", "proxy", "HTTP_PROXY", "http_proxy"))
	if err != nil {
		return nil, err
	}
	plain, err := parse(c.first("proxy", "HTTP_PROXY", "http_proxy"))
	if err != nil {
		return nil, err
	}
	direct := strings.FieldsFunc(c.first("noproxy", "no-proxy", "NO_PROXY", "no_proxy"), func(r rune) bool {
		return r == ',' || r == ' ' || r == '\n'
	})
	return func(r *http.Request) (*url.URL, error) {
		if isDirect(r.URL.Hostname(), direct) {
			return nil, nil
		}
		if r.URL.Scheme == "https" {
			return secure, nil
		}
		return plain, nil
	}, nil
}

// isDirect reports whether a host, or one of its parent domains, is on the list.
func isDirect(host string, direct []string) bool {
	for _, each := range direct {
		name, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(each, "*"), "."), ":")
		if each == "*" || name != "" && (host == name || strings.HasSuffix(host, "."+name)) {
			return true
		}
	}
	return false
}

// roots returns the certificate authorities: nil for the system's. As in npm, ca
// and cafile replace them; NODE_EXTRA_CA_CERTS adds to them.
func (c configuration) roots() (*x509.CertPool, error) {
	var pool *x509.CertPool
	if path := c.options["cafile"]; path != "" {
		pool = x509.NewCertPool()
		if err := addAuthorities(pool, path, "cafile"); err != nil {
			return nil, err
		}
	}
	if text := c.options["ca"]; text != "" && text != "null" {
		if pool == nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM([]byte(strings.ReplaceAll(text, `\n`, "\n"))) {
			return nil, errors.New("ca in npm's configuration contains no certificate")
		}
	}
	if path := c.environment["NODE_EXTRA_CA_CERTS"]; path != "" {
		if pool == nil {
			system, err := x509.SystemCertPool()
			if err != nil {
				return nil, err
			}
			pool = system
		}
		if err := addAuthorities(pool, path, "NODE_EXTRA_CA_CERTS"); err != nil {
			return nil, err
		}
	}
	return pool, nil
}

func addAuthorities(pool *x509.CertPool, path, option string) error {
	content, err := os.ReadFile(path)
	if err == nil && !pool.AppendCertsFromPEM(content) {
		err = errors.New("it contains no certificate")
	}
	if err != nil {
		return fmt.Errorf("the file %s that %s names: %w", path, option, err)
	}
	return nil
}

// attempts is the maximum number of attempts for a request that gets no answer, or an answer to try
// again later.
const attempts = 3

// stallTimeout is the maximum time without progress of a download.
const stallTimeout = 30 * time.Second

// Download writes the archive of a package's version to out and calls progress with the received
// and total bytes, 0 if unknown. The caller checks the archive's checksum.
func (r *Registry) Download(
	ctx context.Context, name, version string, out io.Writer, progress func(done, all int64),
) error {
	address, err := r.archive(ctx, name, version)
	if err != nil {
		return err
	}
	response, err := r.get(ctx, address, "")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	waiting := time.AfterFunc(stallTimeout, func() { _ = response.Body.Close() })
	defer waiting.Stop()
	all, done := max(response.ContentLength, 0), int64(0)
	buffer := make([]byte, 64<<10)
	for {
		n, err := response.Body.Read(buffer)
		waiting.Reset(stallTimeout)
		if _, failed := out.Write(buffer[:n]); failed != nil {
			return failed
		}
		done += int64(n)
		progress(done, all)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("download %s: %w", name, withoutAddress(err))
		}
	}
}

// archive asks the registry for the address of a version's archive.
func (r *Registry) archive(ctx context.Context, name, version string) (string, error) {
	const abbreviated = "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8"
	response, err := r.get(ctx, r.address+strings.ReplaceAll(name, "/", "%2f"), abbreviated)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	var document struct {
		Versions map[string]struct {
			Dist struct{ Tarball string }
		}
	}
	const most = 64 << 20
	if err := json.NewDecoder(io.LimitReader(response.Body, most)).Decode(&document); err != nil {
		return "", fmt.Errorf("%s does not answer as an npm registry: %w", r.Host(), withoutAddress(err))
	}
	found, ok := document.Versions[version]
	if !ok {
		return "", fmt.Errorf("the registry %s does not have %s in version %s", r.Host(), name, version)
	}
	return r.onMirror(found.Dist.Tarball), nil
}

// onMirror replaces the public npm registry in a URL by the configured one, as npm does: mirrors return
// the URLs of the original.
func (r *Registry) onMirror(address string) string {
	u, err := url.Parse(address)
	if err == nil && u.Host == "registry.npmjs.org" {
		return r.address + strings.TrimPrefix(u.EscapedPath(), "/")
	}
	return address
}

// get sends a request, and retries it after a pause if that can help. Credentials go to the
// registry's own host only.
func (r *Registry) get(ctx context.Context, address, accept string) (*http.Response, error) {
	for attempt := 1; ; attempt++ {
		response, err := r.send(ctx, address, accept)
		if err == nil && response.StatusCode == http.StatusOK {
			return response, nil
		}
		temporary := true
		if err == nil {
			_ = response.Body.Close()
			temporary = response.StatusCode >= http.StatusInternalServerError ||
				response.StatusCode == http.StatusTooManyRequests
			err = r.refusal(response)
		}
		if !temporary || attempt == attempts || ctx.Err() != nil {
			return nil, err
		}
		select {
		case <-time.After(r.pause * time.Duration(attempt)):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (r *Registry) refusal(response *http.Response) error {
	host := response.Request.URL.Host
	switch response.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("the registry %s answers %s: check the credentials for it in .npmrc", host, response.Status)
	default:
		return fmt.Errorf("the registry %s answers %s", host, response.Status)
	}
}

func (r *Registry) send(ctx context.Context, address, accept string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, errors.New("the registry returns an invalid address")
	}
	if accept != "" {
		request.Header.Set("Accept", accept)
	}
	if r.authorization != "" && request.URL.Host == r.Host() {
		request.Header.Set("Authorization", r.authorization)
	}
	request.URL.User = nil
	response, err := r.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("the registry %s does not answer: %w", request.URL.Host, withoutAddress(err))
	}
	return response, nil
}

// withoutAddress removes the address from an error of net/http, because it may contain credentials.
func withoutAddress(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}
