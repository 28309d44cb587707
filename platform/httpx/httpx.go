// Package httpx is what every handler shares. A module describes its API as a
// list of [Route], each with a typed function behind it:
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
// The request is read into the struct and checked before the function is called;
// what is wrong with it is told all at once, by field. Errors are returned, never
// written: the app turns them into problem documents in one place.
package httpx

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"reflect"
	"strconv"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/patch"
)

// What a [Route] may declare in the place of a permission.
const (
	Public   identity.Permission = "*public"    // anybody, signed in or not
	SignedIn identity.Permission = "*signed-in" // anybody who is signed in
)

// Route is one operation of the API, as data. The app mounts it; a route without
// a Permission does not mount, and the program does not start.
type Route struct {
	Method     string
	Path       string // below /api/v1, in echo's form: /authorizations/:id
	Permission identity.Permission
	Summary    string // one line for people
	Endpoint   Endpoint

	// What the contract tells besides; see the package openapi.
	Name        string         // of the operation, for generated clients: reserveUnits
	Description string         // for somebody who is new to it
	Refusals    []*fault.Error // its own; what can happen to any request is not listed
	// ReadOnly marks a POST that changes no records: it may be repeated at will, and an
	// Idempotency-Key makes no difference.
	ReadOnly bool
	// Momentary marks a POST whose effect is outside of the database, and whose answer is
	// true only now: the answer is not stored, and an Idempotency-Key makes no difference.
	Momentary bool
	// Limited: callers may be let in who hold the permission for some records only, those
	// of these scopes, as all that it reads and changes is kept to their reach (see the
	// package db). Where none is said, the permission is needed for the whole organization.
	Limited identity.Scope
	// Enrolling: also for callers who must set up a second factor before anything else.
	Enrolling bool
	// Reads names what data of patients the answer shows, as "authorization". Who was
	// shown it is recorded before the answer leaves. An operation that answers with a
	// patientId names it, or does not mount.
	Reads string
	// ErrorPage is where a browser is sent on to, with #error= and the code of what went
	// wrong, in place of any problem document: a person sits there, and problem documents
	// are for programs. Nothing else is told, since others read the address of a page too.
	// Empty: there is no such page. For operations of [HandleRedirect] only.
	ErrorPage string
}

// Endpoint is a typed function that can answer a request. Made by [Handle],
// [HandleTable], [HandleDocument], [Download] or [Stream]; the zero value answers
// nothing. Safe for concurrent use.
type Endpoint struct {
	In, Out reflect.Type // kept so that a contract can be generated from the routes
	Status  int          // of the answer when all goes well
	Params  []string     // the parameters of the path that In reads, sorted
	Streams bool         // the answer goes on for as long as the reader likes: see [Stream]
	Media   string       // the type of an answer that is no JSON: see [HandleDocument]
	// Starts: the status is 202 while the work goes on after the answer: see [HandleStart].
	Starts bool
	// Downloads: the answer is rows, any number of them, as JSON Lines or CSV: see [Download].
	Downloads bool
	// Needs are the permissions that fields of the request and of the answer need
	// beside that of the route: see [Handle].
	Needs   []identity.Permission
	Tables  bool // the answer can be had as CSV as well: see [HandleTable]
	serve   func(c echo.Context, before Before) error
	prepare func(c echo.Context) (Call, error)
}

// Before is called when an answer is there, and before any of it is sent: a
// stream's before the function is called at all. Its error is answered instead.
type Before func(ctx context.Context) error

// Serve reads the request, calls the function and writes its answer. It returns
// what went wrong without writing anything: a *[fault.Error], or whatever the
// function returned.
func (e Endpoint) Serve(c echo.Context) error {
	return e.serve(c, func(context.Context) error { return nil })
}

// ServeAfter is [Endpoint.Serve], where the answer leaves only after something else
// has succeeded.
func (e Endpoint) ServeAfter(c echo.Context, before Before) error { return e.serve(c, before) }

// Call is a request that was read and checked, and not carried out yet.
type Call struct {
	Request any // what was read; as JSON it tells two requests apart
	Run     func(ctx context.Context) (Reply, error)
}

// Reply is an answer that has not been sent.
type Reply struct {
	Status int
	Header map[string]string
	Body   []byte // none with status 204
	Kept   []byte // what of Body may be kept for a repetition: all but each [Secret]
}

// Prepare reads the request, and leaves it to the caller to carry it out and to
// send the reply. The errors of both are those of [Endpoint.Serve].
func (e Endpoint) Prepare(c echo.Context) (Call, error) { return e.prepare(c) }

// Send sends a reply.
func (r Reply) Send(c echo.Context) error {
	header := c.Response().Header()
	header.Set(echo.HeaderCacheControl, "no-store") // health data stays out of caches
	for name, value := range r.Header {
		header.Set(name, value)
	}
	if r.Status == http.StatusNoContent {
		return c.NoContent(r.Status)
	}
	return c.Blob(r.Status, echo.MIMEApplicationJSON, r.Body)
}

// Takes reports whether the request may have something of the name, or from the
// source (json, param, query, header); whether it has anything, for "".
func (e Endpoint) Takes(what string) bool {
	plans := &shapes{done: map[reflect.Type]*shape{}}
	for _, m := range plans.of(e.In).members {
		if what == "" || m.from == what || m.name == what {
			return true
		}
	}
	return false
}

// IsZero reports whether e was made by none of [Handle], [HandleTable] and [Stream].
func (e Endpoint) IsZero() bool { return e.serve == nil }

