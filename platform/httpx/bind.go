package httpx

import (
	"bytes"
	"context"
	"encoding"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
)

// binder reads requests into one type. It is read-only after creation.
type binder struct {
	plan      *plan
	queries   map[string]int // index into members by name
	others    []int          // members from path, headers and cookies
	anyQuery  bool           // unknown parameters are ignored: see AnyQuery
	hasBody   bool           // some member comes from the body
	needsBody bool           // a member of the body is required
	rules     *rules
}

func takesAnyQuery(in reflect.Type) bool {
	f, found := in.FieldByName("AnyQuery")
	return found && f.Type == reflect.TypeFor[AnyQuery]()
}

// newBinder panics if the type violates the rules of [Handle].
func newBinder(in reflect.Type) *binder {
	if in.Kind() != reflect.Struct {
		panic(fmt.Sprintf("httpx: a request is read into a struct, not into %s", in))
	}
	plans := &plans{plans: map[reflect.Type]*plan{}}
	b := &binder{plan: plans.of(in), queries: map[string]int{}, anyQuery: takesAnyQuery(in)}
	for i, m := range b.plan.members {
		switch m.from {
		case "json":
			b.hasBody = true
			b.needsBody = b.needsBody || m.required
			continue
		case "query":
			b.queries[m.name] = i
		default:
			b.others = append(b.others, i)
		}
		mustBeScalar(in, m)
	}
	b.rules = newRules(in, plans)
	return b
}

// params returns the names of the parameters that are read from the path, sorted.
func (b *binder) params() []string {
	var all []string
	for _, m := range b.plan.members {
		if m.from == "param" {
			all = append(all, m.name)
		}
	}
	slices.Sort(all)
	return all
}

// needs returns the permissions that fields of merge patches require.
func (b *binder) needs() []identity.Permission {
	var all []identity.Permission
	for _, m := range b.plan.members {
		if m.needs != "" {
			all = append(all, m.needs)
		}
	}
	return all
}

// mustBeScalar panics on a parameter that is not a single value or, in the query, a
// list of them.
func mustBeScalar(in reflect.Type, m member) {
	s := m.plan
	if s.kind == kindList && m.from == "query" || s.kind == kindPointer {
		s = s.elem
	}
	switch s.kind {
	case kindBool, kindInt, kindUint, kindFloat, kindText, kindUUID, kindInstant, kindDate, kindString:
		return
	case kindJSON:
		if reflect.PointerTo(s.typ).Implements(readsText) {
			return
		}
	}
	panic(fmt.Sprintf("httpx: %s.%s cannot be read from %s", in, m.goName, m.from))
}

// bind fills v from the request and validates it. It returns [fault.ErrInvalid] or
// [ErrMalformed] with all invalid fields, an error for an unreadable body, or
// [identity.ErrForbidden] for a field that the caller may not change.
//
// A list in the query is written by repeating the parameter. Any other parameter may
// occur once. An unknown parameter is malformed, because ignoring a misspelt filter
// would return unfiltered data.
func (b *binder) bind(c echo.Context, v reflect.Value) error {
	r := &decoder{path: make([]byte, 0, 64), rules: b.rules}
	request := c.Request()
	unknown, err := b.bindQuery(r, request, v)
	if err != nil {
		return err
	}
	for _, i := range b.others {
		b.bindOther(r, c, &b.plan.members[i], v)
	}
	if err := b.bindBody(r, request, v); err != nil {
		return err
	}
	b.rules.check(r, v)
	switch {
	case len(unknown) > 0:
		return ErrMalformed.With(unknownParameters{append(unknown, r.fieldErrors...)},
			"Unknown query parameter: %s.", suggested(unknown))
	case len(r.fieldErrors) > 0:
		return fault.InvalidFields(r.fieldErrors...)
	}
	return b.requireVisible(request.Context(), v)
}

// suggested lists unknown fields, each with the name that was probably meant.
func suggested(fields []fault.Field) string {
	all := make([]string, len(fields))
	for i, f := range fields {
		all[i] = f.Field + strings.TrimPrefix(f.Message, unknownText)
	}
	return strings.Join(all, ", ")
}

const maxUnknownQueries = 10

// bindQuery reads the query and returns the parameters that the endpoint does not
// define.
func (b *binder) bindQuery(r *decoder, request *http.Request, v reflect.Value) (unknown []fault.Field, err error) {
	raw := request.URL.RawQuery
	if raw == "" {
		return nil, nil
	}
	given, err := url.ParseQuery(raw)
	if err != nil {
		return nil, ErrMalformed.With(nil, "The query string of the URL is not encoded correctly.").Because(err)
	}
	for name := range given {
		if _, ok := b.queries[name]; !ok && !b.anyQuery {
			valid := strings.ToValidUTF8(name, "?")
			unknown = append(unknown, unknownField(shortened(valid), valid, b.knownQueries(request.Context())))
		}
	}
	slices.SortFunc(unknown, func(x, y fault.Field) int { return strings.Compare(x.Field, y.Field) })
	unknown = unknown[:min(len(unknown), maxUnknownQueries)]
	for i := range b.plan.members {
		m := &b.plan.members[i]
		if m.from != "query" {
			continue
		}
		if values := given[m.name]; len(values) > 0 {
			r.parameter(m, values, v.FieldByIndex(m.index))
		}
	}
	return unknown, nil
}

// knownQueries returns the names of the parameters of the query. The app reads [ParamExpand].
func (b *binder) knownQueries(ctx context.Context) []string {
	names := b.plan.namesFrom("query")
	if expands(ctx) {
		names = append(names, ParamExpand)
		slices.Sort(names)
	}
	return names
}

