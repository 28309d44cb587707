package appointments

import (
	"fmt"
	"strings"
	"time"

	"omnirapeutic/platform/fault"
)

// sessionDraft is a draft whose appointment has taken place and gets a session.
type sessionDraft struct{ visitDraft }

// complete writes the session and settles the units of its actual time. Worked time counts even if
// the calendar or the authorization does not cover it.
func (d sessionDraft) complete() error {
	if d.completion.ClockOut != nil {
		d.leave(d.completion.ClockOut)
	}
	span := d.actual()
	if d.refusal = d.refuseTimes(span); d.refusal != nil {
		return nil //nolint:nilerr // a refusal is the outcome, not a failure of deciding
	}
	d.a.Worked = &span
	d.session = &Session{
		OrganizationID: d.a.OrganizationID, ID: d.request.session, AppointmentID: d.a.ID, Span: span,
		ServiceDate: d.dateOf(span.Start), Change: completed,
		Narrative: d.completion.Narrative, CreatedBy: d.caller.UserID, Version: 1, CreatedAt: d.now, UpdatedAt: d.now,
		Place: d.a.Place, Practitioners: d.a.Practitioners, Patients: make([]SessionPatient, len(d.a.Patients)),
	}
	d.a.SessionID = &d.session.ID
	if fieldErrors := d.attend(d.completion.Patients); len(fieldErrors) > 0 {
		d.refusal = fault.InvalidFields(fieldErrors...)
		return nil
	}
	if d.refusal = d.refuseOverlap(d.completion.Overlap); d.refusal != nil {
		return nil //nolint:nilerr // a refusal is the outcome, not a failure of deciding
	}
	d.measureWork()
	return d.ownClaims(func() error {
		for i := range d.a.Patients {
			if err := d.settlePart(i); err != nil {
				return err
			}
		}
		return nil
	})
}

// refuseTimes returns an error for invalid times of a session.
func (d sessionDraft) refuseTimes(span Span) *fault.Error {
	if d.tooShortToBeMeant(span) {
		return fault.InvalidFields(fault.Field{Field: "endTime", Code: "too-short", Message: fmt.Sprintf(
			"the session would have lasted %d of the %d booked minutes: send the actual startTime and endTime",
			max(0, span.Minutes()), d.a.Minutes())})
	}
	fieldErrors := span.fieldErrors()
	if span.End.After(d.now) {
		fieldErrors = append(fieldErrors, fault.Field{Field: "endTime", Code: "future", Message: "must not be in the future"})
	}
	if len(fieldErrors) > 0 {
		return fault.InvalidFields(fieldErrors...)
	}
	if d.completion.Confirm {
		return nil
	}
	return d.refuseUnconfirmed(span)
}

// tooShortToBeMeant reports whether the session lasts at most a minute and at least one time was
// not given. This happens when a late entry starts and completes an appointment at once.
func (d sessionDraft) tooShortToBeMeant(span Span) bool {
	given := d.completion.Start != nil && d.completion.End != nil
	return !given && span.Minutes() <= 1 && d.a.Minutes() > 1 && !span.End.After(d.now)
}

// refuseUnconfirmed returns [ErrUnconfirmed] if the times differ considerably from the booked ones.
func (d sessionDraft) refuseUnconfirmed(span Span) *fault.Error {
	u := Unconfirmed{BookedStart: d.a.Start, BookedEnd: d.a.End, Start: span.Start, End: span.End}
	var why []string
	if d.dateOf(span.Start) != d.dateOf(d.a.Start) {
		u.Differences = append(u.Differences, otherDate)
		why = append(why, "on another date")
	}
	factor := d.rules.Organizations[d.a.OrganizationID].ConfirmLengthFactor
	booked, worked := float64(d.a.Minutes()), float64(span.Minutes())
	if worked > booked*factor || worked*factor < booked {
		u.Differences = append(u.Differences, otherLength)
		why = append(why, fmt.Sprintf("%d minutes instead of %d", span.Minutes(), d.a.Minutes()))
	}
	if len(why) == 0 {
		return nil
	}
	return ErrUnconfirmed.With(u, "Booked: %s. Session: %s. That is %s. Send `confirm: true` if that is right.",
		localSpan(d.a.Span, d.zone), localSpan(span, d.zone), strings.Join(why, ", and "))
}

// actual returns the session's times, with defaults for those not given.
func (d sessionDraft) actual() Span {
	span := d.a.Span
	if d.a.StartedAt != nil {
		span.Start = d.a.StartedAt.Truncate(time.Minute)
		if span.End.After(d.now) || !span.Start.Before(span.End) {
			span.End = d.now.Truncate(time.Minute)
		}
	}
	if d.a.ClockedOutAt != nil {
		span.End = d.a.ClockedOutAt.Truncate(time.Minute)
	}
	if d.completion.Start != nil {
		span.Start = *d.completion.Start
	}
	if d.completion.End != nil {
		span.End = *d.completion.End
	}
	return span.utc()
}

// measureWork computes the units of each patient's actual time, by the payer's rule of the service
// date.
func (d sessionDraft) measureWork() {
	d.setModifiers(d.session.ServiceDate)
	for i := range d.a.Patients {
		p := &d.a.Patients[i]
		p.Rounding = d.ruleOn(*p, d.session.ServiceDate)
		p.Minutes = d.a.timeOf(*p).Minutes()
	}
	for i := range d.a.Patients {
		if p := &d.a.Patients[i]; !p.Absent {
			p.Units = d.shareOf(*p)
		}
	}
}

// settlePart settles a patient's units, and writes the patient's part in the session.
func (d sessionDraft) settlePart(i int) error {
	if d.a.Patients[i].Absent {
		return d.settleAbsent(i)
	}
	return d.consume(i)
}
