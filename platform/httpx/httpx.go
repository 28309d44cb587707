// Package httpx provides routing, request decoding and responses to all handlers. A
// module describes its API as a list of [Route], each with a typed function:
//
//	type reserveRequest struct {
//		ID    uuid.UUID `param:"id"`
//		Key   string    `header:"Idempotency-Key" validate:"omitempty,max=255"`
//		Units int       `json:"units" validate:"required,min=1"`
//	}
//
//	httpx.Route{
//		Method: http.MethodPost, Path: "/authorizations/:id/reserve",
//		Permission: "authorization:reserve", Summary: "Reserve units",
//		Endpoint: httpx.Handle(http.StatusCreated, s.reserve),
//	}
//
// The request is read into the struct and validated before the function is called. All
// invalid fields are reported at once. Handlers return errors and never write them: the
// app turns them into problem documents in one place.
package httpx

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/patch"
)

// Values that a [Route] may declare instead of a permission.
const (
	Public   identity.Permission = "*public"    // anyone, signed in or not
	SignedIn identity.Permission = "*signed-in" // any caller who is signed in
)

// Route is one operation of the API, as data. The app mounts it. A route without a
// Permission prevents the program from starting.
type Route struct {
	Method     string
	Path       string // below /api/v1, in echo's form: /authorizations/:id
	Permission identity.Permission
	Summary    string // one line
	Endpoint   Endpoint

	// Further data for the API contract; see the package openapi.
	Name        string         // of the operation, for generated clients: reserveUnits
	Description string         // for readers who are new to the operation
	Refusals    []*fault.Error // errors specific to this operation; errors of every request are not listed
	// ReadOnly marks a POST that changes no records: it can be repeated freely, and an
	// Idempotency-Key makes no difference.
	ReadOnly bool
	// Momentary marks a POST with an effect outside the database and an answer that is only valid
	// now. The answer is not stored, and an Idempotency-Key makes no difference.
	Momentary bool
	// Keyed marks a PUT that may have an Idempotency-Key, like a POST.
	Keyed bool
	// RecordScopes lists the scopes with which a caller may use the route although the
	// permission covers only some records. The route's queries must then be limited to the
	// caller's record scope (see package db). If zero, the permission must cover the whole
	// organization.
	RecordScopes identity.Scope
	// Enrolling admits callers who must set up a second factor first.
	Enrolling bool
	// Eventual accepts consistency=eventual: a standby may answer, with the state of a few seconds ago. The app reads
	// the parameter, so that the endpoint does not have it.
	Eventual bool
	// Reads names the patient data that the answer shows, such as "authorization". The
	// access is recorded before the answer is sent. An operation whose answer has a
	// patientId must set it, or mounting fails.
	Reads string
	// Deprecations announce that the operation, or fields of it, will be removed.
	Deprecations []Deprecation
	// ErrorPage is the page to which a browser is redirected on an error, with #error= and
	// the error code, instead of a problem document. The fragment has no further details,
	// because URLs are logged and shared. Only operations of [HandleRedirect] may set it.
	ErrorPage string
}

// Deprecation announces a removal in the headers of every answer and in the document.
type Deprecation struct {
	Field  string    // the deprecated field of the request or answer; "" for the operation
	Since  time.Time // the time from which it is deprecated (RFC 9745)
	Sunset time.Time // the time at which it may be removed (RFC 8594); zero: not decided
}

// IsDeprecated reports whether the operation as a whole is deprecated.
func (r Route) IsDeprecated() bool {
	return slices.ContainsFunc(r.Deprecations, func(d Deprecation) bool { return d.Field == "" })
}

// TakesKey reports whether an Idempotency-Key makes a difference.
func (r Route) TakesKey() bool {
	return (r.Method == http.MethodPost || r.Keyed) && !r.ReadOnly && !r.Momentary
}

// Endpoint is a typed function that can answer a request. It is created by [Handle],
// [HandleTable], [HandleDocument], [HandleFile], [Download] or [Stream]. The zero value answers
// nothing. Safe for concurrent use.
type Endpoint struct {
	In, Out reflect.Type // for generating the API contract
	Status  int          // status of a successful answer
	Params  []string     // names of the path parameters of In, sorted
	Streams bool         // the answer does not end by itself: see [Stream]
	Media   string       // media type of a document or a file: see [HandleDocument]
	Saved   bool         // the answer is a file with a name and a checksum: see [HandleFile]
	// Starts reports that the status is 202 while the work continues after the answer; see
	// [HandleStart].
	Starts bool
	// Downloads reports that the answer streams rows as JSON Lines or CSV; see [Download].
	Downloads bool
	// Needs are the permissions that fields of the request and the answer require in
	// addition to the route's; see [Handle].
	Needs []identity.Permission
	// References are the members of the answer that can be expanded; see [Expanded].
	References []Reference
	Tables     bool // the answer is also available as CSV: see [HandleTable]
	serve      func(c echo.Context, before Before) error
	prepare    func(c echo.Context) (Call, error)
}

