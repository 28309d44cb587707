package authorization

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/trail"
)

// Subject is the subject of this module's audit events.
const Subject = "authorization"

// show records that an authorization is returned to the caller.
func show(ctx context.Context, authorization, patient uuid.UUID) {
	trail.Show(ctx, trail.Subject{Type: Subject, ID: authorization, PatientID: patient})
}

// movement is the audit trail's record of an operation on units. Its ledger entries have more
// details.
type movement struct {
	OperationID    uuid.UUID   `json:"operationId"`
	ReservationIDs []uuid.UUID `json:"reservationIds,omitempty"`
	counters
}

// counters has an authorization's counters, in units.
type counters struct {
	Total     int `json:"totalUnits"`
	Used      int `json:"usedUnits"`
	Scheduled int `json:"scheduledUnits"`
}

// unitEvent returns the audit event of an accepted operation with entries.
func unitEvent(op Operation, o Outcome, now time.Time) trail.Event {
	a := o.Authorization
	first, last := o.Entries[0], o.Entries[len(o.Entries)-1]
	after := movement{OperationID: op.ID, counters: counters(last.After())}
	for _, r := range o.Reservations {
		after.ReservationIDs = append(after.ReservationIDs, r.ID)
	}
	return trail.Event{
		OrganizationID: a.OrganizationID, ActorID: op.ActorID, RequestID: op.RequestID, Address: op.Address,
		GrantID: op.GrantID,
		Action:  Subject + "." + string(op.Kind), SubjectType: Subject, SubjectID: a.ID, PatientID: new(a.PatientID),
		Before: counters(first.before()), After: after, OccurredAt: now,
	}
}

// before returns the counters before the entry.
func (e Entry) before() Balance {
	b := e.After()
	switch e.Kind {
	case Reserve:
		b.Scheduled -= e.Units
	case Release, Expire:
		b.Scheduled += e.Units
	case Consume:
		b.Scheduled, b.Used = b.Scheduled+e.Units, b.Used-e.Units
	case Reverse:
		b.Used += e.Units
	case Adjust:
		b.Total -= e.Units
	}
	return b
}

// terms is the audit trail's record of an authorization's terms. If the number or the notes
// changed, only the field names are recorded.
type terms struct {
	InsuranceID   *uuid.UUID    `json:"insuranceId"`
	ServiceCodeID uuid.UUID     `json:"serviceCodeId"`
	Modifiers     string        `json:"modifiers"`
	TotalUnits    int           `json:"totalUnits"`
	StartDate     calendar.Date `json:"startDate"`
	EndDate       calendar.Date `json:"endDate"`
	Status        Status        `json:"status"`
	Caps          []recordedCap `json:"caps"`
	Version       int           `json:"version"`
	Changed       []string      `json:"changed,omitempty"`
	Reason        *string       `json:"reason,omitempty"` // the given reason for the change
}

// recordedCap is the audit trail's record of a cap.
type recordedCap struct {
	Period Period `json:"period"`
	Units  int    `json:"units"`
}

func recordedCaps(c Caps) []recordedCap {
	all := []recordedCap{}
	for _, each := range c.List() {
		all = append(all, recordedCap(each))
	}
	return all
}

func termsOf(a Authorization) terms {
	return terms{
		InsuranceID: a.InsuranceID, ServiceCodeID: a.ServiceCodeID, Modifiers: string(a.Modifiers), TotalUnits: a.Total,
		StartDate: a.StartDate, EndDate: a.EndDate, Status: a.Decision, Caps: recordedCaps(a.Caps), Version: a.Version,
	}
}

// recordTerms records that the caller has created (before is nil), changed, or deleted (after is
// nil) an authorization, with the given reason.
func (s *TermsService) recordTerms(
	ctx context.Context, verb string, before, after *Authorization, reason *string, now time.Time,
) error {
	caller, err := identity.From(ctx)
	if err != nil {
		return err
	}
	e := trail.By(caller)
	e.Action, e.SubjectType, e.OccurredAt = Subject+"."+verb, Subject, now
	for _, a := range []*Authorization{before, after} {
		if a != nil {
			e.SubjectID, e.PatientID = a.ID, new(a.PatientID)
		}
	}
	if before != nil {
		e.Before = termsOf(*before)
	}
	if after != nil {
		current := termsOf(*after)
		if before != nil {
			current.Changed, current.Reason = changedFields(*before, *after), reason
		}
		e.After = current
	}
	return s.Audit.Record(ctx, []trail.Event{e})
}

// changedFields returns the API names of the terms that differ.
func changedFields(before, after Authorization) []string {
	changed := []string{}
	if !equal(before.AuthNumber, after.AuthNumber) {
		changed = append(changed, "authNumber")
	}
	if !equal(before.Notes, after.Notes) {
		changed = append(changed, "notes")
	}
	was, is := fields(termsOf(before)), fields(termsOf(after))
	for name := range is {
		if name != "version" && string(was[name]) != string(is[name]) {
			changed = append(changed, name)
		}
	}
	slices.Sort(changed)
	return changed
}

func fields(t terms) map[string]json.RawMessage {
	text, err := json.Marshal(t)
	if err != nil {
		panic(err) // the value can always be encoded
	}
	found := map[string]json.RawMessage{}
	if err := json.Unmarshal(text, &found); err != nil {
		panic(err) // the value can always be encoded
	}
	return found
}
