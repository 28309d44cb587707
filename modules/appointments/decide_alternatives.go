package appointments

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/authorization"
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/record"
)

// Alternatives are the bookings that would currently be accepted instead of a refused one.
// Nothing is reserved: another booking may come first.
type Alternatives struct {
	// The nearest free times of the same length, nearest first.
	Times []AlternativeTime `json:"times"`
	// The other authorizations of the patient that cover the service at the requested time.
	Authorizations []AlternativeAuthorization `json:"authorizations"`
}

// AlternativeTime is a time at which all participants are free and that the authorizations cover.
type AlternativeTime struct {
	StartTime time.Time `json:"startTime"`
	EndTime   time.Time `json:"endTime"`
	// The first and the last names of the practitioners, in the order of the request.
	Practitioners []string `json:"practitioners"`
}

// AlternativeAuthorization is an authorization with enough units.
type AlternativeAuthorization struct {
	AuthorizationID uuid.UUID     `json:"authorizationId"`
	AuthNumber      *string       `json:"authNumber"`
	AvailableUnits  int           `json:"availableUnits"`
	EndDate         calendar.Date `json:"endDate"`
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
	movable = []string{
		ErrPractitionerOverlap.Code(), ErrPractitionerBusy.Code(), ErrPatientOverlap.Code(), "outside-authorization-dates",
		"cap-exceeded",
	}
	coverage = []string{"outside-authorization-dates", "cap-exceeded", "authorization-not-active", "insufficient-units"}
)

// alternativeSearch has all records that the search for alternatives needs.
type alternativeSearch struct {
	records
	request   request
	requested Appointment // at the requested time
	hours     []Availability
	others    []authorization.View // the patient's other authorizations
}

// requestedAppointment returns the requested appointment.
func requestedAppointment(r request, before Appointment) Appointment {
	if r.kind == book {
		a := Appointment{ServiceCodeID: r.booking.ServiceCodeID, Span: r.booking.Span, Practitioners: r.booking.Practitioners}
		a.Place = r.booking.Place
		for _, p := range r.booking.Patients {
			a.Patients = append(a.Patients, Participant{PatientID: p.PatientID, AuthorizationID: p.AuthorizationID})
		}
		return a
	}
	a := before.clone()
	r.change.Start.Apply(&a.Start)
	r.change.End.Apply(&a.End)
	r.change.Practitioners.Apply(&a.Practitioners)
	a.Place = r.change.Place.of(a.Place)
	if r.change.AuthorizationID.Given && len(a.Patients) == 1 {
		a.Patients[0].AuthorizationID = r.change.AuthorizationID.Value
	}
	return a
}

// addWindow adds all appointments in the window, and the rules of all its days.
func (n *needs) addWindow(window Span, zone *time.Location) {
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
func (v *alternativeSearch) authorizations() ([]AlternativeAuthorization, error) {
	found := []AlternativeAuthorization{}
	for _, other := range v.others {
		r, id := v.request, other.ID
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
			found = append(found, AlternativeAuthorization{
				AuthorizationID: id, AuthNumber: other.AuthNumber, AvailableUnits: other.Available(), EndDate: other.EndDate,
			})
		}
	}
	return found, nil
}

// times returns the nearest times, sorted by distance from the requested one, later times first.
// Past times are offered only if the requested time is in the past.
func (v *alternativeSearch) times() ([]AlternativeTime, error) {
	found := []AlternativeTime{}
	length := v.requested.End.Sub(v.requested.Start)
	const steps = int(alternativeDays * 24 * time.Hour / alternativeStep)
	for i := 2; i < 2*steps && len(found) < mostAlternatives; i++ {
		distance := time.Duration(i/2) * alternativeStep
		if i%2 == 1 {
			distance = -distance
		}
		span := Span{v.requested.Start.Add(distance), v.requested.Start.Add(distance + length)}
		if span.Start.Before(v.now) && !v.requested.Start.Before(v.now) || !v.isSuitable(span) {
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
			found = append(found, AlternativeTime{span.Start.UTC(), span.End.UTC(), v.staffNames()})
		}
	}
	return found, nil
}

// staffNames returns the names of the practitioners of the requested appointment.
func (v *alternativeSearch) staffNames() []string {
	names := make([]string, len(v.requested.Practitioners))
	for i, id := range v.requested.Practitioners {
		names[i] = v.rules.Practitioners[record.Of(v.request.caller.OrganizationID, id)].Name
	}
	return names
}

// isSuitable reports whether a time is suitable: within the practitioners' hours or, for practitioners
// without hours, during the day.
func (v *alternativeSearch) isSuitable(span Span) bool {
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
