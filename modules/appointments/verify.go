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

// heldUnits has the fields on which an appointment and its reservation must agree.
type heldUnits struct {
	appointment uuid.UUID
	units       int
	day         calendar.Date
}

// String describes the promise.
func (p heldUnits) String() string {
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

// consumption is a patient's part in a version of a session: its units, and the entry that it names.
type consumption struct {
	OrganizationID  uuid.UUID
	AuthorizationID uuid.UUID
	SessionID       uuid.UUID
	Version         int
	Units           int // covered by the authorization
	Entry           int64
	Present         bool // whether it is the present version
}

// compareConsumptions checks that the entries which earlier versions of sessions name have their
// units, that the entries of present versions are in force, and that all others are reversed. The
// units of present versions are checked by compareSessions.
func (c *comparison) compareConsumptions(all []consumption) {
	present := map[int64]bool{}
	for _, part := range all {
		present[part.Entry] = present[part.Entry] || part.Present
	}
	for _, part := range all {
		expected := fmt.Sprintf("%d units consumed by entry %d for version %d of session %s, reversed: %t",
			part.Units, part.Entry, part.Version, part.SessionID, !present[part.Entry])
		found := "no such entry"
		if kind, exists := c.Movements.Kind(part.Entry); exists {
			units := c.Movements.ConsumedBy(part.Entry)
			if part.Present && kind == authorization.Consume {
				units = part.Units
			}
			found = fmt.Sprintf("%d units consumed by entry %d for version %d of session %s, reversed: %t",
				units, part.Entry, part.Version, part.SessionID, c.Movements.Reversed(part.Entry))
		}
		c.report("consumption", uuid.Nil, expected, found)
	}
}

// compareAppointments checks that every open appointment has exactly its reservation, and that no
// open reservation belongs to an appointment that is not open.
func (c *comparison) compareAppointments() {
	expected := map[uuid.UUID]heldUnits{}
	for _, h := range c.holds {
		p := heldUnits{h.AppointmentID, h.Units, h.ServiceDate}
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
		found := heldUnits{*r.AppointmentID, r.Left(), r.ServiceDate}
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
