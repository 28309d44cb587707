package demo

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/appointments"
	"omnirapeutic/modules/authorization"
	"omnirapeutic/modules/directory"
	"omnirapeutic/platform/calendar"
)

// clinicWeeks is the length of the timetable: four weeks before this one, this one, and
// four after it.
const (
	clinicWeeks = 9
	pastWeeks   = 4
)

// entered is how many days before the first week the timetable was booked.
const entered = 4

// clinic is the practice's timetable: weekly series of treatment, supervision, family
// guidance and groups, and the outcomes of past appointments. It depends on the date
// and time of loading only.
type clinic struct {
	Practice
	ctx      context.Context
	zone     *time.Location
	staff    map[string]uuid.UUID // by first name
	coverage []coverage
	codes    map[string]uuid.UUID
	location uuid.UUID            // where all services are rendered
	reasons  map[string]uuid.UUID // of cancellations, by code
	monday   calendar.Date        // of the first week
	next     int                  // number of the next authorization
	past     []started
}

// started is an appointment whose start is in the past.
type started struct {
	appointments.Span
	id        uuid.UUID
	lead      string // first name of the practitioner
	treatment bool   // 97153
}

// series is one line of the timetable.
type series struct {
	code     string
	patients []int // indices of coverage
	lead     string
	days     []time.Weekday // of the first week, in order
	hour     int            // local start time
	minutes  int
	interval int // in weeks
	plan     plan
}

// plan is how an authorization relates to its bookings.
type plan int

const (
	ample     plan = iota // units are left over
	exhausted             // all units are booked
	expiring              // it ends within two weeks
	underused             // far more units than the timetable uses
	capped                // with a weekly cap
)

// timetable returns the series of the clinic's patients. Patient i is treated by
// technician i modulo 18, twice a week for three hours.
func timetable() []series {
	rbts, bcbas := allTechnicians(), allAnalysts()
	slots := [][]time.Weekday{{time.Monday, time.Wednesday}, {time.Tuesday, time.Thursday}, {time.Friday}}
	plans := []plan{ample, exhausted, expiring, underused, capped, ample, ample, ample}
	var all []series
	for i := range patientNames {
		patient, chair := []int{i + len(scenarioPatients)}, i%len(rbts)
		days, analyst, round := slots[i/len(rbts)], bcbas[chair%len(bcbas)], chair/len(bcbas)
		all = append(all, series{"97153", patient, rbts[chair], days, 9, 180, 1, plans[i%len(plans)]})
		supervised := days[min(round/3, len(days)-1):][:1] // three of an analyst's patients on one day
		all = append(all, series{"97155", patient, analyst, supervised, 9 + round%3, 60, 2, ample})
		if i%6 == 0 {
			all = append(all, series{"97156", patient, analyst, slots[2], 13 + i/len(rbts), 60, 4, ample})
		}
	}
	all = append(all, series{"97156", []int{0}, "Bea", slots[2], 11, 60, 2, ample}) // Avery's family
	for g, lead := range []string{rbts[4], rbts[5]} {
		var group []int
		for i := range 4 {
			group = append(group, len(scenarioPatients)+4+4*g+i)
		}
		all = append(all, series{"97154", group, lead, slots[2], 15, 60, 1, ample})
	}
	return all
}

// scenarioPatients are the first patients, whose authorizations have histories of their own.
var scenarioPatients = [3]string{"Avery", "Blake", "Casey"}

// allTechnicians and allAnalysts return first names.
func allTechnicians() []string { return append([]string{"Tom", "Rita"}, firstNames(technicians)...) }

func allAnalysts() []string { return append([]string{"Bea"}, firstNames(analysts)...) }

// supervisorOf returns the analyst who supervises a technician, or false for other practitioners. It is
// the analyst of the technician's patients.
func supervisorOf(lead string) (analyst string, ok bool) {
	chair := slices.Index(allTechnicians(), lead)
	if chair < 0 {
		return "", false
	}
	bcbas := allAnalysts()
	return bcbas[chair%len(bcbas)], true
}

func firstNames(names []string) []string {
	var all []string
	for _, name := range names {
		first, _ := split(name)
		all = append(all, first)
	}
	return all
}

// openClinic books the timetable and plays the past weeks.
func (p Practice) openClinic(
	own context.Context, staff map[string]uuid.UUID, covered []coverage, codes map[string]uuid.UUID,
) error {
	zone, err := time.LoadLocation(practiceZone)
	if err != nil {
		return err
	}
	today := calendar.DateIn(p.Now, zone)
	c := &clinic{Practice: p, ctx: own, zone: zone, staff: staff, coverage: covered, codes: codes, next: 3001}
	c.monday = firstMonday(today)
	places, err := p.Directory.Locations(own, directory.LocationFilter{Kind: directory.Clinic, Page: directory.Page{Limit: 1}})
	if err != nil {
		return err
	}
	c.location = places[0].ID
	if c.reasons, err = p.cancellationReasons(own); err != nil {
		return err
	}
	if err := c.hours(); err != nil {
		return err
	}
	for _, s := range timetable() {
		if err := c.book(s); err != nil {
			return fmt.Errorf("demo: booking %s of %s: %w", s.code, s.lead, err)
		}
	}
	if err := c.meet(); err != nil {
		return err
	}
	return c.playTimetable()
}

