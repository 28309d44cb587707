package demo

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/appointments"
	"omnirapeutic/modules/authorization"
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
)

// renewedPatient is the index, in the scenarios, of the patient with a renewal.
const renewedPatient = 2

// enoughUnits is the minimum number of units left on the example's authorization.
const enoughUnits = 60

// findUnits finds an authorization with units left, one of its reservations, one that can
// be deleted, and an alert.
func (f *finder) findUnits() error {
	service := f.ledger(f.Now)
	found, err := service.List(f.ctx, authorization.Filter{
		ServiceCodeID: f.code, Statuses: []authorization.Status{authorization.Active}, Page: db.Keyset{Limit: 50},
	})
	if err != nil {
		return err
	}
	for _, a := range found {
		if a.Available() < enoughUnits {
			continue
		}
		f.id("/authorizations", "authorizationId", a.ID)
		f.Fields["patientId"] = a.PatientID.String()
		f.booking.Patients = []appointments.BookedPatient{{PatientID: a.PatientID, AuthorizationID: a.ID}}
		f.body("changeAuthorization", map[string]any{"totalUnits": a.Total + 24})
		f.body("previewAuthorizationChange", map[string]any{"endDate": f.today.AddDays(2)})
		if err := f.findReservation(service, a.ID); err != nil {
			return err
		}
		break
	}
	pending, err := service.List(f.ctx, authorization.Filter{
		Statuses: []authorization.Status{authorization.Pending}, Page: db.Keyset{Limit: 1},
	})
	if err != nil {
		return err
	}
	for _, a := range pending {
		f.parameter("deleteAuthorization", "id", a.ID.String())
	}
	alerts, err := service.Alerts(f.ctx, authorization.AlertFilter{Acknowledged: new(false), Limit: 1})
	if err != nil {
		return err
	}
	for _, alert := range alerts {
		f.IDs["/alerts"] = alert.ID()
	}
	return nil
}

// findReservation finds the oldest reservation that no appointment settles.
func (f *finder) findReservation(service *authorization.Service, id uuid.UUID) error {
	reservations, _, err := service.Reservations(f.ctx, id, new(true), uuid.Nil, 50)
	if err != nil {
		return err
	}
	for _, r := range reservations {
		if r.AppointmentID == nil {
			f.body("consumeUnits",
				map[string]any{"reservationId": r.ID.String(), "units": min(3, r.Units-r.Consumed-r.Released)})
			break
		}
	}
	return nil
}

// findTransfer finds an authorization and its renewal, to which bookings can move. They
// belong to the third patient.
func (f *finder) findTransfer() error {
	if len(f.patients) <= renewedPatient {
		return nil
	}
	found, err := f.ledger(f.Now).List(f.ctx, authorization.Filter{
		PatientID: f.patients[renewedPatient].ID, ServiceCodeID: f.code,
		Statuses: []authorization.Status{authorization.Active, authorization.Upcoming}, Page: db.Keyset{Limit: 2},
	})
	if err != nil || len(found) < 2 {
		return err
	}
	since := found[1].StartDate
	if tomorrow := f.today.AddDays(1); since.Before(tomorrow) {
		since = tomorrow
	}
	for _, operation := range []string{"moveBookings", "previewMoveBookings"} {
		f.parameter(operation, "id", found[0].ID.String())
		f.body(operation, map[string]any{"from": since, "toAuthorizationId": found[1].ID.String()})
	}
	return nil
}

// findAppointments finds appointments in the states that the operations on them need.
func (f *finder) findAppointments() (err error) {
	tomorrow := appointments.Days{First: f.today.AddDays(1)}
	if f.scheduled, err = f.appointments(appointments.Scheduled, tomorrow, f.practitioner); err != nil {
		return err
	}
	for i, operation := range []string{"changeAppointment", "cancelAppointment"} {
		if i < len(f.scheduled) {
			f.id("/appointments", "appointmentId", f.scheduled[i].ID)
			f.parameter(operation, "id", f.scheduled[i].ID.String())
		}
	}
	entries, err := f.Appointments(f.Now).Entries(f.ctx, appointments.EntryFilter{}, db.Keyset{Limit: 1})
	if err != nil {
		return err
	}
	for _, entry := range entries {
		f.id("/calendar-entries", "calendarEntryId", entry.ID)
		night := entry.Start.Add(24 * time.Hour)
		f.body("createCalendarEntry", map[string]any{
			"practitionerIds": entry.Practitioners, "startTime": night, "endTime": night.Add(time.Hour / 2),
		})
	}
	started, err := f.appointments(appointments.InProgress, appointments.Days{})
	if err != nil {
		return err
	}
	for _, a := range started {
		if a.End.Before(f.Now) {
			f.parameter("clockOut", "id", a.ID.String())
			f.parameter("reopenAppointment", "id", a.ID.String())
			f.parameter("completeAppointment", "id", a.ID.String())
			f.body("completeAppointment", map[string]any{"startTime": a.Start, "endTime": a.End})
			break
		}
	}
	return f.findDue()
}

