package authorization

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
)

// AppointmentHold is an appointment's use of an authorization, according to the appointments
// module: the units that an open one holds, or that the session of a completed one has used.
type AppointmentHold struct {
	OrganizationID  uuid.UUID
	AuthorizationID uuid.UUID
	AppointmentID   uuid.UUID
	ReservationID   *uuid.UUID // nil: it has never held any units
	Units           int
	ServiceDate     calendar.Date
	Settled         bool // used by the session; nothing is held
}

// addHolds adds the units that appointments hold, read in the same transaction as the books.
func (s *Service) addHolds(ctx context.Context, found []books) error {
	if s.appointmentHolds == nil || len(found) == 0 {
		return nil
	}
	at := make(map[authorizationKey]*books, len(found))
	keys := make([]authorizationKey, len(found))
	for i := range found {
		keys[i] = found[i].key()
		at[keys[i]] = &found[i]
	}
	organizations, ids := split(keys)
	holds, err := s.appointmentHolds(ctx, organizations, ids)
	for _, h := range holds {
		b := at[authorizationKey{h.OrganizationID, h.AuthorizationID}]
		b.holds = append(b.holds, h)
	}
	return err
}

// promise has the fields on which an appointment and its reservation must agree.
type promise struct {
	appointment uuid.UUID
	units       int
	day         calendar.Date
}

// String describes the promise.
func (p promise) String() string {
	return fmt.Sprintf("%d units on %s for appointment %s", p.units, p.day, p.appointment)
}

// compareSessions checks that the units of every session equal the units consumed for its
// appointment.
func (a *audit) compareSessions() {
	consumed := make(map[uuid.UUID]int, len(a.reservations))
	for _, r := range a.reservations {
		consumed[r.ID] = r.Consumed
	}
	for _, h := range a.holds {
		if !h.Settled {
			continue
		}
		var reservation uuid.UUID
		if h.ReservationID != nil {
			reservation = *h.ReservationID
		}
		if used := consumed[reservation]; used != h.Units {
			a.expect(
				"session", nil, reservation, fmt.Sprintf("%d units used by the session of appointment %s", h.Units, h.AppointmentID),
				fmt.Sprint(used),
			)
		}
	}
}

// compareAppointments checks that every open appointment has exactly its reservation, and that no
// open reservation belongs to an appointment that is not open.
func (a *audit) compareAppointments() {
	expected := map[uuid.UUID]promise{}
	for _, h := range a.holds {
		p := promise{h.AppointmentID, h.Units, h.ServiceDate}
		switch {
		case h.Settled:
		case h.Units == 0:
		case h.ReservationID == nil:
			a.expect("appointment", nil, uuid.Nil, p.String(), "no reservation")
		default:
			expected[*h.ReservationID] = p
		}
	}
	for _, r := range a.reservations {
		if r.AppointmentID == nil || !r.hasLeft() {
			continue
		}
		found := promise{*r.AppointmentID, r.Left(), r.ServiceDate}
		p, ok := expected[r.ID]
		if !ok {
			a.expect("appointment", nil, r.ID, "nothing held: the appointment is not open", found.String())
			continue
		}
		a.expect("appointment", nil, r.ID, p.String(), found.String())
		delete(expected, r.ID)
	}
	for id, p := range expected {
		a.expect("appointment", nil, id, p.String(), "no open reservation")
	}
}
