package appointments

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/command"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/record"
)

// BookingService books, changes, starts, ends and completes appointments.
type BookingService struct {
	*commands
	availability *AvailabilityService
}

// Outcome is the result of a request.
type Outcome struct {
	Appointment Appointment
	Session     *Session // of a completion
	Replayed    bool     // whether it is the stored response of an earlier request with the same key
	// Occurrences has the results for several appointments of a series, sorted by start; nil for a
	// single appointment.
	Occurrences []Occurrence
}

// spans returns the times of the booked or changed appointments.
func (o Outcome) spans() []Span {
	if o.Occurrences == nil {
		return []Span{o.Appointment.Span}
	}
	var all []Span
	for _, each := range o.Occurrences {
		if each.AppointmentID != nil {
			all = append(all, Span{each.StartTime, each.EndTime})
		}
	}
	return all
}

// Book books an appointment. It checks every rule, reserves units and writes the appointment, in
// one transaction and once per key. A refusal has all rules that the booking would break, see
// [fault.Error.Reasons]: [ErrPractitionerInactive], [ErrCredentialMissing],
// [ErrPractitionerOverlap], [ErrPatientOverlap], and rules of the ledger. Other errors:
// [fault.ErrInvalid] for unknown records and records that do not match, [command.ErrReused].
func (s *BookingService) Book(ctx context.Context, b Booking, key command.Key) (Outcome, error) {
	r, err := s.bookingRequest(ctx, b, key)
	if err != nil {
		return Outcome{}, err
	}
	return s.do(ctx, r)
}

// bookingRequest returns the request of a booking.
func (s *BookingService) bookingRequest(ctx context.Context, b Booking, key command.Key) (request, error) {
	r, err := s.request(ctx, book, s.NewID(), key)
	if err != nil {
		return r, err
	}
	b.Span = b.Span.utc()
	r.booking = b
	return r, b.check()
}

// Change changes an appointment. A change of the time, the staff or the authorization is checked
// like a booking, and is possible only while the appointment is [Scheduled]. The reservation
// changes by the difference. Errors: [ErrNotFound], [patch.ErrStale], [ErrTransition], and as for
// [BookingService.Book].
//
// For several appointments of a series, it changes all or none: the error is [ErrSeries]. Each
// moves by the same number of days, to the same time of day.
func (s *BookingService) Change(ctx context.Context, id uuid.UUID, c Change, scope Scope) (Outcome, error) {
	if c.Practitioners.Given {
		if err := errorOf(staffErrors(c.Practitioners.Value)); err != nil {
			return Outcome{}, err
		}
	}
	if err := c.Place.check(); err != nil {
		return Outcome{}, err
	}
	if c.Patients.Given {
		if err := s.checkRoster(ctx, c, scope); err != nil {
			return Outcome{}, err
		}
	}
	r, err := s.request(ctx, reschedule, id, "")
	if err != nil {
		return Outcome{}, err
	}
	r.change, r.scope, r.reason = c, scope, c.Place.Reason
	return s.do(ctx, r)
}

// checkRoster returns an error for a change of patients that is not possible, or that names patients
// outside the caller's record scope.
func (s *BookingService) checkRoster(ctx context.Context, c Change, scope Scope) error {
	switch {
	case scope.several():
		return fault.InvalidFields(fault.Field{
			Field: "patients", Code: "excluded_with", Message: "can be changed for a single appointment only",
		})
	case c.AuthorizationID.Given:
		return fault.InvalidFields(fault.Field{
			Field: "patients", Code: "excluded_with", Message: "must not be given together with authorizationId",
		})
	}
	b := Booking{Patients: c.Patients.Value, roster: true}
	if fieldErrors := b.patientErrors(); len(fieldErrors) > 0 {
		return fault.InvalidFields(fieldErrors...)
	}
	recordScope, err := db.RecordScopeOf(ctx)
	if err != nil || recordScope.WholeOrganization() {
		return err
	}
	_, err = db.Snapshot(ctx, s.Database, "appointments.admit-patients", func(ctx context.Context) (visibility, error) {
		return b.admit(ctx)
	})
	return err
}

func (s *BookingService) do(ctx context.Context, r request) (Outcome, error) {
	sees, err := s.admit(ctx, r)
	if err != nil {
		return Outcome{}, err
	}
	v, err := s.run(ctx, r)
	if err != nil {
		err = s.withAlternatives(ctx, r, err)
	}
	o := Outcome{Appointment: sees.of(v.appointment), Replayed: v.replayed, Occurrences: v.occurrences}
	if v.session != nil {
		o.Session = new(sees.ofSession(*v.session))
	}
	return o, err
}

// admit returns [ErrNotFound] for a request on an appointment outside the caller's record scope,
// before the caller waits for a lock. It returns the caller's access to the response. It runs no
// query for callers whose record scope is the organization.
func (s *BookingService) admit(ctx context.Context, r request) (visibility, error) {
	scope, err := db.RecordScopeOf(ctx)
	if err != nil || scope.WholeOrganization() {
		return visibility{everything: err == nil}, err
	}
	return db.Snapshot(ctx, s.Database, "appointments.admit", func(ctx context.Context) (visibility, error) {
		if r.kind == book {
			return r.booking.admit(ctx)
		}
		ids := []uuid.UUID{r.appointment}
		if r.scope.several() {
			series, err := s.store.seriesOf(ctx, []record.Key{r.key()})
			if err != nil {
				return visibility{}, err
			}
			if others := series[r.key()]; others != nil {
				ids = others
			}
		}
		if err := s.store.requireInScope(ctx, ids); err != nil {
			return visibility{}, err
		}
		existing, err := s.store.several(ctx, []record.Key{r.key()})
		if err != nil {
			return visibility{}, err
		}
		a := existing[r.key()]
		patients := make([]uuid.UUID, len(a.Patients))
		for i, p := range a.Patients {
			patients[i] = p.PatientID
		}
		sees, err := visibilityOf(ctx, patients, a.Practitioners)
		// A caller who reassigns an appointment still sees the response.
		sees.everything = len(seen(patients, func(p uuid.UUID) bool {
			return sees.includes(a.Practitioners, p)
		})) == len(patients)
		return sees, err
	})
}

// admit refuses patients outside the caller's record scope like unknown ones.
func (b Booking) admit(ctx context.Context) (visibility, error) {
	patients := make([]uuid.UUID, len(b.Patients))
	for i, p := range b.Patients {
		patients[i] = p.PatientID
	}
	sees, err := visibilityOf(ctx, patients, b.Practitioners)
	if err != nil {
		return sees, err
	}
	var fieldErrors []fault.Field
	for i, p := range patients {
		if !sees.includes(b.Practitioners, p) {
			fieldErrors = append(fieldErrors, fault.Field{
				Field: b.field(i, "patientId"), Code: "reference",
				Message: "does not exist",
			})
		}
	}
	return visibility{everything: true}, errorOf(fieldErrors)
}
