package httpx

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"omnirapeutic/platform/identity"
)

// tagNeeds names the permission that a field requires in addition to the route's, as in
// `needs:"session:read-narrative"`. In an answer, the field is null for callers without
// it, in JSON and in tables. A request that gives the field is forbidden to them, so
// that callers cannot overwrite what they cannot see. See [identity.Caller.MaySee].
const tagNeeds = "needs"

// redaction clears the fields of a value that the caller may not see. It is nil if there are
// none.
type redaction func(v reflect.Value, caller identity.Caller)

// redactionOf returns the redaction of a type, and adds the permissions that its fields require.
// It panics if such a field cannot be null.
func redactionOf(t reflect.Type, needs *[]identity.Permission) redaction {
	return redactionBuilder{needs: needs, visiting: map[reflect.Type]bool{}}.of(t)
}

type redactionBuilder struct {
	needs    *[]identity.Permission
	visiting map[reflect.Type]bool // types being visited: a type may contain itself
}

func (m redactionBuilder) of(t reflect.Type) redaction {
	if t == nil || m.visiting[t] {
		return nil
	}
	m.visiting[t] = true
	defer delete(m.visiting, t)
	switch t.Kind() {
	case reflect.Pointer:
		return onElem(m.of(t.Elem()))
	case reflect.Slice, reflect.Array:
		return onEach(m.of(t.Elem()))
	case reflect.Map:
		if m.of(t.Elem()) != nil {
			panic(fmt.Sprintf("httpx: fields in a map cannot be masked: %s", t))
		}
	case reflect.Struct:
		return m.ofStruct(t)
	}
	return nil
}

func onElem(inner redaction) redaction {
	if inner == nil {
		return nil
	}
	return func(v reflect.Value, caller identity.Caller) {
		if !v.IsNil() {
			inner(v.Elem(), caller)
		}
	}
}

func onEach(inner redaction) redaction {
	if inner == nil {
		return nil
	}
	return func(v reflect.Value, caller identity.Caller) {
		for i := range v.Len() {
			inner(v.Index(i), caller)
		}
	}
}

func (m redactionBuilder) ofStruct(t reflect.Type) redaction {
	var all []redaction
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
			if !caller.MaySee(needed) {
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

// redactionOfAnswer returns the redaction of answers of the type, given as pointers, and the
// distinct permissions that its fields require.
func redactionOfAnswer[Out any]() (apply func(ctx context.Context, answer *Out) error, needs []identity.Permission) {
	m := redactionOf(reflect.TypeFor[Out](), &needs)
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

// requireVisible returns [identity.ErrForbidden] for a merge patch that gives a field the
// caller may not see.
func (b *binder) requireVisible(ctx context.Context, v reflect.Value) error {
	for _, m := range b.plan.members {
		if m.needs == "" || !v.FieldByIndex(m.index).Field(0).Bool() {
			continue
		}
		caller, err := identity.From(ctx)
		if err != nil {
			return err
		}
		if !caller.MaySee(m.needs) {
			return identity.ErrForbidden.With(identity.Denial{Permission: m.needs},
				"You cannot change the field %s without permission to see it. This requires the permission %s.", m.name, m.needs)
		}
	}
	return nil
}
