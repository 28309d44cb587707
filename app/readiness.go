package app

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
)

// Readiness is what a program can do at the moment.
type Readiness struct {
	Database db.State
	Reads    bool // requests that change nothing are served, data of patients included
}

// writes reports whether requests that change something are served as well.
func (r Readiness) writes() bool { return r.Database == db.ReadWrite }

// readinessBody is the answer to a readiness probe.
type readinessBody struct {
	Status   string   `json:"status"`             // ready, or degraded where changes are not accepted
	Database db.State `json:"database,omitempty"` // what the database can do
}

// unreadiness are the details of a refused readiness probe.
type unreadiness struct {
	Database db.State `json:"database,omitempty"`
}

// parameterNeed asks the readiness probe for more than reads: /readyz?need=write.
const (
	parameterNeed = "need"
	needWrite     = "write"
)

// handleReady answers 200 while reads are served. A load balancer that takes an instance
// out for less would end all work where only some of it is impossible, as every instance
// has the same database; one that has others can ask for writes as well.
func (s *Server) handleReady(c echo.Context) error {
	need := c.QueryParam(parameterNeed)
	if need != "" && need != needWrite {
		return fault.InvalidFields(fault.Field{Field: parameterNeed, Code: "oneof", Message: "must be " + needWrite + ", or be left out"})
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), readyTimeout)
	defer cancel()
	r, err := s.ready(ctx)
	if err != nil || !r.Reads || need == needWrite && !r.writes() {
		f := errNotReady.With(unreadiness{r.Database}, "%s", errNotReady.Title())
		if err != nil {
			return f.Because(err)
		}
		return f
	}
	body := readinessBody{Status: "ready", Database: r.Database}
	if !r.writes() {
		body.Status = "degraded"
	}
	return c.JSON(http.StatusOK, body)
}

// ready asks what the database can do, then whatever else there is to check. The error
// says why nothing can be served.
func (a *App) ready(also func(ctx context.Context) error) func(ctx context.Context) (Readiness, error) {
	return func(ctx context.Context) (Readiness, error) {
		state, err := a.database.State(ctx)
		r := Readiness{Database: state}
		if err != nil {
			return r, err
		}
		switch state {
		case db.ReadWrite, db.Blocked, db.SchemaMismatch: // the audit trail waits for no lock of bookings
			r.Reads = true
		case db.ReadOnly, db.Full:
			r.Reads = a.Audit.Queues()
		}
		if also == nil {
			return r, nil
		}
		return r, also(ctx)
	}
}
