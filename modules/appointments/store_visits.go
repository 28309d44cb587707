package appointments

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

// clocked has the service code and the clocking of an appointment.
type clocked struct {
	AppointmentID uuid.UUID
	Code          string
	Clocking
}

// clockings returns a reading of the service codes and the clocking of the appointments of the sessions that
// were read, by appointment. OFFSET 0 as in [lookUp]. Index: the primary keys.
func (r *sessionReading) clockings() db.Reading[map[uuid.UUID]clocked] {
	var rows []clocked
	return db.Reading[map[uuid.UUID]clocked]{
		Queries: []db.Query{db.Into(&rows, `
			SELECT a.id AS appointment_id, a.clocked_in_at, a.clock_in_latitude, a.clock_in_longitude, a.clocked_out_at,
				a.clock_out_latitude, a.clock_out_longitude, (SELECT min(p.code) FROM appointment_patients p
					WHERE p.organization_id = a.organization_id AND p.appointment_id = a.id) AS code
			FROM unnest($2::uuid[]) AS k (id)
			CROSS JOIN LATERAL (SELECT * FROM appointments t WHERE t.organization_id = $1 AND t.id = k.id OFFSET 0) a`,
			r.organization, db.UUIDs(r.appointments()))},
		Value: func(context.Context) (map[uuid.UUID]clocked, error) {
			found := make(map[uuid.UUID]clocked, len(rows))
			for _, row := range rows {
				found[row.AppointmentID] = row
			}
			return found, nil
		},
	}
}

// addTo adds the columns of the clocking.
func (c Clocking) addTo(v *db.Values) {
	v.OptionalTime(c.ClockedInAt).OptionalFloat(c.ClockInLatitude, c.ClockInLongitude)
	v.OptionalTime(c.ClockedOutAt).OptionalFloat(c.ClockOutLatitude, c.ClockOutLongitude)
}
