package app

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/pprof" // what it adds to the default mux is served nowhere
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/sirupsen/logrus"
)

const (
	pathMetrics  = "/metrics"
	pathProfiles = "/debug/pprof/"
)

// profileTimeout is how long a profile may take to be made and sent.
const profileTimeout = 5 * time.Minute

// instruments are metrics and profiles: for those who run the program, on a
// listener of their own. They ask for no token, and a profile can be made to cost
// a processor for minutes, so they are never on the API's address.
func instruments(registry *prometheus.Registry, logger logrus.FieldLogger) http.Handler {
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

// serveInstruments answers on the listener until stop is called, which is when all
// else has been finished: how a program ends is worth watching.
func (a *App) serveInstruments(l net.Listener) (stop func()) {
	if l == nil {
		return func() {}
	}
	base, cut := context.WithCancel(context.Background())
	server := &http.Server{
		Handler: a.Instruments(), ReadHeaderTimeout: headerTimeout, WriteTimeout: profileTimeout, IdleTimeout: idleTimeout,
		ReadTimeout:    profileTimeout, // past it a server takes whoever waits for a profile for gone
		MaxHeaderBytes: maxHeader, ErrorLog: errorLog(a.logger), BaseContext: func(net.Listener) context.Context { return base },
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			a.logger.WithFields(logrus.Fields{"event": "metrics_ended", "error": err}).Error("metrics and profiles are no longer served")
		}
	}()
	return func() {
		cut()
		_ = server.Close() // there is nothing to be lost
		<-ended
	}
}
