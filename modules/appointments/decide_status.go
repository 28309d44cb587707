package appointments

import (
	"time"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/permission"
)

// targets has the target status of each transition.
var targets = map[kind]Status{
	start: InProgress, reopen: Scheduled, complete: Completed, cancel: Cancelled,
	noShow: NoShow,
}

// maxStartAge is the maximum age of a reported start.
const maxStartAge = 24 * time.Hour

// statusDraft is a draft of an appointment whose status changes.
type statusDraft struct{ bookingDraft }

// move performs a transition.
func (d statusDraft) move() error {
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
		return sessionDraft{d.visitDraft}.complete()
	case cancel:
		notice := time.Duration(d.rules.Organizations[d.a.OrganizationID].LateCancelHours) * time.Hour
		d.a.LateCancel = d.a.Start.Sub(d.now) < notice
		if d.refusal = d.attribute(); d.refusal != nil {
			return nil //nolint:nilerr // a refusal is a decision, not a failure
		}
		d.close()
		return d.ownClaims(d.release)
	default: // noShow
		d.close()
		return d.ownClaims(d.settleNoShow)
	}
}

// takeBackEnd undoes a cancellation or a no-show: the appointment is booked again, if its time and
// units are free.
func (d statusDraft) takeBackEnd() error {
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
	d.a.CancellationParty, d.a.CancellationReasonID = nil, nil
	d.a.StartedAt, d.a.Clocking = nil, Clocking{}
	d.a.ReopenedAt, d.a.ReopenedBy, d.a.ReopenReason = new(d.now), new(d.caller.UserID), d.reason
	d.touch()
	return d.bookTime()
}

// startedAt returns the time of the start, in whole microseconds like the database.
func (d statusDraft) startedAt() time.Time {
	if d.started == nil {
		return d.now
	}
	return d.started.UTC().Truncate(time.Microsecond)
}

// refuseStart returns an error for an invalid start time. It must not be in the future, and must be
// within the booked time or the organization's minutes before it.
func (d statusDraft) refuseStart() *fault.Error {
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
