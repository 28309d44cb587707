package demo

import (
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/appointments"
	"omnirapeutic/modules/authorization"
)

// visits are appointments of two hours in every state except in progress: one completed
// and a little shorter, one cancelled, one no-show, and future ones.
var visits = []step{
	{-4, bookVisit("Tom", -3)},
	{-4, bookVisit("Rita", -2)},
	{-4, bookVisit("Tom", -1)},
	{-3, cancelVisit(1, "The family is ill.")},
	{-2, completeVisit(0, 105*time.Minute, "Requests with two words, in play. The mother was there for the last part.")},
	{0, missVisit(2)},
	{0, bookVisit("Tom", 1)},
	{0, bookVisit("Rita", 3)},
	{0, bookVisit("Tom", 5)},
}

// visitLength is the booked length of each visit.
const visitLength = 2 * time.Hour

// bookVisit books a visit in the afternoon of a day.
func bookVisit(with string, day int) func(*scenarioRun, *authorization.Service) error {
	return func(t *scenarioRun, _ *authorization.Service) error {
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

// completeVisit completes the visit with the index.
func completeVisit(index int, length time.Duration, narrative string) func(*scenarioRun, *authorization.Service) error {
	return func(t *scenarioRun, _ *authorization.Service) error {
		service := t.p.Appointments(t.now)
		booked, err := service.Get(t.ctx, t.booked[index])
		if err != nil {
			return err
		}
		_, err = service.Complete(t.ctx, booked.ID,
			appointments.Completion{End: new(booked.Start.Add(length)), Narrative: &narrative}, "")
		return err
	}
}

func cancelVisit(index int, reason string) func(*scenarioRun, *authorization.Service) error {
	return func(t *scenarioRun, _ *authorization.Service) error {
		_, err := t.p.Appointments(t.now).Cancel(t.ctx, t.booked[index], &reason, appointments.ScopeOne, "")
		return err
	}
}

func missVisit(index int) func(*scenarioRun, *authorization.Service) error {
	return func(t *scenarioRun, _ *authorization.Service) error {
		_, err := t.p.Appointments(t.now).NoShow(t.ctx, t.booked[index], nil, "")
		return err
	}
}
