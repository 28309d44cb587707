package openapi

import (
	"reflect"

	"omnirapeutic/platform/fault"
)

var typeReason = reflect.TypeFor[fault.Reason]()

// reason is the schema of [fault.Reason]: for each error that occurs as a reason, its code with the details of that
// error.
func (s *schemas) reason() Object {
	var each []Object
	mapping := Object{}
	for _, f := range fault.All() {
		if !f.IsReason() {
			continue
		}
		name := joined(f.Code(), "-") + "Reason"
		s.types[name] = typeReason
		s.named.Set(name, s.reasonOf(f))
		ref := "#/components/schemas/" + name
		each = append(each, Object{{"$ref", ref}})
		mapping.Set(f.Code(), ref)
	}
	return Object{
		{"description", s.describe(typeReason)},
		{"oneOf", each},
		{"discriminator", Object{{"propertyName", "code"}, {"mapping", mapping}}},
	}
}

func (s *schemas) reasonOf(f *fault.Error) Object {
	properties, required := s.members(typeReason, given)
	for i := range properties {
		switch properties[i].name {
		case "code":
			properties[i].value = Object{{"type", "string"}, {"const", f.Code()}}
		case "details":
			properties[i].value = Object{{"type", "null"}, {"description", "Null: a problem document of this code adds no members."}}
			if details := f.Carries(); details != nil {
				properties[i].value = s.objectWith("The members that a problem document of this code adds.", reflect.TypeOf(details), given)
			}
		}
	}
	return Object{
		{"type", "object"},
		{"description", f.Title()},
		{"properties", properties},
		{"required", required},
		{"additionalProperties", false},
	}
}
