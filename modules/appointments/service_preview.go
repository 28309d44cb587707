package appointments

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/patch"
)

// Preview is the current decision on a proposed booking.
type Preview struct {
	Bookable    bool         // no occurrence breaks a rule
	Occurrences []Occurrence // one, or those of the series; none is booked
	Warnings    []Warning
	// Alternatives are bookings that would be accepted instead of a single refused one; nil
	// otherwise.
	Alternatives *Alternatives
}

// Proposal is the input of a preview.
type Proposal struct {
	Booking
	Rule *string // of a series; nil: a single appointment
	// Moves is an existing appointment that would change to the booking; nil: the booking is new.
	// The appointment's own time and units are treated as free.
	Moves *uuid.UUID
}

// Preview returns the decision on a booking, a series, or a change of an appointment, with all
// broken rules. Nothing is written or reserved: another booking may come first. Errors:
// [ErrNotFound] for an appointment that moves, [fault.ErrInvalid] for unknown records, records that
// do not match, and invalid rules.
func (s *Service) Preview(ctx context.Context, p Proposal) (Preview, error) {
	r, err := s.previewRequest(ctx, p)
	if err != nil {
		return Preview{}, err
	}
	if r.zone, err = s.directory.TimeZone(ctx, r.caller.OrganizationID); err != nil {
		return Preview{}, err
	}
	for i := range r.parts {
		r.parts[i].zone = r.zone
	}
	if _, err := s.admit(ctx, r); err != nil {
		return Preview{}, err
	}
	v, err := db.Snapshot(ctx, s.database, "appointments.preview", func(ctx context.Context) (verdict, error) {
		d, err := s.load(ctx, []request{r})
		if err != nil {
			return verdict{}, err
		}
		if moving, moves := d.appointments[r.key()]; moves {
			if err := p.fits(moving); err != nil {
				return verdict{}, err
			}
		}
		return d.scene.decide(r)
	})
	if err != nil {
		return Preview{}, err
	}
	return s.previewOf(ctx, p, r, v)
}

// previewRequest returns the proposal as a request made of parts.
func (s *Service) previewRequest(ctx context.Context, p Proposal) (request, error) {
	if p.Rule != nil {
		if p.Moves != nil {
			return request{}, fault.InvalidFields(fault.Field{
				Field: fieldRule, Code: "excluded_with", Message: "must not be given together with appointmentId",
			})
		}
		return s.seriesRequest(ctx, p.Booking, *p.Rule, false, "")
	}
	r, err := s.bookingRequest(ctx, p.Booking, "")
	if p.Moves != nil {
		r.kind, r.appointment, r.booking = reschedule, *p.Moves, Booking{}
		r.change = Change{Start: patch.Set(p.Start), End: patch.Set(p.End), Practitioners: patch.Set(p.Practitioners)}
		if len(p.Patients) == 1 {
			r.change.AuthorizationID = patch.Set(p.Patients[0].AuthorizationID)
		}
	}
	r.parts = []request{r}
	return r, err
}

// fits refuses a change of the appointment's service or patients, and of the authorizations of
// several patients.
func (p Proposal) fits(a Appointment) error {
	var fieldErrors []fault.Field
	if p.ServiceCodeID != a.ServiceCodeID {
		fieldErrors = append(fieldErrors, fault.Field{Field: "serviceCodeId", Code: "reference", Message: "must be the appointment's service"})
	}
	if len(p.Patients) != len(a.Patients) {
		fieldErrors = append(fieldErrors, fault.Field{Field: "patients", Code: "reference", Message: "must be the appointment's patients"})
	}
	for i, proposed := range p.Patients {
		has := slices.IndexFunc(a.Patients, func(each Participant) bool { return each.PatientID == proposed.PatientID })
		switch {
		case has < 0:
			fieldErrors = append(fieldErrors, fault.Field{
				Field: p.field(i, "patientId"), Code: "reference", Message: "must be the appointment's patient",
			})
		case len(p.Patients) > 1 && a.Patients[has].AuthorizationID != proposed.AuthorizationID:
			fieldErrors = append(fieldErrors, fault.Field{
				Field: p.field(i, "authorizationId"), Code: "group", Message: "cannot be changed: the appointment has several patients",
			})
		}
	}
	return errorOf(fieldErrors)
}

// previewOf returns the verdict as a preview.
func (s *Service) previewOf(ctx context.Context, requested Proposal, r request, v verdict) (Preview, error) {
	p := Preview{Bookable: v.refusal == nil, Occurrences: v.occurrences}
	if v.refusal != nil {
		details, ok := v.refusal.Details().(SeriesRefusal)
		if !ok {
			return Preview{}, v.refusal
		}
		p.Occurrences = details.Occurrences
	}
	spans := make([]Span, len(p.Occurrences))
	for i := range p.Occurrences {
		p.Occurrences[i].AppointmentID = nil
		spans[i] = Span{p.Occurrences[i].StartTime, p.Occurrences[i].EndTime}
	}
	if requested.Rule == nil && !p.Bookable {
		found, err := s.alternatives(ctx, r.parts[0], p.Occurrences[0].Reasons)
		if err != nil {
			return Preview{}, err
		}
		p.Alternatives = &found
	}
	but := uuid.Nil
	if requested.Moves != nil {
		but = *requested.Moves
	}
	var err error
	p.Warnings, err = s.warnings(ctx, r.caller.OrganizationID, requested.Practitioners, spans, but)
	return p, err
}
