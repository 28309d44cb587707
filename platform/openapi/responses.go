package openapi

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
)

func (b *builder) responses(o Operation) Object {
	all := Object{{strconv.Itoa(o.Endpoint.Status), b.success(o)}}
	if o.Endpoint.Starts {
		all.Set(strconv.Itoa(http.StatusAccepted), b.accepted(o))
	}
	if o.Endpoint.Media != "" {
		all.Set(strconv.Itoa(http.StatusNotModified),
			Object{{"description", "Not modified: the client's copy is current; see `If-None-Match`."}})
	}
	faults := map[int][]*fault.Error{}
	for _, f := range o.Faults {
		faults[b.Status(f)] = append(faults[b.Status(f)], f)
	}
	for _, status := range slices.Sorted(maps.Keys(faults)) {
		all.Set(strconv.Itoa(status), b.shared(status, b.refusal(o, status, faults[status])))
	}
	return all
}

func (b *builder) success(o Operation) Object {
	headers := Object{{"X-Request-Id", header("The id of this request, for support questions.")}}
	out := o.Endpoint.Out
	if o.Eventual {
		headers.Set(httpx.HeaderReadFrom, header("Only with `consistency=eventual`: `standby;lag=0.4` if a standby has "+
			"answered, with the age of its state in seconds at most, or `primary;reason=lag` with the reason."))
	}
	if out.Implements(reflect.TypeFor[httpx.Versioned]()) {
		headers.Set("ETag", header("The version of the record, for `If-Match`."))
	}
	if out.Implements(reflect.TypeFor[httpx.Located]()) && o.Endpoint.Status == http.StatusCreated {
		headers.Set("Location", header("The URL of the created record."))
	}
	if o.TakesKey() {
		headers.Set("Idempotency-Replayed",
			header("`true` if this is the stored response of an earlier request with the same key."))
	}
	if o.Endpoint.Status == http.StatusFound {
		headers.Set("Location", header("The URL to which the browser is redirected."))
	}
	answer := Object{{"description", http.StatusText(o.Endpoint.Status)}, {"headers", headers}}
	switch {
	case o.Endpoint.Status == http.StatusNoContent, o.Endpoint.Status == http.StatusFound:
	case o.Endpoint.Downloads:
		answer.Set("content", Object{
			{"application/jsonl", b.media(o, o.Endpoint.Status, Object{{"type", "string"}})},
			{"text/csv", Object{{"schema", Object{{"type", "string"}}}}},
		})
	case o.Endpoint.Streams:
		answer.Set("content", Object{{"text/event-stream", b.media(o, o.Endpoint.Status, b.stream())}})
	case o.Endpoint.Media != "":
		b.document(o, &answer, headers)
	default:
		content := Object{{
			"application/json", b.media(o, o.Endpoint.Status, Object{{"$ref", b.schemas.structure(out, given)}}),
		}}
		if o.Endpoint.Tables {
			content.Set("text/csv", Object{{"schema", Object{{"type", "string"}}}})
			headers.Set(httpx.HeaderNextCursor, header("CSV only: the `nextCursor`, if there are more rows."))
			answer.Set("headers", headers)
		}
		answer.Set("content", content)
	}
	return answer
}

// document adds the headers and the content of a document or a file.
func (b *builder) document(o Operation, answer *Object, headers Object) {
	headers.Set("ETag", header("A hash of the content, for `If-None-Match`."))
	if o.Endpoint.Saved {
		headers.Set("Content-Disposition", header("The name of the file."))
		headers.Set(httpx.HeaderChecksum, header("The SHA-256 of the file in hexadecimal."))
	}
	schema := Object{{"type", "string"}}
	if o.Endpoint.Out != reflect.TypeFor[httpx.None]() {
		schema = Object{{"$ref", b.schemas.structure(o.Endpoint.Out, given)}}
	}
	answer.Set("headers", headers)
	answer.Set("content", Object{{o.Endpoint.Media, b.media(o, o.Endpoint.Status, schema)}})
}

