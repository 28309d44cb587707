package appointments

import (
	"fmt"

	"github.com/google/uuid"

	"omnirapeutic/modules/authorization"
	"omnirapeutic/platform/calendar"
)

// comparison compares one authorization's books with the appointments on it.
type comparison struct {
	authorization.Snapshot
	holds    []Hold
	problems []authorization.Discrepancy
}

func (c *comparison) report(check string, reservation uuid.UUID, expected, found string) {
	if expected == found {
		return
	}
	p := c.Discrepancy(check, expected, found)
	if reservation != uuid.Nil {
		p.ReservationID = reservation.String()
	}
	c.problems = append(c.problems, p)
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
func (c *comparison) compareSessions() {
	consumed := make(map[uuid.UUID]int, len(c.Reservations))
	for _, r := range c.Reservations {
		consumed[r.ID] = r.Consumed
	}
	for _, h := range c.holds {
		if !h.Settled {
			continue
		}
		var reservation uuid.UUID
		if h.ReservationID != nil {
			reservation = *h.ReservationID
		}
		if used := consumed[reservation]; used != h.Units {
			c.report("session", reservation,
				fmt.Sprintf("%d units used by the session of appointment %s", h.Units, h.AppointmentID), fmt.Sprint(used))
		}
	}
}

// compareAppointments checks that every open appointment has exactly its reservation, and that no
// open reservation belongs to an appointment that is not open.
func (c *comparison) compareAppointments() {
	expected := map[uuid.UUID]promise{}
	for _, h := range c.holds {
		p := promise{h.AppointmentID, h.Units, h.ServiceDate}
		switch {
		case h.Settled:
		case h.Units == 0:
		case h.ReservationID == nil:
			c.report("appointment", uuid.Nil, p.String(), "no reservation")
		default:
			expected[*h.ReservationID] = p
		}
	}
	for _, r := range c.Reservations {
		if r.AppointmentID == nil || r.Left() == 0 {
			continue
		}
		found := promise{*r.AppointmentID, r.Left(), r.ServiceDate}
		p, ok := expected[r.ID]
		if !ok {
			c.report("appointment", r.ID, "nothing held: the appointment is not open", found.String())
			continue
		}
		c.report("appointment", r.ID, p.String(), found.String())
		delete(expected, r.ID)
	}
	for id, p := range expected {
		c.report("appointment", id, p.String(), "no open reservation")
	}
}
