package directory

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/trail"
)

// Audit keeps who did what.
type Audit interface {
	// Record keeps the events if, and only if, the transaction of the context commits.
	Record(ctx context.Context, events []trail.Event) error
}

// told says what the audit trail keeps of a noun's fields.
type told struct {
	// values names the fields, as in the API, whose values are kept; of all others the
	// trail says only that they were changed. So what is added to a person's record
	// stays out until somebody decides otherwise.
	values []string
	// all has every value kept: of rules that are about nobody.
	all bool
}

// unremarkable are fields that say nothing of what was changed.
var unremarkable = []string{"id", "organizationId", "version", "createdAt", "updatedAt"}

// recordEvent keeps that a record was entered, where before is nil, or changed.
func recordEvent(ctx context.Context, s *Service, t told, name string, patient *uuid.UUID, before, after any, head Record) error {
	e := by(ctx, head.OrganizationID)
	e.Action, e.SubjectType, e.SubjectID, e.PatientID, e.OccurredAt = name+".create", name, head.ID, patient, head.UpdatedAt
	was, is := fieldsOf(before), fieldsOf(after)
	if before != nil {
		e.Action = name + ".change"
		changed := slices.Sorted(maps.Keys(is))
		changed = slices.DeleteFunc(changed, func(field string) bool {
			return string(was[field]) == string(is[field]) || slices.Contains(unremarkable, field)
		})
		is["changed"], _ = json.Marshal(changed) // of texts: never fails
		e.Before = t.keep(was, changed)
		e.After = t.keep(is, append(changed, "changed"))
	} else {
		e.After = t.keep(is, slices.Collect(maps.Keys(is)))
	}
	return s.audit.Record(ctx, []trail.Event{e})
}

// keep returns those of the fields that may be kept, and the version.
func (t told) keep(fields map[string]json.RawMessage, among []string) map[string]json.RawMessage {
	kept := map[string]json.RawMessage{"version": fields["version"]}
	for _, name := range among {
		if name == "changed" || !slices.Contains(unremarkable, name) && (t.all || slices.Contains(t.values, name)) {
			kept[name] = fields[name]
		}
	}
	return kept
}

// by begins an event in an organization, of the caller or, where nobody is signed
// in, of the program.
func by(ctx context.Context, organization uuid.UUID) trail.Event {
	caller, err := identity.From(ctx)
	if err != nil {
		caller = identity.System(organization)
	}
	e := trail.By(caller)
	e.OrganizationID = organization
	return e
}

// fieldsOf returns the fields of a record as the API shows them.
func fieldsOf(record any) map[string]json.RawMessage {
	fields := map[string]json.RawMessage{}
	if record == nil {
		return fields
	}
	text, err := json.Marshal(record)
	if err == nil {
		err = json.Unmarshal(text, &fields)
	}
	if err != nil {
		panic(err) // the API shows them in the same way
	}
	return fields
}

// recordOrganization keeps that an organization was made, where before is nil, or changed.
func (s *Service) recordOrganization(ctx context.Context, before, after *Organization, now time.Time) error {
	var was any
	if before != nil {
		was = *before
	}
	head := Record{ID: after.ID, OrganizationID: after.ID, UpdatedAt: now}
	return recordEvent(ctx, s, told{all: true}, "organization", nil, was, *after, head)
}

// recordPairs keeps which services could run together, and which can now.
func (s *Service) recordPairs(ctx context.Context, before, after ServicePairs) error {
	caller, err := identity.From(ctx)
	if err != nil {
		return err
	}
	e := trail.By(caller)
	e.Action, e.SubjectType, e.SubjectID, e.OccurredAt = "service-pairs.change", "organization", caller.OrganizationID, s.now()
	e.Before, e.After = before, after
	return s.audit.Record(ctx, []trail.Event{e})
}