// Before is called when the answer is ready and before any of it is sent. For a stream,
// it is called before the function. Its error replaces the answer.
type Before func(ctx context.Context) error

// Serve reads the request, calls the function and writes its answer. It returns an
// error without writing anything: a *[fault.Error] or the error of the function.
func (e Endpoint) Serve(c echo.Context) error {
	return e.serve(c, func(context.Context) error { return nil })
}

// ServeAfter is like [Endpoint.Serve] but sends the answer only after before has
// succeeded.
func (e Endpoint) ServeAfter(c echo.Context, before Before) error { return e.serve(c, before) }

// Call is a request that has been read and validated but not executed.
type Call struct {
	Request any // the decoded request; its JSON identifies the request
	Run     func(ctx context.Context) (Reply, error)
}

// Reply is an answer that has not been sent yet.
type Reply struct {
	Status int
	Header map[string]string
	Body   []byte // nil with status 204
	Stored []byte // the part of Body stored for repeated requests: all but each [Secret]
}

// Prepare reads the request. The caller then executes it and sends the reply. The
// errors of both are the errors of [Endpoint.Serve].
func (e Endpoint) Prepare(c echo.Context) (Call, error) { return e.prepare(c) }

// Send sends a reply.
func (r Reply) Send(c echo.Context) error {
	header := c.Response().Header()
	header.Set(echo.HeaderCacheControl, "no-store") // keeps health data out of caches
	for name, value := range r.Header {
		header.Set(name, value)
	}
	if r.Status == http.StatusNoContent {
		return c.NoContent(r.Status)
	}
	return c.Blob(r.Status, echo.MIMEApplicationJSON, r.Body)
}

// Takes reports whether the request has a field of the name from the source (json,
// param, query or header). An empty name matches any field.
func (e Endpoint) Takes(what string) bool {
	plans := &plans{plans: map[reflect.Type]*plan{}}
	for _, m := range plans.of(e.In).members {
		if what == "" || m.from == what || m.name == what {
			return true
		}
	}
	return false
}

// IsZero reports whether e is the zero value.
func (e Endpoint) IsZero() bool { return e.serve == nil }

// None is the In of an endpoint without parameters, or the Out of one without a body.
type None struct{}

// Located is implemented by answers with the URL of the created record. It becomes the
// Location header of a 201 or 202.
type Located interface{ Location() string }

// Started is implemented by the answers of [HandleStart].
type Started interface {
	Located
	// Running reports whether the work continues after the answer, and how long a client should
	// wait before it polls for the result.
	Running() (again time.Duration, ok bool)
}

// Versioned is implemented by answers with a version, which becomes the ETag.
type Versioned interface{ Revision() int }

// Headed is implemented by answers that set headers. They are also set if the function
// returns an error together with the answer.
type Headed interface{ Header(h http.Header) }

// Handle adapts a function to an [Endpoint] that answers with the status.
//
// In is a struct. Exactly one tag of each exported field names its source: param,
// query, header, cookie or json. Fields of embedded structs count as fields of the
// struct. The validate tag has the rules of validator v10 and the rule text of this
// package. Rules of a patch.Field begin with omitempty. Out becomes the JSON body; with
// status 204 there is none.
//
// A field of Out tagged needs:"session:read-narrative" is null for callers without that
// permission; such a field must be a pointer. A field of a merge patch with such a tag
// may be given only by callers with the permission.
//
// Handle panics at startup if In or Out violates these rules.
func Handle[In, Out any](status int, fn func(ctx context.Context, in In) (Out, error)) Endpoint {
	return handle(func(Out) int { return status }, status, fn)
}

// HandleStart adapts a function that starts work to an [Endpoint]. It answers 200 if the work has
// ended, otherwise 202 with Location and Retry-After. In is as for [Handle].
func HandleStart[In any, Out Started](fn func(ctx context.Context, in In) (Out, error)) Endpoint {
	e := handle(func(answer Out) int {
		if _, ok := answer.Running(); ok {
			return http.StatusAccepted
		}
		return http.StatusOK
	}, http.StatusOK, fn)
	e.Starts = true
	return e
}

// handle creates an endpoint whose status depends on the answer. The contract lists usual as
// the first status.
func handle[In, Out any](statusOf func(Out) int, usual int, fn func(ctx context.Context, in In) (Out, error)) Endpoint {
	in, out := reflect.TypeFor[In](), reflect.TypeFor[Out]()
	h := handler[In, Out]{
		fn: fn, statusOf: statusOf, binder: newBinder(in), secrets: secretsOf(out),
		references: referencesOf(out, map[reflect.Type]bool{}),
	}
	var needs []identity.Permission
	h.masked, needs = redactionOfAnswer[Out]()
	return Endpoint{
		In: in, Out: out, Status: usual, Params: h.binder.params(), Needs: append(needs, h.binder.needs()...),
		References: h.references.names(nil),
		prepare:    h.prepare, serve: h.serve,
	}
}