func (b *binder) bindOther(r *decoder, c echo.Context, m *member, v reflect.Value) {
	var values []string
	switch m.from {
	case "param":
		values = []string{c.Param(m.name)}
	case "cookie":
		for _, each := range c.Request().CookiesNamed(m.name) {
			values = append(values, each.Value)
		}
	default:
		values = c.Request().Header.Values(m.name)
	}
	if len(values) == 0 {
		return
	}
	r.parameter(m, values, v.FieldByIndex(m.index))
}

// parameter reads one parameter of the path, the query or the headers.
func (d *decoder) parameter(m *member, values []string, v reflect.Value) {
	outer := d.enter(m.name)
	defer d.leave(outer)
	before := len(d.fieldErrors)
	switch {
	case m.plan.kind == kindList:
		list := reflect.MakeSlice(m.plan.typ, len(values), len(values))
		for i, text := range values {
			d.parameterText(text, m.plan.elem, list.Index(i))
		}
		v.Set(list)
	case len(values) > 1:
		d.fail("duplicate", duplicateText)
	case m.from == "header" && values[0] == "": // an intermediary dropped the value of a key or condition
		d.fail("required", emptyText)
	default:
		d.parameterText(values[0], m.plan, v)
	}
	if len(d.fieldErrors) == before {
		d.checkZero(m, v)
	}
}

// parameterText reads the text of a parameter.
func (d *decoder) parameterText(text string, s *plan, v reflect.Value) {
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		d.fail("characters", charactersText)
		return
	}
	switch s.kind {
	case kindPointer:
		v.Set(reflect.New(s.typ.Elem()))
		d.parameterText(text, s.elem, v.Elem())
	case kindText:
		v.SetString(text)
	case kindBool:
		if text != "true" && text != "false" {
			d.fail("type", boolText)
			return
		}
		v.SetBool(text == "true")
	case kindInt, kindUint, kindFloat:
		if !isNumberText(text) {
			d.fail("type", textOfNumber(s.kind))
			return
		}
		d.number(text, s, v)
	case kindUUID:
		d.uuid(text, v)
	case kindInstant:
		d.instant(text, v)
	case kindDate:
		d.date(text, v)
	default:
		d.parseError(v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text)))
	}
}

// isNumberText reports whether a parameter has the form of a JSON number: no plus sign,
// hexadecimal digits, underscores or words such as inf.
func isNumberText(text string) bool {
	return text != "" && (text[0] == '-' || text[0] >= '0' && text[0] <= '9') && !strings.ContainsAny(text, "_xXpPnN")
}

// bindBody reads the JSON object in the body. An absent body counts as an empty object
// if no member is required.
func (b *binder) bindBody(r *decoder, request *http.Request, v reflect.Value) error {
	if request.Body == nil || request.Body == http.NoBody {
		return b.withoutBody()
	}
	buffer := borrowBuffer()
	defer returnBuffer(buffer) // decoded values do not reference the buffer
	if _, err := buffer.ReadFrom(request.Body); err != nil {
		return bodyError(err)
	}
	body := buffer.Bytes()
	trimmed := bytes.Trim(body, whiteSpace)
	if len(trimmed) == 0 {
		return b.withoutBody()
	}
	if !b.hasBody {
		return refuseBody(trimmed)
	}
	if err := checkMediaType(request.Header); err != nil {
		return err
	}
	r.body = borrowTokenReader(body)
	defer returnTokenReader(r.body)
	if err := r.body.checkSyntax(body); err != nil {
		return ErrMalformed.With(nil, "%s", err)
	}
	if trimmed[0] != '{' {
		return ErrMalformed.With(nil, "%s", errObject)
	}
	r.object(b.plan, v)
	return nil
}

// refuseBody returns an error for a body of any media type where the endpoint takes
// none. It accepts an empty object, which some clients send with every POST.
func refuseBody(body []byte) error {
	if body[0] == '{' && string(bytes.TrimLeft(body[1:], whiteSpace)) == "}" {
		return nil
	}
	return ErrMalformed.With(nil, "This request must not have a body.")
}

func (b *binder) withoutBody() error {
	if b.needsBody {
		return ErrMalformed.With(nil, "The request needs a JSON object as its body.")
	}
	return nil
}

func bodyError(err error) error {
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return ErrBodyTooLarge.With(nil, "The body may have at most %d bytes.", tooLarge.Limit).Because(err)
	}
	if he, ok := errors.AsType[*echo.HTTPError](err); ok && he.Code == http.StatusRequestEntityTooLarge {
		return ErrBodyTooLarge.Because(err)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrMalformed.With(nil, "The request body is incomplete.").Because(err)
	}
	return ErrMalformed.With(nil, "The request body could not be read.").Because(err)
}

// checkMediaType accepts JSON and JSON merge patches (RFC 7396).
func checkMediaType(h http.Header) error {
	if encoding := h.Get(echo.HeaderContentEncoding); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return ErrUnsupported.With(nil, "The body must not be compressed.")
	}
	given := h.Get(echo.HeaderContentType)
	if given == echo.MIMEApplicationJSON {
		return nil
	}
	media, parameters, err := mime.ParseMediaType(given)
	if err != nil || media != echo.MIMEApplicationJSON && media != "application/merge-patch+json" {
		return ErrUnsupported
	}
	if charset := parameters["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return ErrUnsupported.With(nil, "The body must be in UTF-8.")
	}
	return nil
}
