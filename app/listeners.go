package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"

	"omnirapeutic/config"
)

// Listeners are the program's open ports.
type Listeners struct {
	api         net.Listener // encrypts if there is a certificate
	metrics     net.Listener // nil if not configured
	certificate *certificate // nil for plain HTTP
}

// Listen opens the configured addresses and loads the certificate, so that a used port
// or missing file is reported before a database is started.
func Listen(ctx context.Context, c config.Config) (*Listeners, error) {
	l := &Listeners{}
	if c.HTTP.TLS.Given() {
		certificate, err := readCertificate(c.HTTP.TLS)
		if err != nil {
			return nil, err
		}
		l.certificate = certificate
	}
	var listening net.ListenConfig
	api, err := listening.Listen(ctx, "tcp", c.Addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s (choose another address with OMNI_ADDR): %w", c.Addr, err)
	}
	l.api = api
	if l.certificate != nil {
		l.api = tls.NewListener(api, l.certificate.config())
	}
	if c.MetricsAddr == "" {
		return l, nil
	}
	if l.metrics, err = listening.Listen(ctx, "tcp", c.MetricsAddr); err != nil {
		return nil, errors.Join(fmt.Errorf("listen on %s (choose another address with OMNI_METRICS_ADDR): %w", c.MetricsAddr,
			err), api.Close())
	}
	return l, nil
}

// Close closes the listeners that were never served. The others are closed already.
func (l *Listeners) Close() {
	_ = l.api.Close()
	if l.metrics != nil {
		_ = l.metrics.Close()
	}
}

// url returns the API's URL for a browser on this machine.
func (l *Listeners) url() string {
	scheme := "http://"
	if l.certificate != nil {
		scheme = "https://"
	}
	return scheme + reachable(l.api.Addr())
}

// reachable returns an address that a browser on this machine can open: 0.0.0.0 and
// [::] become localhost.
func reachable(a net.Addr) string {
	if tcp, ok := a.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		return net.JoinHostPort("localhost", strconv.Itoa(tcp.Port))
	}
	return a.String()
}

func isLoopback(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// warn logs what others on the network could read or reach.
func (l *Listeners) warn(c config.Config, logger logrus.FieldLogger) {
	at := func(listener net.Listener, event string) logrus.FieldLogger {
		return logger.WithFields(logrus.Fields{"event": event, "address": listener.Addr().String()})
	}
	if c.Token.Secret == config.DevelopmentSecret && !isLoopback(l.api.Addr()) {
		at(l.api, "development_secret").Warn("tokens are signed with a public secret, and other machines can reach this " +
			"address: set OMNI_TOKEN_SECRET")
	}
	if c.Profile == config.Production && l.certificate == nil && len(c.HTTP.TrustedProxies) == 0 &&
		!isLoopback(l.api.Addr()) {
		at(l.api, "plain_http").Warn("other machines can reach this address without encryption: set OMNI_TLS_CERTIFICATE " +
			"and OMNI_TLS_KEY, or OMNI_TRUSTED_PROXIES if a proxy encrypts")
	}
	if l.metrics != nil && !isLoopback(l.metrics.Addr()) {
		at(l.metrics, "metrics_exposed").Warn("other machines can reach metrics and profiles: restrict this address to the " +
			"metrics collector")
	}
}

// watchCertificate reloads the certificate when its files change, and on SIGHUP, until
// stop is called.
//
// It is not in the table of background jobs. The certificate belongs to the listeners, which exist
// before the modules and accept connections until all requests have ended. A reload must not depend
// on a selection of jobs.
func (l *Listeners) watchCertificate(ctx context.Context, logger logrus.FieldLogger) (stop func()) {
	if l.certificate == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	hangUps := make(chan os.Signal, 1)
	signal.Notify(hangUps, syscall.SIGHUP)
	ticker := time.NewTicker(certificateInterval)
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.certificate.watch(ctx, ticker.C, hangUps, logger)
	}()
	return func() {
		cancel()
		<-done
		ticker.Stop()
		signal.Stop(hangUps)
	}
}