// handler is the function of an endpoint with what its types define, computed once.
type handler[In, Out any] struct {
	fn       func(ctx context.Context, in In) (Out, error)
	statusOf func(Out) int
	binder   *binder
	secrets  [][]int // the paths of fields that are shown only once
	masked   func(ctx context.Context, answer *Out) error
	// references are the references of the answer.
	references *referencePlan
}

// prepare reads the request of a command, which is executed later.
func (h *handler[In, Out]) prepare(c echo.Context) (Call, error) {
	var request In
	if err := h.binder.bind(c, reflect.ValueOf(&request).Elem()); err != nil {
		return Call{}, err
	}
	sealCursors(c, &request)
	return Call{request, func(ctx context.Context) (Reply, error) {
		answer, err := h.fn(ctx, request)
		if err == nil {
			err = h.masked(ctx, &answer)
		}
		if err != nil {
			return Reply{}, err
		}
		status := h.statusOf(answer)
		var b bytes.Buffer
		header, err := write(&b, status, answer)
		if err != nil || len(h.secrets) == 0 {
			return Reply{status, header, b.Bytes(), b.Bytes()}, err
		}
		var stored bytes.Buffer
		_, err = write(&stored, status, withoutSecrets(answer, h.secrets))
		return Reply{status, header, b.Bytes(), stored.Bytes()}, err
	}}, nil
}

// serve executes a request at once, and sends the answer.
func (h *handler[In, Out]) serve(c echo.Context, before Before) error {
	var request In
	if err := h.binder.bind(c, reflect.ValueOf(&request).Elem()); err != nil {
		return err
	}
	sealCursors(c, &request)
	answer, err := h.fn(c.Request().Context(), request)
	if headed, ok := any(answer).(Headed); ok {
		headed.Header(c.Response().Header())
	}
	if err == nil {
		err = h.masked(c.Request().Context(), &answer)
	}
	if err == nil {
		err = h.references.refer(c.Request().Context(), reflect.ValueOf(&answer).Elem())
	}
	if err != nil {
		return err
	}
	if err := before(c.Request().Context()); err != nil {
		return err
	}
	status := h.statusOf(answer)
	b := borrowBuffer()
	defer returnBuffer(b)
	header, err := write(b, status, answer)
	if err != nil {
		return err
	}
	return Reply{Status: status, Header: header, Body: b.Bytes()}.Send(c)
}

// sealCursors binds the cursors of a list to its path, its filters and the caller.
func sealCursors(c echo.Context, request any) {
	list, ok := request.(interface {
		sealed(ctx context.Context, scope []byte)
		paging() *PageQuery
	})
	if !ok {
		return
	}
	query := list.paging()
	given := *query
	*query = PageQuery{} // the cursor must be valid for every page of the list
	filters, err := json.Marshal(request)
	*query = given
	if err != nil {
		panic(fmt.Sprintf("httpx: the filters in %T cannot be written as JSON: %v", request, err))
	}
	caller, _ := identity.From(c.Request().Context())
	scope := fmt.Appendf(nil, "%s\n%s\n%s\n%s", c.Path(), caller.OrganizationID, caller.UserID, filters)
	list.sealed(c.Request().Context(), scope)
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// maxPooled is the size of the largest buffer that is reused, in bytes.
const maxPooled = 64 << 10

func borrowBuffer() *bytes.Buffer {
	b := buffers.Get().(*bytes.Buffer)
	b.Reset()
	return b
}

func returnBuffer(b *bytes.Buffer) {
	if b.Cap() <= maxPooled {
		buffers.Put(b)
	}
}

// write encodes the whole answer before it sends the first byte. An answer that cannot
// be encoded is therefore an error, not a partial body.
func write(b *bytes.Buffer, status int, answer any) (map[string]string, error) {
	if status == http.StatusNoContent {
		return nil, nil
	}
	header := map[string]string{}
	if l, ok := answer.(Located); ok && (status == http.StatusCreated || status == http.StatusAccepted) {
		header[echo.HeaderLocation] = l.Location()
	}
	if s, ok := answer.(Started); ok && status == http.StatusAccepted {
		again, _ := s.Running()
		header[echo.HeaderRetryAfter] = strconv.Itoa(int(math.Ceil(again.Seconds())))
	}
	if v, ok := answer.(Versioned); ok {
		header["ETag"] = patch.Tag(v.Revision())
	}
	if page, ok := answer.(interface{ complete() any }); ok {
		answer = page.complete()
	}
	if err := json.NewEncoder(b).Encode(answer); err != nil {
		return nil, fmt.Errorf("encode the answer %T: %w", answer, err)
	}
	return header, nil
}
