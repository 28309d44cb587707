package app

import (
	_ "embed"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"omnirapeutic/modules/emergency"
	"omnirapeutic/modules/rbac/revocation"
	"omnirapeutic/platform/command"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/trail"
)

// contract is the OpenAPI document. TestContract generates it from the code and from
// recorded requests, and fails if it is out of date.
//
//go:embed openapi.json
var contract []byte

const (
	pathContract = "/api/openapi.json"
	pathDocs     = "/api/docs"
)

// mountContract serves the document and, if configured, a page for reading and trying
// it.
func (s *Server) mountContract() {
	document := func(c echo.Context) error {
		c.Response().Header().Set(echo.HeaderCacheControl, "public, max-age="+strconv.Itoa(int(contractAge.Seconds())))
		return c.Blob(http.StatusOK, echo.MIMEApplicationJSON, s.options.Document(c.Request().Context()))
	}
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		s.echo.Add(method, pathContract, document)
	}
	s.mountErrorPages()
	s.mountChangelog()
	if s.options.HTTP.Docs {
		s.mountDocs()
	}
}

// FaultsOf returns the errors of an operation for the contract: its own, and all that
// any such request can cause.
func FaultsOf(r httpx.Route) []*fault.Error {
	all := append([]*fault.Error{}, r.Refusals...)
	all = append(all, httpx.ErrMalformed, httpx.ErrBodyTooLarge, errRateLimited, trail.ErrNotRecorded, errInternal,
		errDatabase, errDatabaseFull, errDatabaseBusy, errSchemaMismatch, errTimeout, errCancelled, errShuttingDown, errContention)
	if r.Permission != httpx.Public {
		all = append(all, identity.ErrUnauthenticated, revocation.ErrTokenNotChecked)
		if readsOnly(r) {
			all = append(all, emergency.ErrNotOpen)
		} else {
			all = append(all, emergency.ErrReadOnly)
		}
	}
	if r.Permission != httpx.Public && !r.Enrolling {
		all = append(all, identity.ErrEnrolFirst)
	}
	if r.Permission != httpx.Public && r.Permission != httpx.SignedIn {
		all = append(all, identity.ErrForbidden)
	}
	if r.Endpoint.Takes("json") {
		all = append(all, httpx.ErrUnsupported)
	}
	if r.Endpoint.Takes("") || r.Method == http.MethodPost { // may have an Idempotency-Key
		all = append(all, fault.ErrInvalid)
	}
	if r.Method != http.MethodGet && !r.ReadOnly {
		all = append(all, errOutcomeUnknown, errQueueFull, errReadOnly)
	}
	if r.Endpoint.Takes("If-Match") {
		all = append(all, patch.ErrStale)
	}
	// Keys belong to a caller, which public operations do not have.
	if r.TakesKey() && r.Permission != httpx.Public {
		all = append(all, command.ErrReused)
	}
	return all
}
