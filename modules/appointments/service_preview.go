package appointments

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/authorization"
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/record"
)

// Preview is the current decision on a proposed booking.
type Preview struct {
	Bookable    bool         // no occurrence breaks a rule
	Occurrences []Occurrence // one, or all of the series; none is booked
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
func (s *BookingService) Preview(ctx context.Context, p Proposal) (Preview, error) {
	r, err := s.previewRequest(ctx, p)
	if err != nil {
		return Preview{}, err
	}
	if r.zone, err = s.Directory.TimeZone(ctx, r.caller.OrganizationID); err != nil {
		return Preview{}, err
	}
	for i := range r.parts {
		r.parts[i].zone = r.zone
	}
	if _, err := s.admit(ctx, r); err != nil {
		return Preview{}, err
	}
	v, err := db.Snapshot(ctx, s.Database, "appointments.preview", func(ctx context.Context) (verdict, error) {
		d, err := s.load(ctx, nil, []request{r})
		if err != nil {
			return verdict{}, err
		}
		if moving, moves := d.appointments[r.key()]; moves {
			if err := p.requireSameAppointment(moving); err != nil {
				return verdict{}, err
			}
		}
		return d.records.decide(r)
	})
	if err != nil {
		return Preview{}, err
	}
	return s.previewOf(ctx, p, r, v)
}

// previewRequest returns the proposal as a request made of parts.
func (s *BookingService) previewRequest(ctx context.Context, p Proposal) (request, error) {
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
		r.change.Place = p.Place.asChange()
		if len(p.Patients) == 1 {
			r.change.AuthorizationID = patch.Set(p.Patients[0].AuthorizationID)
		}
	}
	r.parts = []request{r}
	return r, err
}

// requireSameAppointment refuses a change of the appointment's service or patients, and of the authorizations of
// several patients.
func (p Proposal) requireSameAppointment(a Appointment) error {
	var fieldErrors []fault.Field
	if p.ServiceCodeID != a.ServiceCodeID {
		fieldErrors = append(fieldErrors, fault.Field{
			Field: "serviceCodeId", Code: "reference",
			Message: "must be the appointment's service",
		})
	}
	if len(p.Patients) != len(a.Patients) {
		fieldErrors = append(fieldErrors, fault.Field{
			Field: "patients", Code: "reference",
			Message: "must be the appointment's patients",
		})
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
				Field: p.field(i, "authorizationId"), Code: "group",
				Message: "cannot be changed: the appointment has several patients",
			})
		}
	}
	return errorOf(fieldErrors)
}

// previewOf returns the verdict as a preview.
func (s *BookingService) previewOf(ctx context.Context, requested Proposal, r request, v verdict) (Preview, error) {
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
	p.Warnings, err = s.availability.warnings(ctx, r.caller.OrganizationID, requested.Practitioners, spans, but)
	return p, err
}

// withAlternatives adds alternatives to the refusal of a booking or a new time. If they cannot be
// computed, it returns the refusal without them.
func (s *BookingService) withAlternatives(ctx context.Context, r request, err error) error {
	refusal, ok := fault.From(err)
	if !ok || len(refusal.Reasons()) == 0 || r.kind != book && r.kind != reschedule || r.parts != nil || r.rule != "" ||
		r.scope.several() {
		return err
	}
	found, searchErr := s.alternatives(ctx, r, refusal.Reasons())
	if searchErr != nil {
		return err
	}
	return refusal.Offering(found)
}

