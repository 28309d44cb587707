package appointments

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/scheduling"
)

// Alternatives are what would work at this moment in the place of a time that was
// refused: nothing of it is held, somebody else may be faster.
type Alternatives struct {
	Times          []AlternativeTime          `json:"times"`          // of the same length, the nearest first
	Authorizations []AlternativeAuthorization `json:"authorizations"` // of the patient, for the service and the time that were asked for
}

// AlternativeTime is a time that everybody who takes part has, and that the
// authorizations cover.
type AlternativeTime struct {
	StartTime time.Time `json:"startTime"`
	EndTime   time.Time `json:"endTime"`
}

// AlternativeAuthorization is an authorization that has the units.
type AlternativeAuthorization struct {
	AuthorizationID uuid.UUID `json:"authorizationId"`
}

// Where alternatives are looked for. Of practitioners of whom nothing is said,
// times are offered when people are awake.
const (
	mostAlternatives = 3
	alternativeDays  = 7 // before and after the time that was asked for
	alternativeStep  = 15 * time.Minute
	firstHour        = 7 * time.Hour // of a day, as clocks on walls show it
	lastHour         = 20 * time.Hour
)

// Which reasons another time, and another authorization, may do away with. What is
// not among them has to be mended before anything can be booked.
var (
	movable  = []string{ErrPractitionerOverlap.Code(), ErrPatientOverlap.Code(), "outside-authorization-dates", "cap-exceeded"}
	coverage = []string{"outside-authorization-dates", "cap-exceeded", "authorization-not-active", "insufficient-units"}
)

// offering adds to the refusal of a booking or a new time what would work instead.
// That it cannot be told is no reason not to refuse.
func (s *Service) offering(ctx context.Context, r request, err error) error {
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

// alternatives looks for what nothing would stand against, by the same decision.
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

// view is a scene that is wide enough to look for alternatives to a request in it.
type view struct {
	scene
	request request
	asked   Appointment // with the time that was asked for
	hours   []Availability
	others  []uuid.UUID // authorizations of the patient
}

// look reads what there is around the time that was asked for.
func (s *Service) look(ctx context.Context, r request, others bool) (*view, error) {
	v := &view{scene: scene{now: s.now(), occupied: occupied{}}, request: r}
	there, _, err := s.readNamed(ctx, []request{r}, map[scheduling.Key]bool{})
	if err != nil {
		return nil, err
	}
	v.appointments, v.asked = there, wanted(r, there[r.key()])
	n := needsOf([]request{r}, there, v.now)
	window := Span{v.asked.Start.AddDate(0, 0, -alternativeDays-1), v.asked.End.AddDate(0, 0, alternativeDays+1)}
	n.widen(window, r.zone)
	if others && len(v.asked.Patients) == 1 {
		p := v.asked.Patients[0]
		day := calendar.DateIn(v.asked.Start, r.zone)
		if v.others, err = s.units.Others(ctx, p.PatientID, v.asked.ServiceCodeID, day, p.AuthorizationID); err != nil {
			return nil, err
		}
		for _, id := range v.others {
			n.add(subject{
				organization: r.caller.OrganizationID, zone: r.zone, service: v.asked.ServiceCodeID, staff: v.asked.Practitioners, placed: true,
				patients: []Participant{{PatientID: p.PatientID, AuthorizationID: id}}, starts: []time.Time{v.asked.Start}, ends: []time.Time{v.asked.End},
			})
		}
	}
	if v.book, err = s.units.Open(ctx, v.now, n.held); err != nil {
		return nil, err
	}
	if v.rules, err = s.directory.SchedulingRules(ctx, n.ask(v.book)); err != nil {
		return nil, err
	}
	n.addVisits(v.book, v.rules)
	if v.occupied, err = s.store.slots(ctx, n); err != nil {
		return nil, err
	}
	staff := make([]scheduling.Key, len(v.asked.Practitioners))
	for i, id := range v.asked.Practitioners {
		staff[i] = scheduling.Key{OrganizationID: r.caller.OrganizationID, ID: id}
	}
	tables, err := s.store.availability(ctx, staff)
	for _, t := range tables {
		if t.Known() {
			v.hours = append(v.hours, t.Availability)
		}
	}
	return v, err
}

// wanted returns the appointment as the request wants it.
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

// widen asks for everything that takes place in the window, and for the rules of
// all of its days.
func (n *needs) widen(window Span, zone *time.Location) {
	for _, who := range []map[scheduling.Key][]Span{n.staff, n.patients} {
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

// authorizations returns those of the patient's others that would do.
func (v *view) authorizations() ([]AlternativeAuthorization, error) {
	found := []AlternativeAuthorization{}
	for _, id := range v.others {
		r := v.request
		if r.kind == book {
			r.booking.Patients = []BookedPatient{{v.asked.Patients[0].PatientID, id}}
		} else {
			r.change.AuthorizationID.Given, r.change.AuthorizationID.Value = true, id
		}
		ok, err := v.stands(r)
		if err != nil {
			return nil, err
		}
		if ok && len(found) < mostAlternatives {
			found = append(found, AlternativeAuthorization{id})
		}
	}
	return found, nil
}

// times returns the nearest times, in the order of how far they are from the one
// that was asked for, later ones before earlier ones. The past is offered only in
// the place of the past.
func (v *view) times() ([]AlternativeTime, error) {
	found := []AlternativeTime{}
	length := v.asked.End.Sub(v.asked.Start)
	const steps = int(alternativeDays * 24 * time.Hour / alternativeStep)
	for i := 2; i < 2*steps && len(found) < mostAlternatives; i++ {
		distance := time.Duration(i/2) * alternativeStep
		if i%2 == 1 {
			distance = -distance
		}
		span := Span{v.asked.Start.Add(distance), v.asked.Start.Add(distance + length)}
		if span.Start.Before(v.now) && !v.asked.Start.Before(v.now) || !v.awake(span) {
			continue
		}
		r := v.request
		if r.kind == book {
			r.booking.Span = span
		} else {
			r.change.Start.Given, r.change.Start.Value = true, span.Start
			r.change.End.Given, r.change.End.Value = true, span.End
		}
		ok, err := v.stands(r)
		if err != nil {
			return nil, err
		}
		if ok {
			found = append(found, AlternativeTime{span.Start.UTC(), span.End.UTC()})
		}
	}
	return found, nil
}

// awake reports whether a time is one to offer: within the hours of the
// practitioners or, where nothing is said of those, neither early nor late in the day.
func (v *view) awake(span Span) bool {
	if len(v.hours) > 0 {
		return !slices.ContainsFunc(v.hours, func(a Availability) bool { return !a.covers(span, v.request.zone) })
	}
	wall := func(t time.Time) time.Duration {
		hour, minute, _ := t.In(v.request.zone).Clock()
		return time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute
	}
	begin := wall(span.Start)
	return begin >= firstHour && begin+span.End.Sub(span.Start) <= lastHour || wall(v.asked.Start) == begin
}

// stands reports whether nothing stands against the request, and changes nothing.
func (s *scene) stands(r request) (bool, error) {
	d := draft{scene: s, request: r, sheet: s.book.Sheet()}
	before := s.appointments[r.key()]
	d.a = before.clone()
	if r.kind == book {
		err := d.placeNew()
		return err == nil && d.refusal == nil, err
	}
	err := d.reschedule(before)
	return err == nil && d.refusal == nil, err
}
