package httpx

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/google/uuid"

	"omnirapeutic/platform/fault"
)

// ParamExpand is the query parameter that names the references to expand. The app reads it, so that endpoints and
// cursors do not depend on it.
const ParamExpand = "expand"

// tagRefers declares a member of an answer as the record to which an id refers: the kind of the record and, unless it
// follows from the member's name, the name of the id. The member patient has the id patientId, and practitioners has
// the ids practitionerIds:
//
//	type appointmentReferences struct {
//		httpx.Displayed
//		Patient    httpx.Expanded `json:"patient,omitempty" refers:"patient"`
//		Supervisor httpx.Expanded `json:"supervisor,omitempty" refers:"practitioner,supervisingPractitionerId"`
//	}
//
// A body embeds such a struct. The text of the reference is the member of [Display] with the same name.
const tagRefers = "refers"

// Expanded is the record to which an id refers. It is absent unless the request expands the reference, and null if the
// caller may not read the record.
type Expanded any

// Displayed has the texts of the references of an object. Embed it in the references of a body; see [Expanded].
type Displayed struct {
	// The names, codes and numbers of the records to which the ids refer. Only in answers of reads.
	Display *Display `json:"display,omitempty"`
}

// Display has a text for each id of an object that refers to a record. A member is absent if the object has no such
// id, or if the caller may not read the text.
type Display struct {
	// The first and the last name of the patient.
	Patient *string `json:"patient,omitempty"`
	// The first and the last name of the practitioner.
	Practitioner *string `json:"practitioner,omitempty"`
	// The first and the last names of the practitioners, in the order of their ids.
	Practitioners []string `json:"practitioners,omitempty"`
	// The first and the last name of the supervising practitioner.
	Supervisor *string `json:"supervisor,omitempty"`
	// The first and the last name of the rendering practitioner.
	RenderingPractitioner *string `json:"renderingPractitioner,omitempty"`
	// The code of the service.
	ServiceCode *string `json:"serviceCode,omitempty"`
	// The number that the payer gave the authorization.
	Authorization *string `json:"authorization,omitempty"`
	// The number of the authorization that follows.
	Renewal *string `json:"renewal,omitempty"`
	// The name of the location.
	Location *string `json:"location,omitempty"`
	// The name of the payer of the object, of its insurance or of its authorization.
	Payer *string `json:"payer,omitempty"`
	// The name of the payer of the insurance.
	Insurance *string `json:"insurance,omitempty"`
	// The units of the authorization that are neither used nor scheduled, at the time of the answer.
	AvailableUnits *int `json:"availableUnits,omitempty"`
}

// Reference is a member of an answer that can be expanded.
type Reference struct{ Name, Kind string }

// WantedRecords are the ids of one kind to which an answer refers.
type WantedRecords struct {
	Texts  []uuid.UUID // the ids whose texts are shown
	Bodies []uuid.UUID // the ids that are expanded
}

// RecordText is the text of a record, with what its references also show.
type RecordText struct {
	Text           string // "": none
	Payer          string // of an insurance or an authorization; "": none or not known
	AvailableUnits *int   // of an authorization
}

// FoundRecords are the texts and the bodies that the caller may see. Others are missing.
type FoundRecords struct {
	Texts  map[uuid.UUID]*RecordText
	Bodies map[uuid.UUID]any
}

// Resolve reads the records of each kind.
type Resolve func(ctx context.Context, wanted map[string]WantedRecords) (map[string]FoundRecords, error)

type referencesKey struct{}

// resolution is what a request needs for its references.
type resolution struct {
	resolve Resolve
	expand  []string
}

// WithReferences returns a context in which answers have the texts of their references, and the expanded records.
func WithReferences(ctx context.Context, resolve Resolve, expand []string) context.Context {
	return context.WithValue(ctx, referencesKey{}, resolution{resolve, expand})
}

// expands reports whether answers in the context can be expanded.
func expands(ctx context.Context) bool {
	_, ok := ctx.Value(referencesKey{}).(resolution)
	return ok
}

// ParseExpand returns the names in the values of [ParamExpand], which may be separated by commas. The error is
// [ErrMalformed] with the known names.
func (e Endpoint) ParseExpand(values []string) ([]string, error) {
	known := make([]string, len(e.References))
	for i, r := range e.References {
		known[i] = r.Name
	}
	var names []string
	var unknown []fault.Field
	for _, value := range values {
		for name := range strings.SplitSeq(value, ",") {
			if slices.Contains(known, name) {
				names = append(names, name)
				continue
			}
			f := unknownField(ParamExpand, shortened(strings.ToValidUTF8(name, "?")), known)
			unknown = append(unknown, f)
		}
	}
	if len(unknown) > 0 {
		unknown = unknown[:min(len(unknown), maxUnknownQueries)]
		return nil, ErrMalformed.With(unknownParameters{unknown}, "Unknown value of expand%s. The known values are %s.",
			strings.TrimPrefix(unknown[0].Message, unknownText), strings.Join(known, ", "))
	}
	return names, nil
}

