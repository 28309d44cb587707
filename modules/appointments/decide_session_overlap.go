package appointments

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/permission"
	"omnirapeutic/platform/record"
)

// realTime returns the worked time of a completed appointment, or the time of one in progress: from
// its start to its booked end.
func realTime(a Appointment) Span {
	switch {
	case a.Worked != nil:
		return *a.Worked
	case a.Status == InProgress && a.StartedAt != nil && a.StartedAt.Before(a.End):
		return Span{a.StartedAt.Truncate(time.Minute), a.End}
	default:
		return Span{}
	}
}

func overlapOf(other Appointment, a, b Span) SessionOverlap {
	common := Span{a.Start, a.End}
	if b.Start.After(common.Start) {
		common.Start = b.Start
	}
	if b.End.Before(common.End) {
		common.End = b.End
	}
	common = common.utc()
	return SessionOverlap{
		AppointmentID: other.ID, SessionID: other.SessionID, StartTime: common.Start, EndTime: common.End,
		Minutes: common.Minutes(),
	}
}

func (o SessionOverlap) ofPractitioner(id uuid.UUID) SessionOverlap {
	o.PractitionerID = &id
	return o
}

func (o SessionOverlap) ofPatient(id uuid.UUID) SessionOverlap {
	o.PatientID = &id
	return o
}

// refuseOverlap returns [ErrSessionOverlap] if the draft's session overlaps the real time of other
// work. A reason accepts the overlap, and is stored. The reason of the version before accepts the same overlaps.
func (d sessionDraft) refuseOverlap(reason *string) *fault.Error {
	found := d.sessionOverlaps()
	if reason == nil && d.session.OverlapReason != nil && len(found) > 0 && d.acceptedBefore(found) {
		return nil
	}
	d.session.OverlapReason, d.session.OverlapAcceptedBy = nil, nil
	switch {
	case len(found) == 0:
		return nil
	case reason != nil:
		if err := d.caller.Require(permission.SessionAcceptOverlap); err != nil {
			refusal, _ := fault.From(err)
			return refusal
		}
		d.session.OverlapReason, d.session.OverlapAcceptedBy = reason, new(d.caller.UserID)
		return nil
	}
	return ErrSessionOverlap.With(SessionOverlaps{found}, "%s", d.describe(found[0]))
}

// acceptedBefore reports whether the version before has each of the overlaps, with the same practitioner or
// patient. Its reason accepts them, even if their times differ.
func (d sessionDraft) acceptedBefore(found []SessionOverlap) bool {
	session := d.sessions[d.a.key()]
	earlier := sessionDraft{visitDraft{&draft{records: d.records, request: d.request, a: d.before, session: &session}}}
	known := earlier.sessionOverlaps()
	return !slices.ContainsFunc(found, func(o SessionOverlap) bool {
		return !slices.ContainsFunc(known, func(k SessionOverlap) bool {
			return k.AppointmentID == o.AppointmentID && equal(k.PractitionerID, o.PractitionerID) &&
				equal(k.PatientID, o.PatientID)
		})
	})
}

// describe returns a text about an overlap, with local times.
func (d sessionDraft) describe(o SessionOverlap) string {
	who := "The patient"
	if o.PractitionerID != nil {
		who = d.rules.Practitioners[d.named(*o.PractitionerID)].Name
	}
	other := d.records.appointments[record.Of(d.a.OrganizationID, o.AppointmentID)]
	span := realTime(other)
	return fmt.Sprintf("%s has another session from %s. %d minutes overlap.", who,
		localSpanOn(d.dateOf(d.session.Start), span, d.zone), o.Minutes)
}

// sessionOverlaps returns the overlaps of the draft's session with other real work: of each
// practitioner, and of each patient within a track or with a service that may not run at the same
// time.
func (d sessionDraft) sessionOverlaps() []SessionOverlap {
	var found []SessionOverlap
	mayOverlap := d.rules.Organizations[d.a.OrganizationID].MayOverlap
	for _, key := range slices.SortedFunc(maps.Keys(d.records.appointments), record.Key.Compare) {
		other := d.records.appointments[key]
		real := realTime(other)
		if key.OrganizationID != d.a.OrganizationID || other.ID == d.a.ID || real.Start.IsZero() {
			continue
		}
		for _, id := range d.a.Practitioners {
			if slices.Contains(other.Practitioners, id) && d.session.Overlaps(real) {
				found = append(found, overlapOf(other, d.session.Span, real).ofPractitioner(id))
			}
		}
		for _, p := range d.a.Patients {
			at := other.indexOf(p.PatientID)
			if at < 0 || p.Absent || other.Patients[at].Absent {
				continue
			}
			part := other.Patients[at]
			mine, theirs := d.a.timeOf(p), real
			if part.Own != nil {
				theirs = *part.Own
			}
			if mine.Overlaps(theirs) && (part.Track == p.Track || !mayOverlap(part.Code, p.Code)) {
				found = append(found, overlapOf(other, mine, theirs).ofPatient(p.PatientID))
			}
		}
	}
	return found
}