// alternatives searches for bookings that would be accepted, using the same decision.
func (s *BookingService) alternatives(ctx context.Context, r request, reasons []fault.Reason) (Alternatives, error) {
	all := func(among []string) bool {
		return !slices.ContainsFunc(reasons, func(reason fault.Reason) bool { return !slices.Contains(among, reason.Code) })
	}
	found := Alternatives{Times: []AlternativeTime{}, Authorizations: []AlternativeAuthorization{}}
	times, authorizations := all(movable), all(coverage)
	if !times && !authorizations {
		return found, nil
	}
	var err error
	if r.zone, err = s.Directory.TimeZone(ctx, r.caller.OrganizationID); err != nil {
		return found, err
	}
	return db.Snapshot(ctx, s.Database, "appointments.alternatives", func(ctx context.Context) (Alternatives, error) {
		v, err := s.readSearch(ctx, r, authorizations)
		if err != nil {
			return found, err
		}
		if authorizations {
			found.Authorizations, err = v.authorizations()
		}
		if times && err == nil {
			found.Times, err = v.times()
		}
		return found, err
	})
}

// readSearch reads the records around the requested time.
func (s *BookingService) readSearch(ctx context.Context, r request, others bool) (*alternativeSearch, error) {
	v := &alternativeSearch{records: records{now: s.now(), occupied: occupied{}}, request: r}
	existing, _, err := s.readNamed(ctx, appointmentReading{}, []request{r})
	if err != nil {
		return nil, err
	}
	v.appointments, v.requested = existing, requestedAppointment(r, existing[r.key()])
	if err := s.loadMissed(ctx, &v.records, []request{r}); err != nil {
		return nil, err
	}
	n := needsOf([]request{r}, existing, v.now)
	window := Span{v.requested.Start.AddDate(0, 0, -alternativeDays-1), v.requested.End.AddDate(0, 0, alternativeDays+1)}
	n.addWindow(window, r.zone)
	if others && len(v.requested.Patients) == 1 {
		p := v.requested.Patients[0]
		day := calendar.DateIn(v.requested.Start, r.zone)
		if v.others, err = s.otherAuthorizations(ctx, p.PatientID, v.requested.ServiceCodeID, day,
			p.AuthorizationID); err != nil {
			return nil, err
		}
		for _, other := range v.others {
			n.add(subject{
				organization: r.caller.OrganizationID, zone: r.zone, service: v.requested.ServiceCodeID,
				staff: v.requested.Practitioners, rebooked: true,
				patients: []Participant{{PatientID: p.PatientID, AuthorizationID: other.ID}}, starts: []time.Time{v.requested.Start},
				ends: []time.Time{v.requested.End}, places: []Place{v.requested.Place},
			})
		}
	}
	if v.ledger, err = s.Authorizations.OpenLedger(ctx, v.now, n.held); err != nil {
		return nil, err
	}
	if v.rules, err = s.Directory.SchedulingRules(ctx, n.rulesQuery(v.ledger)); err != nil {
		return nil, err
	}
	n.addVisits(v.ledger, v.rules)
	if v.occupied, err = s.store.slots(ctx, n); err != nil {
		return nil, err
	}
	staff := make([]record.Key, len(v.requested.Practitioners))
	for i, id := range v.requested.Practitioners {
		staff[i] = record.Of(r.caller.OrganizationID, id)
	}
	tables, err := s.hours.availability(ctx, staff)
	for _, t := range tables {
		if t.Known() {
			v.hours = append(v.hours, t.Availability)
		}
	}
	return v, err
}

// otherAuthorizations returns the patient's other granted authorizations for the service whose dates
// include the day, sorted by end date.
func (s *BookingService) otherAuthorizations(
	ctx context.Context, patient, serviceCode uuid.UUID, day calendar.Date, but uuid.UUID,
) ([]authorization.View, error) {
	const most = 20
	found, err := s.Authorizations.List(ctx, authorization.Filter{
		PatientID: patient, ServiceCodeID: serviceCode, InForceOn: day,
		Page: db.Keyset{Column: "end_date", Expression: "CAST(%s AS date)", Limit: most},
	})
	var others []authorization.View
	for _, a := range found {
		if a.ID != but && a.Decision == authorization.Active {
			others = append(others, a)
		}
	}
	return others, err
}
