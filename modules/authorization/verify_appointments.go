package authorization

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
)

// AppointmentHold is what an open appointment holds of an authorization, or what the
// session of a completed one has used of it, by the account of whoever keeps appointments.
type AppointmentHold struct {
	OrganizationID  uuid.UUID
	AuthorizationID uuid.UUID
	AppointmentID   uuid.UUID
	ReservationID   *uuid.UUID // nil: it has never held anything
	Units           int
	ServiceDate     calendar.Date
	Settled         bool // the session's: nothing is held any more
}

// addHolds fills in what appointments say that they hold, in the transaction that
// has read the books, so that both are of one moment.
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

// promise is what an appointment and its reservation must agree on.
type promise struct {
	appointment uuid.UUID
	units       int
	day         calendar.Date
}

// String tells the promise in words.
func (p promise) String() string {
	return fmt.Sprintf("%d units on %s for appointment %s", p.units, p.day, p.appointment)
}

// compareSessions checks that for every completed appointment as many units were consumed
// as its session says.
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
			a.expect("session", nil, reservation, fmt.Sprintf("%d units used by the session of appointment %s", h.Units, h.AppointmentID), fmt.Sprint(used))
		}
	}
}

// compareAppointments checks that every open appointment has exactly its
// reservation, and that no open reservation names one that is not open.
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
