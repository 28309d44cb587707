package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"omnirapeutic/config"
)

type healthCommand struct {
	URL     string        `name:"url" help:"The server; default: the configured address." placeholder:"URL"`
	Live    bool          `help:"Only check that the program is alive, not that it serves." xor:"need"`
	Write   bool          `help:"Also require that changes are accepted." xor:"need"`
	Timeout time.Duration `default:"5s" help:"The maximum duration of the check."`
}

// Help explains the command.
func (healthCommand) Help() string {
	return `Probes /readyz, and prints the answer. Exit code 0: the server serves. Exit code 1: it does not, or
does not answer. Use it as the health check of a container, which has no other programs.`
}

// Validate checks the options.
func (h *healthCommand) Validate() error {
	if h.Timeout <= 0 {
		return errors.New("--timeout must be positive")
	}
	if h.URL == "" {
		return nil
	}
	if u, err := url.Parse(h.URL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("--url must be a URL such as http://127.0.0.1:8080")
	}
	return nil
}

// Run probes the server.
func (h healthCommand) Run(e environment) error {
	ctx, cancel := context.WithTimeout(e.context, h.Timeout)
	defer cancel()
	client, address := http.DefaultClient, h.URL
	if address == "" {
		c, err := e.settings()
		if err != nil {
			return err
		}
		client, address = localServer(c)
	}
	path := "/readyz"
	switch {
	case h.Live:
		path = "/healthz"
	case h.Write:
		path += "?need=write"
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(address, "/")+path, nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	const most = 4096
	body, err := io.ReadAll(io.LimitReader(answer.Body, most))
	if err != nil {
		return err
	}
	text := strings.TrimSpace(string(body))
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", answer.Status, text)
	}
	fmt.Println(text)
	return nil
}

// localServer returns the URL of the configured server on this machine, and a client for it.
func localServer(c config.Config) (*http.Client, string) {
	host, port, err := net.SplitHostPort(c.Addr)
	if err != nil {
		host, port = c.Addr, "" // refused by the configuration
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if strings.Contains(c.Addr, "[::]") {
			host = "::1"
		}
	}
	address := net.JoinHostPort(host, port)
	if !c.HTTP.TLS.Given() {
		return http.DefaultClient, "http://" + address
	}
	// The certificate has the public name, not this machine's address. The probe sends nothing secret.
	insecure := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12} //nolint:gosec // see above
	return &http.Client{Transport: &http.Transport{TLSClientConfig: insecure}}, "https://" + address
}
