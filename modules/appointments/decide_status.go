package appointments

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/permission"
)

// Status is the status of an appointment.
type Status string

// The statuses. The first two are open: the appointment holds units.
const (
	Scheduled  Status = "SCHEDULED"
	InProgress Status = "IN_PROGRESS"
	Completed  Status = "COMPLETED" // has a session
	Cancelled  Status = "CANCELLED"
	NoShow     Status = "NO_SHOW" // the patient did not come
)

// transitions lists the allowed transitions; all others are refused.
var transitions = map[Status][]Status{
	Scheduled:  {InProgress, Completed, Cancelled, NoShow},
	InProgress: {Completed, Cancelled, Scheduled},
	Completed:  {},
	Cancelled:  {},
	NoShow:     {},
}

// Open reports whether the appointment is SCHEDULED or IN_PROGRESS.
func (s Status) Open() bool { return len(transitions[s]) > 0 }

// Occupies reports whether the appointment occupies its time.
func (s Status) Occupies() bool { return s != Cancelled && s != NoShow }

func (s Status) mayBecome(next Status) bool { return slices.Contains(transitions[s], next) }

// targets has the target status of each transition.
var targets = map[kind]Status{
	start: InProgress, reopen: Scheduled, complete: Completed, cancel: Cancelled,
	noShow: NoShow,
}

// move performs a transition.
func (d *draft) move() error {
	if d.settling != nil && len(d.a.Patients) > 1 {
		d.refusal = ErrGroup.With(Group{d.a.ID}, "The appointment has other patients, and would be cancelled for them too.")
		return nil
	}
	from, to := d.a.Status, targets[d.kind]
	switch {
	case d.kind == reopen && from != InProgress:
		return d.takeBackEnd()
	case !from.mayBecome(to):
		d.refusal = refuseTransition(from, to)
	case d.kind == noShow && d.now.Before(d.a.Start):
		d.refusal = ErrNotBegun.With(
			NotBegun{d.a.Start}, "The appointment begins on %s, so it cannot be a no-show yet.",
			localTime(d.a.Start, d.zone),
		)
	case d.kind == start:
		d.refusal = d.refuseStart()
	}
	if d.refusal != nil {
		return nil //nolint:nilerr // a refusal is a decision, not a failure
	}
	d.a.Status = to
	d.touch()
	switch d.kind {
	case start:
		d.a.StartedAt = new(d.startedAt())
		d.clockIn()
		return nil
	case reopen:
		d.a.StartedAt, d.a.Clocking = nil, Clocking{}
		d.a.ReopenedAt, d.a.ReopenedBy, d.a.ReopenReason = new(d.now), new(d.caller.UserID), d.reason
		return nil
	case complete:
		return d.complete()
	case cancel:
		notice := time.Duration(d.rules.Organizations[d.a.OrganizationID].LateCancelHours) * time.Hour
		d.a.LateCancel = d.a.Start.Sub(d.now) < notice
		d.close()
		return d.ownClaims(d.release)
	default: // noShow
		d.close()
		return d.ownClaims(d.settleNoShow)
	}
}

func (d *draft) noShowConsumes() bool {
	return d.rules.Organizations[d.a.OrganizationID].NoShowConsumes
}

// settleNoShow releases the booked units, or consumes them if the organization has configured that.
func (d *draft) settleNoShow() error {
	for i := range d.a.Patients {
		p := &d.a.Patients[i]
		claim := d.claim(i, 0, d.a.ServiceDate)
		if d.noShowConsumes() {
			claim.Units = p.Units
		}
		settled, err := d.sheet.Settle(claim)
		if err != nil {
			return err
		}
		if p.Consumption = settled.Entry; settled.Units > 0 {
			p.ReservationID = &claim.ReservationID
		}
	}
	return nil
}

// takeBackEnd undoes a cancellation or a no-show: the appointment is booked again, if its time and
// units are free.
func (d *draft) takeBackEnd() error {
	if d.a.Status != Cancelled && d.a.Status != NoShow {
		d.refusal = refuseReopen(d.a.Status)
		return nil
	}
	needed := permission.AppointmentCancel
	if d.a.Status == NoShow {
		needed = permission.AppointmentNoShow
	}
	if err := d.caller.Require(needed); err != nil {
		d.refusal, _ = fault.From(err)
		return nil
	}
	for i := range d.a.Patients {
		if err := d.takeBack(&d.a.Patients[i], d.a.ServiceDate); err != nil {
			return err
		}
	}
	d.a.Status = Scheduled
	d.a.CancelledAt, d.a.CancelledBy, d.a.CancelReason, d.a.LateCancel = nil, nil, nil, false
	d.a.StartedAt, d.a.Clocking = nil, Clocking{}
	d.a.ReopenedAt, d.a.ReopenedBy, d.a.ReopenReason = new(d.now), new(d.caller.UserID), d.reason
	d.touch()
	return d.bookTime()
}

