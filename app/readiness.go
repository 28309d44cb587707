package app

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
)

// Readiness is the current ability of the program to serve.
type Readiness struct {
	Database db.State
	Reads    bool // read-only requests are served, including patient data
}

// writes reports whether changes are served as well.
func (r Readiness) writes() bool { return r.Database == db.ReadWrite }

// readinessBody is the answer to a readiness probe.
type readinessBody struct {
	Status   string   `json:"status"`             // ready, or degraded while changes are refused
	Database db.State `json:"database,omitempty"` // what the database can do
}

// unreadiness are the details of a refused readiness probe.
type unreadiness struct {
	Database db.State `json:"database,omitempty"`
}

// parameterNeed is the query parameter that requires more than reads: /readyz?need=write.
const (
	parameterNeed = "need"
	needWrite     = "write"
)

// handleReady answers 200 while reads are served. All instances share the database, so a load
// balancer that removed an instance because of writes would end reads as well. A load balancer with
// a choice of databases can require writes.
func (s *Server) handleReady(c echo.Context) error {
	need := c.QueryParam(parameterNeed)
	if need != "" && need != needWrite {
		return fault.InvalidFields(fault.Field{
			Field:   parameterNeed,
			Code:    "oneof",
			Message: "must be " + needWrite + " or omitted",
		})
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), readyTimeout)
	defer cancel()
	r, err := s.options.Ready(ctx)
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

// ready checks the database, then the program's other requirements. It returns an error if the
// program cannot serve.
func (a *App) ready(also func(ctx context.Context) error) func(ctx context.Context) (Readiness, error) {
	return func(ctx context.Context) (Readiness, error) {
		state, err := a.database.State(ctx)
		r := Readiness{Database: state}
		if err != nil {
			return r, err
		}
		switch state {
		case db.ReadWrite, db.Blocked, db.SchemaMismatch: // writing the audit trail does not need the booking lock
			r.Reads = true
		case db.ReadOnly, db.Full:
			r.Reads = a.Audit.CanQueue()
		}
		if also == nil {
			return r, nil
		}
		return r, also(ctx)
	}
}
