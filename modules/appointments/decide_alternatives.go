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
	"omnirapeutic/platform/record"
)

// Alternatives are bookings that would currently be accepted instead of a refused one. Nothing is
// reserved: another booking may come first.
type Alternatives struct {
	Times []AlternativeTime `json:"times"` // of the same length, nearest first
	// Other authorizations of the patient that cover the service at the requested time.
	Authorizations []AlternativeAuthorization `json:"authorizations"`
}

// AlternativeTime is a time at which all participants are free and that the authorizations cover.
type AlternativeTime struct {
	StartTime time.Time `json:"startTime"`
	EndTime   time.Time `json:"endTime"`
}

// AlternativeAuthorization is an authorization with enough units.
type AlternativeAuthorization struct {
	AuthorizationID uuid.UUID `json:"authorizationId"`
}

// The limits of the search for alternatives. For practitioners without availability, only times
// during the day are offered.
const (
	mostAlternatives = 3
	alternativeDays  = 7 // before and after the requested time
	alternativeStep  = 15 * time.Minute
	firstHour        = 7 * time.Hour // the wall-clock time
	lastHour         = 20 * time.Hour
)

// The reasons that another time or another authorization can resolve. If there are other reasons,
// there are no alternatives.
var (
	movable  = []string{ErrPractitionerOverlap.Code(), ErrPatientOverlap.Code(), "outside-authorization-dates", "cap-exceeded"}
	coverage = []string{"outside-authorization-dates", "cap-exceeded", "authorization-not-active", "insufficient-units"}
)

// withAlternatives adds alternatives to the refusal of a booking or a new time. If they cannot be
// computed, it returns the refusal without them.
func (s *Service) withAlternatives(ctx context.Context, r request, err error) error {
	refusal, ok := fault.From(err)
	if !ok || len(refusal.Reasons()) == 0 || r.kind != book && r.kind != reschedule || r.parts != nil || r.rule != "" || r.scope.several() {
		return err
	}
	found, searchErr := s.alternatives(ctx, r, refusal.Reasons())
	if searchErr != nil {
		return err
	}
	return refusal.Offering(found)
}

