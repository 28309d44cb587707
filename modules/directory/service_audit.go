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

// auditedFields selects the fields of a noun whose values the audit trail stores.
type auditedFields struct {
	// values are the names, as in the API, of the fields whose values are stored. For other fields
	// the trail stores only that they have changed. So new fields of personal records stay out by
	// default.
	values []string
	// all stores every value, for rules without personal data.
	all bool
}

// unreportedFields are fields that are not reported as changed.
var unreportedFields = []string{"id", "organizationId", "version", "createdAt", "updatedAt"}

// recordEvent records that a record was created (before is nil) or changed.
func recordEvent(
	ctx context.Context, s *Service, t auditedFields, name string, patient *uuid.UUID, before, after any, head Record,
) error {
	e := eventBy(ctx, head.OrganizationID)
	e.Action, e.SubjectType, e.SubjectID, e.PatientID, e.OccurredAt = name+".create", name, head.ID, patient,
		head.UpdatedAt
	beforeFields, afterFields := fieldsOf(before), fieldsOf(after)
	if before != nil {
		e.Action = name + ".change"
		changed := slices.Sorted(maps.Keys(afterFields))
		changed = slices.DeleteFunc(changed, func(field string) bool {
			return string(beforeFields[field]) == string(afterFields[field]) || slices.Contains(unreportedFields, field)
		})
		afterFields["changed"], _ = json.Marshal(changed) // never fails for texts
		e.Before = t.keep(beforeFields, changed)
		e.After = t.keep(afterFields, append(changed, "changed"))
	} else {
		e.After = t.keep(afterFields, slices.Collect(maps.Keys(afterFields)))
	}
	return s.audit.Record(ctx, []trail.Event{e})
}

// keep returns the fields whose values are stored, and the version.
func (t auditedFields) keep(fields map[string]json.RawMessage, among []string) map[string]json.RawMessage {
	stored := map[string]json.RawMessage{"version": fields["version"]}
	for _, name := range among {
		if name == "changed" || !slices.Contains(unreportedFields, name) && (t.all || slices.Contains(t.values, name)) {
			stored[name] = fields[name]
		}
	}
	return stored
}

// eventBy returns an event in an organization, whose actor is the caller or, without one, the program.
func eventBy(ctx context.Context, organization uuid.UUID) trail.Event {
	caller, err := identity.From(ctx)
	if err != nil {
		caller = identity.System(organization)
	}
	e := trail.By(caller)
	e.OrganizationID = organization
	return e
}

// fieldsOf returns the fields of a record as in the API.
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
		panic(err) // the API encodes them in the same way
	}
	return fields
}

// recordOrganization records that an organization was created (before is nil) or changed.
func (s *Service) recordOrganization(ctx context.Context, before, after *Organization, now time.Time) error {
	var previous any
	if before != nil {
		previous = *before
	}
	head := Record{ID: after.ID, OrganizationID: after.ID, UpdatedAt: now}
	return recordEvent(ctx, s, auditedFields{all: true}, "organization", nil, previous, *after, head)
}

// recordPairs records the pairs before and after a change.
func (s *Service) recordPairs(ctx context.Context, before, after ServicePairs) error {
	caller, err := identity.From(ctx)
	if err != nil {
		return err
	}
	e := trail.By(caller)
	e.Action, e.SubjectType, e.SubjectID, e.OccurredAt = "service-pairs.change", "organization", caller.OrganizationID,
		s.now()
	e.Before, e.After = before, after
	return s.audit.Record(ctx, []trail.Event{e})
}
