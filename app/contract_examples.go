package app

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"omnirapeutic/app/demo"
	"omnirapeutic/config"
	"omnirapeutic/platform/openapi"
)

// RecordedAt is the time at which TestContract records the examples of the document.
var RecordedAt = time.Date(2026, time.March, 2, 14, 0, 0, 0, time.UTC)

// contractAge is how long the document is cached, here and by browsers. It expires
// because its examples name records that change.
const contractAge = time.Minute

// defaultExampleWait is how long a request for the document waits for its examples.
const defaultExampleWait = 2 * time.Second

// contractCache caches the served document. Safe for concurrent use.
type contractCache struct {
	mu      sync.Mutex
	text    []byte
	builtAt time.Time
}

// document returns the API's document. If the demo practice is loaded, its example requests
// use [demo.Examples]. Otherwise, or if the database does not answer, it is the recorded
// document. Production never has the demo practice.
func (a *App) document(ctx context.Context) []byte {
	if a.config.Profile == config.Production {
		return contract
	}
	a.served.mu.Lock()
	defer a.served.mu.Unlock()
	now := a.clock()
	if age := now.Sub(a.served.builtAt); a.served.text != nil && age >= 0 && age < contractAge {
		return a.served.text
	}
	// The cached result also serves other requests.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.exampleWait)
	defer cancel()
	text, err := a.demoDocument(ctx, now)
	if err != nil {
		a.logger.WithError(err).WithField("event", "demo_examples_failed").
			Warn("the API's document is served without examples of the demo practice")
		text = contract
	}
	a.served.text, a.served.builtAt = text, now
	return text
}

// demoPractice returns the access that loading and reading the demo practice needs.
func (a *App) demoPractice(now time.Time) demo.Practice {
	return demo.Practice{
		Database:     a.database,
		Commands:     a.Commands,
		Directory:    a.Directory,
		Access:       a.Access,
		Events:       a.Events,
		Audit:        a.Audit,
		Appointments: a.AppointmentsAt,
		Billing:      a.BillingAt,
		NewID:        newID,
		Now:          now,
		Logger:       a.logger,
	}
}

// demoDocument returns the document with examples of the demo practice, or the recorded
// document if that is not loaded.
func (a *App) demoDocument(ctx context.Context, now time.Time) ([]byte, error) {
	values, err := a.demoPractice(now).Examples(ctx)
	if err != nil || values == nil {
		return contract, err
	}
	document, err := openapi.Parse(contract)
	if err != nil {
		return nil, err
	}
	e := exampleWriter{Examples: values, days: int(now.Sub(RecordedAt) / (24 * time.Hour))}
	for path, item := range objectIn(document, "paths").All() {
		for _, operation := range item.(*openapi.Object).All() {
			e.operation(path, operation.(*openapi.Object))
		}
	}
	info := objectIn(document, "info")
	description, _ := info.Get("description").(string)
	info.Set("description", description+"\n\n"+demo.Introduction())
	return document.Indented()
}

// objectIn returns a nested object by its path of members, or an empty one if it does
// not exist.
func objectIn(o *openapi.Object, path ...string) *openapi.Object {
	for _, name := range path {
		member, ok := o.Get(name).(*openapi.Object)
		if !ok {
			return &openapi.Object{}
		}
		o = member
	}
	return o
}

// exampleWriter replaces values in the examples of requests.
type exampleWriter struct {
	*demo.Examples
	days int // since the examples were recorded
}

func (e exampleWriter) operation(path string, operation *openapi.Object) {
	name, _ := operation.Get("operationId").(string)
	own := e.Requests[name]
	parameters, _ := operation.Get("parameters").([]any)
	for _, p := range parameters {
		e.parameter(path, p.(*openapi.Object), own.Parameters)
	}
	for _, media := range objectIn(operation, "requestBody", "content").All() {
		first := true
		for _, example := range objectIn(media.(*openapi.Object), "examples").All() {
			example := example.(*openapi.Object)
			value := e.value("", example.Get("value"))
			if body, ok := value.(*openapi.Object); ok && first {
				for _, member := range slices.Sorted(maps.Keys(own.Body)) {
					body.Set(member, own.Body[member])
				}
			}
			example.Set("value", value)
			first = false
		}
	}
}

// parameter sets the example of a parameter to the value for its operation, its
// collection or its name, in this order. Only the first adds examples to parameters
// without one.
func (e exampleWriter) parameter(path string, p *openapi.Object, own map[string]any) {
	name, _ := p.Get("name").(string)
	before, _, _ := strings.Cut(path, "/{"+name+"}")
	if value, ok := own[name]; ok {
		p.Set("example", value)
		return
	}
	if p.Get("example") == nil {
		return
	}
	for _, value := range []any{e.IDs[before], e.Fields[name]} {
		if value != nil {
			p.Set("example", value)
			return
		}
	}
}

// value returns a value for a body. Ids are replaced by the value for their member's name.
// Dates keep their distance from today.
func (e exampleWriter) value(name string, value any) any {
	switch v := value.(type) {
	case *openapi.Object:
		for member, inside := range v.All() {
			v.Set(member, e.value(member, inside))
		}
	case []any:
		for i := range v {
			v[i] = e.value(name, v[i])
		}
	case string:
		if id, ok := e.Fields[name]; ok {
			return id
		}
		return e.moved(v)
	}
	return value
}

func (e exampleWriter) moved(text string) string {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.AddDate(0, 0, e.days).Format(layout)
		}
	}
	return text
}