// alternatives searches for bookings that would be accepted, using the same decision.
func (s *Service) alternatives(ctx context.Context, r request, reasons []fault.Reason) (Alternatives, error) {
	all := func(among []string) bool {
		return !slices.ContainsFunc(reasons, func(reason fault.Reason) bool { return !slices.Contains(among, reason.Code) })
	}
	found := Alternatives{Times: []AlternativeTime{}, Authorizations: []AlternativeAuthorization{}}
	times, authorizations := all(movable), all(coverage)
	if !times && !authorizations {
		return found, nil
	}
	var err error
	if r.zone, err = s.directory.TimeZone(ctx, r.caller.OrganizationID); err != nil {
		return found, err
	}
	return db.Snapshot(ctx, s.database, "appointments.alternatives", func(ctx context.Context) (Alternatives, error) {
		v, err := s.look(ctx, r, authorizations)
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

// view is a scene with all records that the search for alternatives needs.
type view struct {
	scene
	request   request
	requested Appointment // at the requested time
	hours     []Availability
	others    []uuid.UUID // the patient's other authorizations
}

// look reads the records around the requested time.
func (s *Service) look(ctx context.Context, r request, others bool) (*view, error) {
	v := &view{scene: scene{now: s.now(), occupied: occupied{}}, request: r}
	existing, _, err := s.readNamed(ctx, []request{r})
	if err != nil {
		return nil, err
	}
	v.appointments, v.requested = existing, wanted(r, existing[r.key()])
	n := needsOf([]request{r}, existing, v.now)
	window := Span{v.requested.Start.AddDate(0, 0, -alternativeDays-1), v.requested.End.AddDate(0, 0, alternativeDays+1)}
	n.widen(window, r.zone)
	if others && len(v.requested.Patients) == 1 {
		p := v.requested.Patients[0]
		day := calendar.DateIn(v.requested.Start, r.zone)
		if v.others, err = s.otherAuthorizations(ctx, p.PatientID, v.requested.ServiceCodeID, day, p.AuthorizationID); err != nil {
			return nil, err
		}
		for _, id := range v.others {
			n.add(subject{
				organization: r.caller.OrganizationID, zone: r.zone, service: v.requested.ServiceCodeID, staff: v.requested.Practitioners, placed: true,
				patients: []Participant{{PatientID: p.PatientID, AuthorizationID: id}}, starts: []time.Time{v.requested.Start},
				ends: []time.Time{v.requested.End},
			})
		}
	}
	if v.ledger, err = s.authorizations.OpenLedger(ctx, v.now, n.held); err != nil {
		return nil, err
	}
	if v.rules, err = s.directory.SchedulingRules(ctx, n.ask(v.ledger)); err != nil {
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
	tables, err := s.store.availability(ctx, staff)
	for _, t := range tables {
		if t.Known() {
			v.hours = append(v.hours, t.Availability)
		}
	}
	return v, err
}

// otherAuthorizations returns the patient's other granted authorizations for the service whose dates
// include the day, sorted by end date.
func (s *Service) otherAuthorizations(ctx context.Context, patient, serviceCode uuid.UUID, day calendar.Date, but uuid.UUID) ([]uuid.UUID, error) {
	const most = 20
	found, err := s.authorizations.List(ctx, authorization.Filter{
		PatientID: patient, ServiceCodeID: serviceCode, InForceOn: day,
		Page: db.Keyset{Column: "end_date", Expression: "CAST(%s AS date)", Limit: most},
	})
	var others []uuid.UUID
	for _, a := range found {
		if a.ID != but && a.Decision == authorization.Active {
			others = append(others, a.ID)
		}
	}
	return others, err
}

// wanted returns the requested appointment.
func wanted(r request, before Appointment) Appointment {
	if r.kind == book {
		a := Appointment{ServiceCodeID: r.booking.ServiceCodeID, Span: r.booking.Span, Practitioners: r.booking.Practitioners}
		for _, p := range r.booking.Patients {
			a.Patients = append(a.Patients, Participant{PatientID: p.PatientID, AuthorizationID: p.AuthorizationID})
		}
		return a
	}
	a := before.clone()
	r.change.Start.Apply(&a.Start)
	r.change.End.Apply(&a.End)
	r.change.Practitioners.Apply(&a.Practitioners)
	if r.change.AuthorizationID.Given && len(a.Patients) == 1 {
		a.Patients[0].AuthorizationID = r.change.AuthorizationID.Value
	}
	return a
}

// widen adds all appointments in the window, and the rules of all its days.
func (n *needs) widen(window Span, zone *time.Location) {
	for _, who := range []map[record.Key][]Span{n.staff, n.patients} {
		for key := range who {
			who[key] = []Span{window}
		}
	}
	for _, days := range n.coverages {
		for day := calendar.DateIn(window.Start, zone); !day.After(calendar.DateIn(window.End, zone)); day = day.AddDays(1) {
			days[day] = true
		}
	}
}

// authorizations returns the patient's other authorizations that cover the request.
func (v *view) authorizations() ([]AlternativeAuthorization, error) {
	found := []AlternativeAuthorization{}
	for _, id := range v.others {
		r := v.request
		if r.kind == book {
			r.booking.Patients = []BookedPatient{{v.requested.Patients[0].PatientID, id}}
		} else {
			r.change.AuthorizationID.Given, r.change.AuthorizationID.Value = true, id
		}
		ok, err := v.accepts(r)
		if err != nil {
			return nil, err
		}
		if ok && len(found) < mostAlternatives {
			found = append(found, AlternativeAuthorization{id})
		}
	}
	return found, nil
}

// times returns the nearest times, sorted by distance from the requested one, later times first.
// Past times are offered only if the requested time is in the past.
func (v *view) times() ([]AlternativeTime, error) {
	found := []AlternativeTime{}
	length := v.requested.End.Sub(v.requested.Start)
	const steps = int(alternativeDays * 24 * time.Hour / alternativeStep)
	for i := 2; i < 2*steps && len(found) < mostAlternatives; i++ {
		distance := time.Duration(i/2) * alternativeStep
		if i%2 == 1 {
			distance = -distance
		}
		span := Span{v.requested.Start.Add(distance), v.requested.Start.Add(distance + length)}
		if span.Start.Before(v.now) && !v.requested.Start.Before(v.now) || !v.awake(span) {
			continue
		}
		r := v.request
		if r.kind == book {
			r.booking.Span = span
		} else {
			r.change.Start.Given, r.change.Start.Value = true, span.Start
			r.change.End.Given, r.change.End.Value = true, span.End
		}
		ok, err := v.accepts(r)
		if err != nil {
			return nil, err
		}
		if ok {
			found = append(found, AlternativeTime{span.Start.UTC(), span.End.UTC()})
		}
	}
	return found, nil
}

// awake reports whether a time is suitable: within the practitioners' hours or, for practitioners
// without hours, during the day.
func (v *view) awake(span Span) bool {
	if len(v.hours) > 0 {
		return !slices.ContainsFunc(v.hours, func(a Availability) bool { return !a.covers(span, v.request.zone) })
	}
	wall := func(t time.Time) time.Duration {
		hour, minute, _ := t.In(v.request.zone).Clock()
		return time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute
	}
	begin := wall(span.Start)
	return begin >= firstHour && begin+span.End.Sub(span.Start) <= lastHour || wall(v.requested.Start) == begin
}

// accepts reports whether the request would be accepted. It changes nothing.
func (s *scene) accepts(r request) (bool, error) {
	d := draft{scene: s, request: r, sheet: s.ledger.Sheet()}
	before := s.appointments[r.key()]
	d.a = before.clone()
	if r.kind == book {
		err := d.placeNew()
		return err == nil && d.refusal == nil, err
	}
	err := d.reschedule(before)
	return err == nil && d.refusal == nil, err
}
