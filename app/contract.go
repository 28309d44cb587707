package app

import (
	_ "embed"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"
	"github.com/swaggest/swgui"
	"github.com/swaggest/swgui/v5emb"

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

// docsPolicy allows the API documentation page to run its own scripts and call this
// server.
const docsPolicy = "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; " +
	"img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'"

// docsHead adapts the page to phones and raises its contrast. In Swagger UI's default
// colors, white on green has half of the contrast required by WCAG 2.2 (1.4.3).
const docsHead = `
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <style>
        .swagger-ui .opblock .opblock-summary-method { color: #111; text-shadow: none; }
        .swagger-ui .btn.authorize, .swagger-ui .btn.authorize span { border-color: #146c43; color: #146c43; }
        .swagger-ui .btn.authorize svg { fill: #146c43; }
        .swagger-ui .btn.cancel { border-color: #b42318; color: #b42318; }
        .swagger-ui .btn.execute { background-color: #1f5fae; border-color: #1f5fae; }
        .swagger-ui a, .swagger-ui .info .link { color: #1f5fae; }
        .swagger-ui .parameter__name.required::after, .swagger-ui .parameter__name.required span { color: #b42318; }
        .swagger-ui .response-col_links { display: none; }
    </style>`

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
	if s.options.HTTP.Docs {
		s.mountDocs()
	}
}

// mountDocs serves the API documentation page, which is embedded in the program, and
// redirects the root path to it. The page forgets tokens when it is closed.
func (s *Server) mountDocs() {
	page := v5emb.NewHandlerWithConfig(swgui.Config{
		Title: "Omnirapeutic API", SwaggerJSON: pathContract, BasePath: pathDocs, AppendHead: docsHead,
		SettingsUI: map[string]string{
			"persistAuthorization":   "false",
			"tryItOutEnabled":        "true",
			"displayRequestDuration": "true",
			"docExpansion":           `"none"`,
			"filter":                 "true",
		},
	})
	serve := func(c echo.Context) error {
		c.Response().Header().Set(echo.HeaderContentSecurityPolicy, docsPolicy)
		c.Response().Header().Set(echo.HeaderCacheControl, "public, max-age=300")
		page.ServeHTTP(c.Response(), c.Request())
		return nil
	}
	lead := func(c echo.Context) error { return c.Redirect(http.StatusFound, pathDocs) }
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		s.echo.Add(method, pathDocs, serve)
		s.echo.Add(method, pathDocs+"/*", serve)
		for _, path := range []string{"/", "/api", "/api/"} {
			s.echo.Add(method, path, lead)
		}
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
