package demo

import (
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/appointments"
	"omnirapeutic/modules/authorization"
)

// visits are appointments of two hours in every state except in progress: one completed
// and a little shorter, one cancelled, one no-show, and future ones.
var visits = []event{
	{-4, visit("Tom", -3)},
	{-4, visit("Rita", -2)},
	{-4, visit("Tom", -1)},
	{-3, callOff(1, "The family is ill.")},
	{-2, takePlace(0, 105*time.Minute, "Requests with two words, in play. The mother was there for the last part.")},
	{0, missed(2)},
	{0, visit("Tom", 1)},
	{0, visit("Rita", 3)},
	{0, visit("Tom", 5)},
}

// visitLength is the booked length of each visit.
const visitLength = 2 * time.Hour

// visit books a visit in the afternoon of a day.
func visit(with string, day int) func(*telling, *authorization.Service) error {
	return func(t *telling, _ *authorization.Service) error {
		const afternoon = 19 // UTC: the practice is in New York
		year, month, date := t.p.Now.UTC().AddDate(0, 0, day).Date()
		start := time.Date(year, month, date, afternoon, 0, 0, 0, time.UTC)
		booked, err := t.p.Appointments(t.now).Book(t.ctx, appointments.Booking{
			Patients:      []appointments.BookedPatient{{PatientID: t.coverage.patient, AuthorizationID: t.id}},
			Practitioners: []uuid.UUID{t.staff[with]}, ServiceCodeID: t.code,
			Span: appointments.Span{Start: start, End: start.Add(visitLength)},
		}, "")
		t.booked = append(t.booked, booked.Appointment.ID)
		return err
	}
}

// takePlace completes the visit with the index.
func takePlace(place int, length time.Duration, narrative string) func(*telling, *authorization.Service) error {
	return func(t *telling, _ *authorization.Service) error {
		service := t.p.Appointments(t.now)
		booked, err := service.Get(t.ctx, t.booked[place])
		if err != nil {
			return err
		}
		_, err = service.Complete(t.ctx, booked.ID,
			appointments.Completion{End: new(booked.Start.Add(length)), Narrative: &narrative}, "")
		return err
	}
}

func callOff(place int, reason string) func(*telling, *authorization.Service) error {
	return func(t *telling, _ *authorization.Service) error {
		_, err := t.p.Appointments(t.now).Cancel(t.ctx, t.booked[place], &reason, appointments.ScopeOne, "")
		return err
	}
}

func missed(place int) func(*telling, *authorization.Service) error {
	return func(t *telling, _ *authorization.Service) error {
		_, err := t.p.Appointments(t.now).NoShow(t.ctx, t.booked[place], nil, "")
		return err
	}
}
