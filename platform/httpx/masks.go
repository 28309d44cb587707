package httpx

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"omnirapeutic/platform/identity"
)

// tagNeeds names the permission that a field needs beside that of the route, as
// `needs:"session:read-narrative"`. In an answer, the field is null for callers who
// may not see it, in JSON and in tables alike. In a request, giving it at all is
// forbidden to them: nobody overwrites, or clears, what they cannot see. See
// [identity.Caller.Shows].
const tagNeeds = "needs"

// mask clears fields of a value that callers may not see; nil: it has none.
type mask func(v reflect.Value, caller identity.Caller)

// maskOf returns the mask of a type, and adds the permissions that its fields need. It
// panics where such a field cannot be null.
func maskOf(t reflect.Type, needs *[]identity.Permission) mask {
	return masks{needs: needs, within: map[reflect.Type]bool{}}.of(t)
}

type masks struct {
	needs  *[]identity.Permission
	within map[reflect.Type]bool // what is being looked at: types may contain themselves
}

func (m masks) of(t reflect.Type) mask {
	if t == nil || m.within[t] {
		return nil
	}
	m.within[t] = true
	defer delete(m.within, t)
	switch t.Kind() {
	case reflect.Pointer:
		return onElem(m.of(t.Elem()))
	case reflect.Slice, reflect.Array:
		return onEach(m.of(t.Elem()))
	case reflect.Map:
		if m.of(t.Elem()) != nil {
			panic(fmt.Sprintf("httpx: fields in a map cannot be masked, as those of %s", t))
		}
	case reflect.Struct:
		return m.ofStruct(t)
	}
	return nil
}

func onElem(inner mask) mask {
	if inner == nil {
		return nil
	}
	return func(v reflect.Value, caller identity.Caller) {
		if !v.IsNil() {
			inner(v.Elem(), caller)
		}
	}
}

func onEach(inner mask) mask {
	if inner == nil {
		return nil
	}
	return func(v reflect.Value, caller identity.Caller) {
		for i := range v.Len() {
			inner(v.Index(i), caller)
		}
	}
}

func (m masks) ofStruct(t reflect.Type) mask {
	var all []mask
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() && !f.Anonymous {
			continue
		}
		needed := identity.Permission(f.Tag.Get(tagNeeds))
		if needed == "" {
			if inner := m.of(f.Type); inner != nil {
				all = append(all, func(v reflect.Value, caller identity.Caller) { inner(v.Field(i), caller) })
			}
			continue
		}
		if f.Type.Kind() != reflect.Pointer {
			panic(fmt.Sprintf("httpx: %s.%s needs a permission and cannot be null without it", t, f.Name))
		}
		*m.needs = append(*m.needs, needed)
		all = append(all, func(v reflect.Value, caller identity.Caller) {
			if !caller.Shows(needed) {
				v.Field(i).SetZero()
			}
		})
	}
	if len(all) == 0 {
		return nil
	}
	return func(v reflect.Value, caller identity.Caller) {
		for _, each := range all {
			each(v, caller)
		}
	}
}

// answerMask returns what masks answers of the type, given as pointers, and the
// permissions that its fields need, each once.
func answerMask[Out any]() (apply func(ctx context.Context, answer *Out) error, needs []identity.Permission) {
	m := maskOf(reflect.TypeFor[Out](), &needs)
	slices.Sort(needs)
	needs = slices.Compact(needs)
	return func(ctx context.Context, answer *Out) error {
		if m == nil {
			return nil
		}
		caller, err := identity.From(ctx)
		if err == nil {
			m(reflect.ValueOf(answer).Elem(), caller)
		}
		return err
	}, needs
}

// requireShown refuses a request that gives a field of a merge patch which its caller
// may not see. The error is [identity.ErrForbidden].
func (b *binder) requireShown(ctx context.Context, v reflect.Value) error {
	for _, m := range b.shape.members {
		if m.needs == "" || !v.FieldByIndex(m.index).Field(0).Bool() {
			continue
		}
		caller, err := identity.From(ctx)
		if err != nil {
			return err
		}
		if !caller.Shows(m.needs) {
			return identity.ErrForbidden.With(identity.Denial{Permission: m.needs},
				"The field %s can be changed by those who may see it. This needs the permission %s.", m.name, m.needs)
		}
	}
	return nil
}