// maxStartAge is the maximum age of a reported start.
const maxStartAge = 24 * time.Hour

// startedAt returns the time of the start, in whole microseconds like the database.
func (d *draft) startedAt() time.Time {
	if d.started == nil {
		return d.now
	}
	return d.started.UTC().Truncate(time.Microsecond)
}

// refuseStart returns an error for an invalid start time. It must not be in the future, and must be
// within the booked time or the organization's minutes before it.
func (d *draft) refuseStart() *fault.Error {
	at := d.startedAt()
	early := time.Duration(d.rules.Organizations[d.a.OrganizationID].EarlyStartMinutes) * time.Minute
	from := d.a.Start.Add(-early)
	switch {
	case at.After(d.now):
		return fault.InvalidFields(fault.Field{Field: "startTime", Code: "future", Message: "must not be in the future"})
	case at.Before(d.now.Add(-maxStartAge)):
		return fault.InvalidFields(fault.Field{
			Field: "startTime", Code: "past",
			Message: "must not be more than 24 hours ago: complete the appointment with its times instead",
		})
	case at.Before(from):
		return ErrStartTooEarly.With(TooEarly{d.a.Start, from},
			"The appointment is booked for %s. It can be started from %s.",
			localSpan(d.a.Span, d.zone), localTime(from, d.zone))
	case at.Before(d.a.End):
		return nil
	case d.started == nil:
		return ErrStartTooLate.With(TooLate{d.a.End},
			"The appointment was booked for %s and is over. Send its actual start as `startTime`, or complete it with its "+
				"times.",
			localSpan(d.a.Span, d.zone))
	}
	return ErrStartTooLate.With(TooLate{d.a.End},
		"The appointment was booked for %s and had ended at %s. Complete it with its times instead, or reschedule it.",
		localSpan(d.a.Span, d.zone), localTime(at, d.zone))
}

// close records the user, the time and the reason of a cancellation or no-show.
func (d *draft) close() {
	d.a.CancelledAt, d.a.CancelledBy, d.a.CancelReason = new(d.now), new(d.caller.UserID), d.reason
}

// release releases the units that the appointment holds.
func (d *draft) release() error {
	for i, p := range d.a.Patients {
		if p.ReservationID == nil {
			continue
		}
		if err := d.sheet.Release(d.claim(i, 0, d.a.ServiceDate)); err != nil {
			return err
		}
	}
	return nil
}

// complete writes the session and settles the units of its actual time. Worked time counts even if
// the calendar or the authorization does not cover it.
func (d *draft) complete() error {
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
func (d *draft) refuseTimes(span Span) *fault.Error {
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
func (d *draft) tooShortToBeMeant(span Span) bool {
	given := d.completion.Start != nil && d.completion.End != nil
	return !given && span.Minutes() <= 1 && d.a.Minutes() > 1 && !span.End.After(d.now)
}

// refuseUnconfirmed returns [ErrUnconfirmed] if the times differ considerably from the booked ones.
func (d *draft) refuseUnconfirmed(span Span) *fault.Error {
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
func (d *draft) actual() Span {
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
func (d *draft) measureWork() {
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
func (d *draft) settlePart(i int) error {
	if d.a.Patients[i].Absent {
		return d.settleAbsent(i)
	}
	return d.consume(i)
}

// consume consumes a patient's units, and writes the patient's part in the session.
func (d *draft) consume(i int) error {
	p := &d.a.Patients[i]
	claim := d.claim(i, p.Units, d.session.ServiceDate)
	settled, err := d.sheet.Settle(claim)
	if err != nil {
		return err
	}
	if p.Consumption = settled.Entry; settled.Units > 0 {
		p.ReservationID = &claim.ReservationID
	}
	d.session.Patients[i] = SessionPatient{
		PatientID: p.PatientID, AuthorizationID: p.AuthorizationID, Minutes: p.Minutes, Units: p.Units,
		UnauthorizedUnits: settled.Missing, UnitMinutes: p.UnitMinutes, Rounding: p.Rounding, Consumption: settled.Entry,
		Attended: true, Own: p.Own,
	}
	d.session.sumUnauthorized()
	return nil
}

func (s *Session) sumUnauthorized() {
	s.UnauthorizedUnits = 0
	for _, p := range s.Patients {
		s.UnauthorizedUnits += p.UnauthorizedUnits
	}
}
