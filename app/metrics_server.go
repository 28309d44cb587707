package app

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/pprof" // its handlers on the default mux are not served
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/sirupsen/logrus"
)

const (
	pathMetrics  = "/metrics"
	pathProfiles = "/debug/pprof/"
)

// profileTimeout is the maximum time to create and send a profile.
const profileTimeout = 5 * time.Minute

// metricsHandler serves metrics and profiles to operators, on a separate listener. It
// requires no token, and a profile can occupy a processor for minutes, so it must never
// be on the API's address.
func metricsHandler(registry *prometheus.Registry, logger logrus.FieldLogger) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET "+pathMetrics, promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorLog: errorLog(logger)}))
	mux.HandleFunc("GET "+pathProfiles, pprof.Index)
	mux.HandleFunc("GET "+pathProfiles+"cmdline", pprof.Cmdline)
	mux.HandleFunc("GET "+pathProfiles+"profile", pprof.Profile)
	mux.HandleFunc("GET "+pathProfiles+"symbol", pprof.Symbol)
	mux.HandleFunc("GET "+pathProfiles+"trace", pprof.Trace)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		setSecureHeaders(w.Header(), r)
		mux.ServeHTTP(w, r)
	})
}

// serveMetrics serves on the listener until stop is called, after everything else
// has stopped, so that the shutdown can be observed.
func (a *App) serveMetrics(l net.Listener) (stop func()) {
	if l == nil {
		return func() {}
	}
	base, cut := context.WithCancel(context.Background())
	server := &http.Server{
		Handler:           a.MetricsHandler(),
		ReadHeaderTimeout: headerTimeout,
		WriteTimeout:      profileTimeout,
		IdleTimeout:       idleTimeout,
		ReadTimeout:       profileTimeout, // an expired read deadline would look like a closed connection to a long profile
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          errorLog(a.logger),
		BaseContext:       func(net.Listener) context.Context { return base },
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			a.logger.WithFields(logrus.Fields{"event": "metrics_ended", "error": err}).
				Error("metrics and profiles are no longer served")
		}
	}()
	return func() {
		cut()
		_ = server.Close() // nothing needs to finish
		<-ended
	}
}