// accepted is the answer while the work continues.
func (b *builder) accepted(o Operation) Object {
	return Object{
		{"description", "Accepted: the work continues. Poll the resource at `Location` until it has ended."},
		{"headers", Object{
			{"X-Request-Id", header("The id of this request, for support questions.")},
			{"Location", header("The URL of the progress and the result.")},
			{"Retry-After", header("The number of seconds until the next poll.")},
		}},
		{"content", Object{
			{"application/json", b.media(o, http.StatusAccepted, Object{{"$ref", b.schemas.structure(o.Endpoint.Out, given)}})},
		}},
	}
}

// shared stores a response that other operations may share in one place. A response
// with examples belongs to its operation.
func (b *builder) shared(status int, response Object) Object {
	text, err := response.MarshalJSON()
	if err != nil {
		panic(err)
	}
	if strings.Contains(string(text), `"examples":`) {
		return response
	}
	name, ok := b.names[string(text)]
	if !ok {
		kind := strings.ReplaceAll(http.StatusText(status), " ", "")
		name = kind
		for n := 2; b.common.Get(name) != nil; n++ {
			name = kind + strconv.Itoa(n)
		}
		b.names[string(text)] = name
		b.common.Set(name, response)
	}
	return Object{{"$ref", "#/components/responses/" + name}}
}

// stream returns the schema of the data of one server-sent event. OpenAPI 3.1 has no schema for the
// whole stream; client generators use this one for each event.
func (b *builder) stream() Object {
	opening := b.schemas.structure(b.Opening, given)
	refs := []Object{{{"$ref", opening}}}
	for _, kind := range slices.Sorted(maps.Keys(b.Events)) {
		refs = append(refs, Object{{"$ref", b.event(kind, b.Events[kind])}})
	}
	return Object{{"oneOf", refs}}
}

// events returns the webhooks of the document: the events of the stream and test events, each in
// its own request.
func (b *builder) events() Object {
	all := Object{}
	kinds := map[string]reflect.Type{}
	maps.Copy(kinds, b.Events)
	maps.Copy(kinds, b.TestEvents)
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		data := kinds[kind]
		also, after := "\n\n`GET /events` streams the same event.", "After any other status the delivery is retried."
		var schema Object
		if _, test := b.TestEvents[kind]; test {
			also, after = "", "After any other status the event is not sent again."
			// No path refers to it, and generators drop schemas to which only webhooks refer.
			schema = b.eventSchema(kind, b.schemas.object(data, given))
		} else {
			schema = Object{{"$ref", b.event(kind, data)}}
		}
		all.Set(kind, Object{{"post", Object{
			{"operationId", "on" + strings.TrimSuffix(eventName(kind), "Event")},
			{"summary", eventSummary(kind)},
			{"description", b.schemas.describe(data) + also},
			{"security", []Object{}},
			{"requestBody", Object{{"required", true}, {"content", Object{{"application/json", Object{{"schema", schema}}}}}}},
			{"responses", Object{{"2XX", Object{{"description", "Delivered. " + after}}}}},
		}}})
	}
	return all
}

// event names the schema of the events of one type, and returns the reference to it.
func (b *builder) event(kind string, data reflect.Type) string {
	name := eventName(kind)
	schema := b.eventSchema(kind, Object{{"$ref", b.schemas.structure(data, given)}})
	b.schemas.types[name] = b.Event
	b.schemas.named.Set(name, schema)
	return "#/components/schemas/" + name
}

// eventSchema returns the schema of the events of one type, whose data have the given schema.
func (b *builder) eventSchema(kind string, data Object) Object {
	schema := b.schemas.object(b.Event, given)
	properties, _ := schema.Get("properties").(Object)
	for name, narrower := range map[string]Object{"type": {{"type", "string"}, {"const", kind}}, "data": data} {
		general, _ := properties.Get(name).(Object)
		if words := text(general.Get("description")); words != "" {
			narrower.Set("description", words)
		}
		properties.Set(name, narrower)
	}
	schema.Set("properties", properties)
	return schema
}