// None is the In or Out of an endpoint that has none.
type None struct{}

// Located is implemented by an answer that says where the created thing can be
// read; it becomes the Location header of a 201 or 202.
type Located interface{ Location() string }

// Started is implemented by the answers of [HandleStart].
type Started interface {
	Located
	// UnderWay reports whether the work goes on after the answer, and how long a client
	// should wait before it asks for the result.
	UnderWay() (again time.Duration, ok bool)
}

// Versioned is implemented by an answer that has a version, which becomes its ETag.
type Versioned interface{ Revision() int }

// Headed is implemented by an answer that adds headers of its own. They are
// added also when the function returned an error beside it.
type Headed interface{ Header(h http.Header) }

// Handle adapts a function to an [Endpoint] that answers with the status.
//
// In is a struct. Each exported field says with exactly one tag where it comes
// from: param, query, header, cookie or json; embedded structs count as their fields.
// Rules stand in validate, in the words of validator v10 and those of this
// package (text). Rules of a patch.Field begin with omitempty. Out becomes the
// JSON body; with status 204 there is none.
//
// A field of Out tagged needs:"session:read-narrative" is null for callers who do not
// hold that permission beside the route's; a field of a merge patch tagged likewise
// cannot be given by them. Such a field of Out is a pointer.
//
// Handle panics where In does not keep to this: at start, not in a request.
func Handle[In, Out any](status int, fn func(ctx context.Context, in In) (Out, error)) Endpoint {
	return handle(func(Out) int { return status }, status, fn)
}

// HandleStart adapts a function that starts work to an [Endpoint]. It answers 200 if the
// work has ended, and otherwise 202 with Location and Retry-After. In is as for [Handle].
func HandleStart[In any, Out Started](fn func(ctx context.Context, in In) (Out, error)) Endpoint {
	e := handle(func(answer Out) int {
		if _, ok := answer.UnderWay(); ok {
			return http.StatusAccepted
		}
		return http.StatusOK
	}, http.StatusOK, fn)
	e.Starts = true
	return e
}

// handle makes an endpoint whose status depends on the answer; usual is the one that the
// contract names first.
func handle[In, Out any](statusOf func(Out) int, usual int, fn func(ctx context.Context, in In) (Out, error)) Endpoint {
	in, out := reflect.TypeFor[In](), reflect.TypeFor[Out]()
	binder, secrets := newBinder(in), secretsOf(out)
	masked, needs := answerMask[Out]()
	prepare := func(c echo.Context) (Call, error) {
		var request In
		if err := binder.bind(c, reflect.ValueOf(&request).Elem()); err != nil {
			return Call{}, err
		}
		sealCursors(c, &request)
		return Call{request, func(ctx context.Context) (Reply, error) {
			answer, err := fn(ctx, request)
			if err == nil {
				err = masked(ctx, &answer)
			}
			if err != nil {
				return Reply{}, err
			}
			status := statusOf(answer)
			var b bytes.Buffer
			header, err := write(&b, status, answer)
			if err != nil || len(secrets) == 0 {
				return Reply{status, header, b.Bytes(), b.Bytes()}, err
			}
			var kept bytes.Buffer
			_, err = write(&kept, status, withoutSecrets(answer, secrets))
			return Reply{status, header, b.Bytes(), kept.Bytes()}, err
		}}, nil
	}
	serve := func(c echo.Context, before Before) error {
		var request In
		if err := binder.bind(c, reflect.ValueOf(&request).Elem()); err != nil {
			return err
		}
		sealCursors(c, &request)
		answer, err := fn(c.Request().Context(), request)
		if h, ok := any(answer).(Headed); ok {
			h.Header(c.Response().Header())
		}
		if err == nil {
			err = masked(c.Request().Context(), &answer)
		}
		if err != nil {
			return err
		}
		if err := before(c.Request().Context()); err != nil {
			return err
		}
		status := statusOf(answer)
		b := borrowBuffer()
		defer returnBuffer(b)
		header, err := write(b, status, answer)
		if err != nil {
			return err
		}
		return Reply{Status: status, Header: header, Body: b.Bytes()}.Send(c)
	}
	return Endpoint{
		In: in, Out: out, Status: usual, Params: binder.params(), Needs: append(needs, binder.needs()...), prepare: prepare, serve: serve,
	}
}

// sealCursors ties the cursors of a list to what makes it this list: its path, its
// filters, and who asks.
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
	*query = PageQuery{} // which page it is makes no difference
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

// maxPooled is the largest buffer that is kept for the next request, in bytes.
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

// write encodes the answer, whole before the first byte of it is sent, so that an
// answer that cannot be encoded is an error and not half a body.
func write(b *bytes.Buffer, status int, answer any) (map[string]string, error) {
	if status == http.StatusNoContent {
		return nil, nil
	}
	header := map[string]string{}
	if l, ok := answer.(Located); ok && (status == http.StatusCreated || status == http.StatusAccepted) {
		header[echo.HeaderLocation] = l.Location()
	}
	if s, ok := answer.(Started); ok && status == http.StatusAccepted {
		again, _ := s.UnderWay()
		header[echo.HeaderRetryAfter] = strconv.Itoa(int(math.Ceil(again.Seconds())))
	}
	if v, ok := answer.(Versioned); ok {
		header["ETag"] = patch.Tag(v.Revision())
	}
	if err := json.NewEncoder(b).Encode(answer); err != nil {
		return nil, fmt.Errorf("encode the answer %T: %w", answer, err)
	}
	return header, nil
}