// meet enters a meeting after the hours of the clinic.
func (c *clinic) meet() error {
	const evening = 19
	start := c.at(c.monday.AddDays(7*(pastWeeks+2)), evening)
	_, err := c.Appointments(c.Now).CreateEntry(c.ctx, appointments.CalendarEntry{
		Kind: appointments.EntryMeeting, Practitioners: []uuid.UUID{c.staff["Tom"], c.staff["Rita"]},
		Span: appointments.Span{Start: start, End: start.Add(time.Hour)},
	})
	return err
}

// cancellationReasons returns the ids of the practice's reasons, by code.
func (p Practice) cancellationReasons(own context.Context) (map[string]uuid.UUID, error) {
	found, err := p.Directory.CancellationReasons(own, directory.CancellationReasonFilter{Page: directory.Page{Limit: 50}})
	ids := make(map[string]uuid.UUID, len(found))
	for _, r := range found {
		ids[r.Code] = r.ID
	}
	return ids, err
}

// firstMonday returns the first day of the timetable.
func firstMonday(today calendar.Date) calendar.Date {
	return today.AddDays(-(int(today.Time().Weekday())+6)%7 - 7*pastWeeks)
}

// at returns the instant of a local time of day.
func (c *clinic) at(day calendar.Date, hour int) time.Time {
	year, month, date := day.Time().Date()
	return time.Date(year, month, date, hour, 0, 0, 0, c.zone).UTC()
}

// hours sets working hours. One technician is away for a week soon.
func (c *clinic) hours() error {
	service := c.Appointments(c.Now)
	for _, first := range slices.Sorted(maps.Keys(c.staff)) {
		var a appointments.Availability
		for day := appointments.Weekday(1); day <= 5; day++ {
			a.Weekly = append(a.Weekly,
				appointments.WeeklyHours{Weekday: day, Hours: appointments.Hours{From: 8 * 60, To: 18 * 60}})
		}
		if first == "Hugo" {
			away := c.monday.AddDays(7 * (pastWeeks + 2))
			a.Exceptions = []appointments.Exception{{StartDate: away, EndDate: away.AddDays(4)}}
		}
		if _, err := service.SetAvailability(c.ctx, c.staff[first], "", a); err != nil {
			return err
		}
	}
	return nil
}

// book creates the authorizations of a series and books it.
func (c *clinic) book(s series) error {
	then := c.at(c.monday.AddDays(-entered), 10)
	b := appointments.Booking{Practitioners: []uuid.UUID{c.staff[s.lead]}, ServiceCodeID: c.codes[s.code]}
	b.LocationID = &c.location
	if by, ok := supervisorOf(s.lead); ok {
		b.SupervisingPractitionerID = new(c.staff[by])
	}
	weeks := (clinicWeeks + s.interval - 1) / s.interval
	for _, patient := range s.patients {
		id, err := c.authorize(s, patient, weeks*len(s.days)*s.minutes/15, then)
		if err != nil {
			return err
		}
		b.Patients = append(b.Patients,
			appointments.BookedPatient{PatientID: c.coverage[patient].patient, AuthorizationID: id})
	}
	first := c.monday.AddDays((int(s.days[0]) + 6) % 7)
	b.Start = c.at(first, s.hour)
	b.End = b.Start.Add(time.Duration(s.minutes) * time.Minute)
	names := map[time.Weekday]string{
		time.Monday:    "MO",
		time.Tuesday:   "TU",
		time.Wednesday: "WE",
		time.Thursday:  "TH",
		time.Friday:    "FR",
	}
	days := names[s.days[0]]
	for _, day := range s.days[1:] {
		days += "," + names[day]
	}
	rule := fmt.Sprintf("FREQ=WEEKLY;INTERVAL=%d;BYDAY=%s;COUNT=%d", s.interval, days, weeks*len(s.days))
	outcome, err := c.Appointments(then).BookSeries(c.ctx, b, rule, s.plan == expiring, "")
	if err != nil {
		return err
	}
	for _, o := range outcome.Occurrences {
		if o.AppointmentID != nil && o.StartTime.Before(c.Now) {
			span := appointments.Span{Start: o.StartTime, End: o.EndTime}
			c.past = append(c.past, started{Span: span, id: *o.AppointmentID, lead: s.lead, treatment: s.code == "97153"})
		}
	}
	return nil
}

// authorize creates an authorization for a patient of a series that books the units.
func (c *clinic) authorize(s series, patient, booked int, then time.Time) (uuid.UUID, error) {
	n := authorization.NewAuthorization{
		PatientID: c.coverage[patient].patient, ServiceCodeID: c.codes[s.code], InsuranceID: &c.coverage[patient].insurance,
		AuthNumber: new(fmt.Sprintf("AUTH-%d", c.next)), TotalUnits: booked + booked/3,
		StartDate: c.monday.AddDays(-7), EndDate: c.monday.AddDays(180 + c.next%5*7 - 7),
	}
	c.next++
	switch s.plan {
	case ample:
	case exhausted:
		n.TotalUnits = booked
	case expiring:
		n.EndDate = calendar.DateIn(c.Now, c.zone).AddDays(12)
	case underused:
		n.TotalUnits = 4 * booked
	case capped:
		n.Caps = []authorization.Cap{{Period: authorization.PerWeek, Units: 24}}
	}
	v, err := c.ledger(then.Add(-time.Hour)).Create(c.ctx, n)
	return v.ID, err
}