func eventName(kind string) string { return joined(strings.ReplaceAll(kind, "-", "."), ".") + "Event" }

// eventSummary writes the type of an event in words: "appointment.no-show" is
// "Appointment no-show".
func eventSummary(kind string) string { return capital(strings.ReplaceAll(kind, ".", " ")) }

func header(description string) Object {
	return Object{{"description", description}, {"schema", Object{{"type", "string"}}}}
}

func (b *builder) media(o Operation, status int, schema Object) Object {
	media := Object{{"schema", schema}}
	examples := Object{}
	for _, e := range o.Examples {
		if e.Status == status && e.Response != nil {
			examples.Set(e.Name, Object{{"summary", e.Summary}, {"value", e.Response}})
		}
	}
	if len(examples) > 0 {
		media.Set("examples", examples)
	}
	return media
}

func (b *builder) refusal(o Operation, status int, faults []*fault.Error) Object {
	slices.SortFunc(faults, func(a, c *fault.Error) int { return cmp.Compare(a.Code(), c.Code()) })
	faults = slices.CompactFunc(faults, func(a, c *fault.Error) bool { return a.Code() == c.Code() })
	var words []string
	var refs []Object
	mapping := Object{}
	for _, f := range faults {
		ref := b.problem(f)
		words = append(words, fmt.Sprintf("- `%s`: %s", f.Code(), f.Title()))
		refs = append(refs, Object{{"$ref", ref}})
		mapping.Set(f.Code(), ref)
	}
	schema := refs[0]
	if len(refs) > 1 {
		schema = Object{{"oneOf", refs}, {"discriminator", Object{{"propertyName", "code"}, {"mapping", mapping}}}}
	}
	headers := Object{{"X-Request-Id", header("The id of this request, for support questions.")}}
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable ||
		status == http.StatusInternalServerError {
		headers.Set("Retry-After", header("The number of seconds to wait before a retry."))
	}
	return Object{
		{"description", http.StatusText(status) + ".\n\n" + strings.Join(words, "\n")},
		{"headers", headers},
		{"content", Object{{"application/problem+json", b.media(o, status, schema)}}},
	}
}

// problem is the schema of the problem document of one code: the members that all
// problem documents share, and the details of that code.
func (b *builder) problem(f *fault.Error) string {
	name := problemName(f.Code())
	b.schemas.types[name] = reflect.TypeFor[fault.Error]()
	own := Object{{"type", "object"}}
	properties := Object{
		{"status", Object{{"type", "integer"}, {"const", b.Status(f)}}},
		{"code", Object{{"type", "string"}, {"const", f.Code()}}},
	}
	var required []string
	if details := f.Carries(); details != nil {
		var also Object
		also, required = b.schemas.members(reflect.TypeOf(details), given)
		properties = append(properties, also...)
	}
	if f.ListsReasons() {
		also, _ := b.schemas.members(b.Reasons, given)
		properties = append(properties, also...)
	}
	own.Set("properties", properties)
	if len(required) > 0 {
		own.Set("required", required)
	}
	b.schemas.named.Set(name, Object{
		{"description", f.Title()},
		{"allOf", []Object{{{"$ref", b.base()}}, own}},
		{"unevaluatedProperties", false},
	})
	return "#/components/schemas/" + name
}

// base is the schema of the members that all problem documents share. Others extend it,
// so it does not exclude further members.
func (b *builder) base() string {
	return b.schemas.name(b.Problem, "", func() any {
		return slices.DeleteFunc(b.schemas.object(b.Problem, given),
			func(m member) bool { return m.name == "additionalProperties" })
	})
}

func problemName(code string) string { return joined(code, "-") + "Problem" }

// joined joins words to one name.
func joined(words, separator string) string {
	var name strings.Builder
	for word := range strings.SplitSeq(words, separator) {
		name.WriteString(capital(word))
	}
	return name.String()
}