// reference is a reference of a struct.
type reference struct {
	Reference
	id       []int // index of the id: a uuid.UUID, a pointer to one, or a list of them
	expanded []int
	display  []int // index into Display; nil: it has no such member
}

// referencePlan describes where a type has references.
type referencePlan struct {
	references []reference
	display    []int
	parts      [][]int        // indexes of the members of a struct that have references
	inner      *referencePlan // of an element or of the target of a pointer
	members    []*referencePlan
}

// referencesOf returns the plan of a type, or nil if it has no references. It panics on a reference without an id.
func referencesOf(t reflect.Type, visiting map[reflect.Type]bool) *referencePlan {
	if t == nil || visiting[t] {
		return nil
	}
	visiting[t] = true
	defer delete(visiting, t)
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice:
		if inner := referencesOf(t.Elem(), visiting); inner != nil {
			return &referencePlan{inner: inner}
		}
	case reflect.Struct:
		return referencesOfStruct(t, visiting)
	}
	return nil
}

func referencesOfStruct(t reflect.Type, visiting map[reflect.Type]bool) *referencePlan {
	p := &referencePlan{}
	indexes := map[string][]int{}
	fields := reflect.VisibleFields(t)
	for _, f := range fields {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); f.IsExported() && name != "" && name != "-" {
			indexes[name] = f.Index
		}
	}
	for _, f := range fields {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || f.Anonymous || name == "-" {
			continue
		}
		if tag, ok := f.Tag.Lookup(tagRefers); ok {
			r := reference{Reference: Reference{Name: name}, expanded: f.Index}
			var id string
			r.Kind, id, _ = strings.Cut(tag, ",")
			if r.id = indexes[id]; id == "" {
				r.id = indexes[idOf(name)]
			}
			if r.id == nil {
				panic(fmt.Sprintf("httpx: %s.%s refers to a record and has no id", t, f.Name))
			}
			if shown, ok := reflect.TypeFor[Display]().FieldByName(f.Name); ok {
				r.display = shown.Index
			}
			p.references = append(p.references, r)
		} else if inner := referencesOf(f.Type, visiting); inner != nil {
			p.parts, p.members = append(p.parts, f.Index), append(p.members, inner)
		}
	}
	if p.display = indexes["display"]; len(p.references) > 0 && p.display == nil {
		panic(fmt.Sprintf("httpx: %s has references and does not embed Displayed", t))
	}
	if len(p.references)+len(p.parts) == 0 {
		return nil
	}
	return p
}

// idOf returns the name of the id of a reference: practitionerIds of practitioners.
func idOf(name string) string {
	if single, ok := strings.CutSuffix(name, "s"); ok {
		return single + "Ids"
	}
	return name + "Id"
}

// names appends the references of the plan to the found ones, each name once.
func (p *referencePlan) names(found []Reference) []Reference {
	if p == nil {
		return found
	}
	for _, r := range p.references {
		if !slices.Contains(found, r.Reference) {
			found = append(found, r.Reference)
		}
	}
	found = p.inner.names(found)
	for _, m := range p.members {
		found = m.names(found)
	}
	return found
}

// visit calls fn for each struct with references in the value.
func (p *referencePlan) visit(v reflect.Value, fn func(v reflect.Value, p *referencePlan)) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			p.inner.visit(v.Elem(), fn)
		}
	case reflect.Slice:
		for i := range v.Len() {
			p.inner.visit(v.Index(i), fn)
		}
	default:
		if len(p.references) > 0 {
			fn(v, p)
		}
		for i, index := range p.parts {
			p.members[i].visit(v.FieldByIndex(index), fn)
		}
	}
}

// object is a struct with references in an answer.
type object struct {
	value reflect.Value
	plan  *referencePlan
}