// findDue finds scheduled appointments up to today: one that is over, and one that is not.
func (f *finder) findDue() error {
	due, err := f.appointments(appointments.Scheduled, appointments.Days{Last: f.today})
	for _, a := range slices.Backward(due) { // the first ones win
		if a.End.Before(f.Now) {
			f.parameter("noShowAppointment", "id", a.ID.String())
		} else {
			f.parameter("startAppointment", "id", a.ID.String())
		}
	}
	return err
}

// appointments lists the first appointments in order of their starts. Without practitioners it includes
// all of them.
func (f *finder) appointments(
	status appointments.Status, days appointments.Days, practitioners ...uuid.UUID,
) ([]appointments.Appointment, error) {
	return f.Appointments(f.Now).List(f.ctx, appointments.Filter{
		Participants: appointments.Participants{Practitioners: practitioners}, Statuses: []appointments.Status{status}, Days: days,
		Page: db.Keyset{Column: "starts_at", Expression: "CAST(%s AS timestamptz)", Limit: 50},
	})
}

func (f *finder) findSessions() error {
	sessions, err := f.Appointments(f.Now).Sessions(f.ctx,
		appointments.SessionFilter{Page: db.Keyset{Limit: 1, Descending: true}})
	for _, s := range sessions {
		f.id("/sessions", "", s.ID)
	}
	return err
}

// findOpenings finds times for booking the example's appointment and for moving the next
// appointment.
func (f *finder) findOpenings() error {
	from, to := f.today.AddDays(1), f.today.AddDays(14)
	for name, value := range map[string]any{"from": from, "to": to, "minutes": 60} {
		f.parameter("listOpenings", name, value)
	}
	if len(f.booking.Patients) == 0 || f.practitioner == uuid.Nil {
		return nil
	}
	f.booking.Practitioners, f.booking.ServiceCodeID = []uuid.UUID{f.practitioner}, f.code
	query := appointments.OpeningsQuery{
		PractitionerID: f.practitioner,
		First:          from,
		Last:           to,
		Length:         time.Hour,
		Step:           time.Hour,
	}
	span, err := f.opening(query, appointments.Proposal{Booking: f.booking, Rule: new(exampleSeries)})
	if err != nil || span.Start.IsZero() {
		return err
	}
	times := map[string]any{"startTime": span.Start, "endTime": span.End}
	f.body("bookAppointment", times)
	f.body("previewAppointment", times)
	if len(f.scheduled) == 0 {
		return nil
	}
	moved := f.scheduled[0]
	booked := calendar.DateIn(span.Start, f.zone)
	query.First, query.Last = booked.AddDays(1), booked.AddDays(6) // free even after the series is booked
	query.AppointmentID, query.Length = moved.ID, moved.End.Sub(moved.Start)
	change := appointments.Proposal{
		Booking: appointments.Booking{Practitioners: moved.Practitioners, ServiceCodeID: moved.ServiceCodeID},
		Moves:   &moved.ID,
	}
	for _, part := range moved.Patients {
		change.Patients = append(change.Patients,
			appointments.BookedPatient{PatientID: part.PatientID, AuthorizationID: part.AuthorizationID})
	}
	if span, err = f.opening(query, change); err == nil && !span.Start.IsZero() {
		f.body("changeAppointment", map[string]any{"startTime": span.Start, "endTime": span.End})
	}
	return err
}

// opening returns the first opening for which the proposal is bookable, or the zero span.
func (f *finder) opening(query appointments.OpeningsQuery, p appointments.Proposal) (appointments.Span, error) {
	service := f.Appointments(f.Now)
	openings, err := service.Openings(f.ctx, query)
	if err != nil {
		return appointments.Span{}, err
	}
	for _, span := range openings.Spans {
		p.Span = span
		preview, err := service.Preview(f.ctx, p)
		if err != nil || preview.Bookable {
			return span, err
		}
	}
	return appointments.Span{}, nil
}
