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

// clockings returns the service codes and the clocking of the appointments of sessions, by appointment.
// Index: the primary keys.
func (store) clockings(ctx context.Context, sessions []Session) (map[uuid.UUID]clocked, error) {
	tx, organization, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	ids := make([]uuid.UUID, len(sessions))
	for i, s := range sessions {
		ids[i] = s.AppointmentID
	}
	var rows []clocked
	err = tx.Table("appointments AS a").
		Select("a.id AS appointment_id, a.clocked_in_at, a.clock_in_latitude, a.clock_in_longitude, a.clocked_out_at, "+
			"a.clock_out_latitude, a.clock_out_longitude, (SELECT min(p.code) FROM appointment_patients p "+
			"WHERE p.organization_id = a.organization_id AND p.appointment_id = a.id) AS code").
		Where("a.organization_id = ? AND a.id IN ?", organization, ids).Scan(&rows).Error
	found := make(map[uuid.UUID]clocked, len(rows))
	for _, r := range rows {
		found[r.AppointmentID] = r
	}
	return found, err
}

// addTo adds the columns of the clocking.
func (c Clocking) addTo(v *db.Values) {
	v.OptionalTime(c.ClockedInAt).OptionalFloat(c.ClockInLatitude, c.ClockInLongitude)
	v.OptionalTime(c.ClockedOutAt).OptionalFloat(c.ClockOutLatitude, c.ClockOutLongitude)
}