// refer fills in the texts and the expanded records of an answer, given as a pointer. It does nothing in a context
// without [WithReferences].
func (p *referencePlan) refer(ctx context.Context, answer reflect.Value) error {
	request, ok := ctx.Value(referencesKey{}).(resolution)
	if p == nil || !ok {
		return nil
	}
	var objects []object
	p.visit(answer, func(v reflect.Value, p *referencePlan) { objects = append(objects, object{v, p}) })
	wanted := wantedBy(objects, request.expand)
	if len(wanted) == 0 {
		return nil
	}
	found, err := request.resolve(ctx, wanted)
	if err != nil {
		return err
	}
	displays := make([]Display, len(objects))
	for i, o := range objects {
		var further Display
		display := reflect.ValueOf(&displays[i]).Elem()
		for _, r := range o.plan.references {
			r.fill(o.value, display, &further, found[r.Kind])
			if slices.Contains(request.expand, r.Name) {
				r.expand(o.value, found[r.Kind])
			}
		}
		displays[i].Payer = cmp.Or(displays[i].Payer, further.Payer)
		displays[i].AvailableUnits = further.AvailableUnits
		o.value.FieldByIndex(o.plan.display).Set(reflect.ValueOf(&displays[i]))
	}
	return nil
}

// wantedBy returns the distinct ids to which objects refer, by kind.
func wantedBy(objects []object, expand []string) map[string]WantedRecords {
	type records struct {
		WantedRecords
		texts, bodies map[uuid.UUID]bool
	}
	found := map[string]*records{}
	var one [1]uuid.UUID
	for _, o := range objects {
		for _, r := range o.plan.references {
			w := found[r.Kind]
			if w == nil {
				w = &records{texts: map[uuid.UUID]bool{}, bodies: map[uuid.UUID]bool{}}
				found[r.Kind] = w
			}
			expanded := slices.Contains(expand, r.Name)
			for _, id := range r.ids(o.value, &one) {
				if r.display != nil && !w.texts[id] {
					w.texts[id], w.Texts = true, append(w.Texts, id)
				}
				if expanded && !w.bodies[id] {
					w.bodies[id], w.Bodies = true, append(w.Bodies, id)
				}
			}
		}
	}
	wanted := map[string]WantedRecords{}
	for kind, w := range found {
		if len(w.Texts)+len(w.Bodies) > 0 {
			wanted[kind] = w.WantedRecords
		}
	}
	return wanted
}

// ids returns the ids of the reference. It stores a single id in one, so that it allocates nothing.
func (r reference) ids(v reflect.Value, one *[1]uuid.UUID) []uuid.UUID {
	switch id := v.FieldByIndex(r.id).Addr().Interface().(type) {
	case *uuid.UUID:
		if *id != uuid.Nil {
			one[0] = *id
			return one[:]
		}
	case **uuid.UUID:
		if *id != nil {
			one[0] = **id
			return one[:]
		}
	case *[]uuid.UUID:
		return *id
	default:
		panic(fmt.Sprintf("httpx: the reference %s of %s has an id of the type %T", r.Name, v.Type(), id))
	}
	return nil
}

// many reports whether the reference has a list of ids.
func (r reference) many(v reflect.Value) bool { return v.FieldByIndex(r.id).Kind() == reflect.Slice }

// noRecord is the body of a record that the caller may not read.
var noRecord = json.RawMessage("null")

// fill sets the text of the reference. What the authorization or the insurance of an object also shows goes to further;
// other references to such records, as the renewal of an authorization, show only their text.
func (r reference) fill(v, display reflect.Value, further *Display, found FoundRecords) {
	var one [1]uuid.UUID
	ids := r.ids(v, &one)
	if r.display == nil || len(ids) == 0 {
		return
	}
	if r.many(v) {
		texts := make([]string, len(ids))
		for i, id := range ids {
			if text := found.Texts[id]; text != nil {
				texts[i] = text.Text
			}
		}
		display.FieldByIndex(r.display).Set(reflect.ValueOf(texts))
		return
	}
	text := found.Texts[ids[0]]
	if text == nil {
		return
	}
	if text.Text != "" {
		display.FieldByIndex(r.display).Set(reflect.ValueOf(&text.Text))
	}
	if r.Name == r.Kind {
		if text.Payer != "" {
			further.Payer = &text.Payer
		}
		further.AvailableUnits = cmp.Or(text.AvailableUnits, further.AvailableUnits)
	}
}

// expand sets the record of the reference.
func (r reference) expand(v reflect.Value, found FoundRecords) {
	var one [1]uuid.UUID
	ids := r.ids(v, &one)
	bodies := make([]any, len(ids))
	for i, id := range ids {
		bodies[i] = noRecord
		if body, ok := found.Bodies[id]; ok {
			bodies[i] = body
		}
	}
	var record any = noRecord
	switch {
	case r.many(v):
		record = bodies
	case len(bodies) > 0:
		record = bodies[0]
	}
	v.FieldByIndex(r.expanded).Set(reflect.ValueOf(record))
}

// Redact clears the fields of a body that the caller of the context may not see; see [Handle].
func Redact[B any](ctx context.Context, body *B) error {
	apply, _ := redactionOfAnswer[B]()
	return apply(ctx, body)
}
