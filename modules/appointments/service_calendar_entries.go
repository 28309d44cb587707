package appointments

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/outbox"
	"omnirapeutic/platform/permission"
	"omnirapeutic/platform/record"
	"omnirapeutic/platform/scheduling"
	"omnirapeutic/platform/trail"
)

// EntryService manages the time of practitioners without patients.
type EntryService struct {
	base
	entries entryStore
}

// CreateEntry writes a calendar entry, during which its practitioners cannot be booked. It waits for running
// bookings. The refusal has a reason for each practitioner who is not free: [ErrPractitionerOverlap],
// [ErrPractitionerBusy]. The error is also [fault.ErrInvalid].
func (s *EntryService) CreateEntry(ctx context.Context, e CalendarEntry) (CalendarEntry, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return CalendarEntry{}, err
	}
	e.Span = e.utc()
	e.OrganizationID, e.ID, e.CreatedBy, e.CreatedAt = caller.OrganizationID, s.NewID(), caller.UserID, s.now()
	if err := errorOf(append(e.fieldErrors(), staffErrors(e.Practitioners)...)); err != nil {
		return CalendarEntry{}, err
	}
	zone, err := s.Directory.TimeZone(ctx, caller.OrganizationID)
	if err != nil {
		return CalendarEntry{}, err
	}
	stored := func(ctx context.Context) (bool, error) {
		_, err := s.entries.entry(ctx, e.ID)
		if errors.Is(err, ErrEntryNotFound) {
			return false, nil
		}
		return err == nil, err
	}
	options := append(s.Engine.WaitForBatches(), db.ProvenBy(stored))
	return db.Serializable(ctx, s.Database, "calendar-entry.create", func(ctx context.Context) (CalendarEntry, error) {
		if db.InDoubt(ctx) { // an earlier attempt may have committed: see db.ProvenBy
			if exists, err := stored(ctx); exists || err != nil {
				return e, err
			}
		}
		if err := s.requireFree(ctx, e, zone); err != nil {
			return CalendarEntry{}, err
		}
		if err := s.entries.insertEntry(ctx, e); err != nil {
			return CalendarEntry{}, err
		}
		return e, s.record(ctx, caller, EventEntryCreated, e, e.CreatedAt)
	}, options...)
}

// fieldErrors returns the errors that do not depend on stored state.
func (e CalendarEntry) fieldErrors() []fault.Field {
	fieldErrors := e.Span.fieldErrors()
	if e.Miles != nil && e.Kind != EntryDrive {
		fieldErrors = append(fieldErrors, fault.Field{
			Field: "miles", Code: "excluded_unless", Message: "must not be given unless kind is DRIVE",
		})
	}
	return fieldErrors
}

// requireFree returns an error for unknown practitioners and locations, and for practitioners who are not free.
func (s *EntryService) requireFree(ctx context.Context, e CalendarEntry, zone *time.Location) error {
	var q scheduling.Query
	n := needs{staff: map[record.Key][]Span{}}
	for _, id := range e.Practitioners {
		key := record.Of(e.OrganizationID, id)
		q.Practitioners = append(q.Practitioners, key)
		n.staff[key] = []Span{e.Span}
	}
	if e.LocationID != nil {
		q.Locations = []record.Key{record.Of(e.OrganizationID, *e.LocationID)}
	}
	rules, err := s.Directory.SchedulingRules(ctx, q)
	if err != nil {
		return err
	}
	var fieldErrors []fault.Field
	for i, key := range q.Practitioners {
		if _, known := rules.Practitioners[key]; !known {
			fieldErrors = append(fieldErrors, fault.Field{
				Field: fmt.Sprintf("practitionerIds[%d]", i), Code: "reference", Message: "does not exist",
			})
		}
	}
	for _, key := range q.Locations {
		if _, known := rules.Locations[key]; !known {
			fieldErrors = append(fieldErrors, fault.Field{Field: "locationId", Code: "reference", Message: "does not exist"})
		}
	}
	if len(fieldErrors) > 0 {
		return fault.InvalidFields(fieldErrors...)
	}
	found, err := s.store.slots(ctx, n)
	if err != nil {
		return err
	}
	busy := Appointment{OrganizationID: e.OrganizationID, ID: e.ID, Span: e.Span, Practitioners: e.Practitioners}
	if refusal := refusalOf(found.overlaps(busy, rules, zone)); refusal != nil {
		return refusal
	}
	return nil
}

// record publishes and audits a change of an entry. Titles stay in the record.
func (s *EntryService) record(
	ctx context.Context, caller identity.Caller, event string, e CalendarEntry, at time.Time,
) error {
	change := EntryChange{e.ID, e.Kind, e.Practitioners, e.Start, e.End}
	err := s.Events.Publish(ctx, []outbox.Message{{
		OrganizationID: e.OrganizationID, Type: event, SubjectID: e.ID, Permission: permission.AppointmentRead,
		OccurredAt: at, Payload: change,
	}})
	if err != nil {
		return err
	}
	recorded := trail.By(caller)
	recorded.Action, recorded.SubjectType, recorded.SubjectID, recorded.OccurredAt = event, "calendar-entry", e.ID, at
	if recorded.After = change; event == EventEntryDeleted {
		recorded.Before, recorded.After = change, nil
	}
	return s.Audit.Record(ctx, []trail.Event{recorded})
}

// Entry returns a calendar entry within the caller's record scope. The error is [ErrEntryNotFound].
func (s *EntryService) Entry(ctx context.Context, id uuid.UUID) (CalendarEntry, error) {
	return db.Snapshot(ctx, s.Database, "calendar-entry.get", func(ctx context.Context) (CalendarEntry, error) {
		return s.entries.entry(ctx, id)
	})
}

// Entries returns the calendar entries that match the filter, within the caller's record scope, sorted by start.
func (s *EntryService) Entries(ctx context.Context, f EntryFilter, page db.Keyset) ([]CalendarEntry, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return nil, err
	}
	zone, err := s.Directory.TimeZone(ctx, caller.OrganizationID)
	if err != nil {
		return nil, err
	}
	return db.Snapshot(ctx, s.Database, "calendar-entry.list", func(ctx context.Context) ([]CalendarEntry, error) {
		return s.entries.entries(ctx, f, f.Days.in(zone), page)
	})
}

// DeleteEntry deletes a calendar entry. The audit trail keeps its kind, times and practitioners. The error is
// [ErrEntryNotFound].
func (s *EntryService) DeleteEntry(ctx context.Context, id uuid.UUID) error {
	caller, err := identity.From(ctx)
	if err != nil {
		return err
	}
	now := s.now()
	_, err = db.Serializable(ctx, s.Database, "calendar-entry.delete", func(ctx context.Context) (struct{}, error) {
		e, err := s.entries.entry(ctx, id)
		if err != nil {
			return struct{}{}, err
		}
		if err := s.entries.deleteEntry(ctx, e); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, s.record(ctx, caller, EventEntryDeleted, e, now)
	})
	return err
}
