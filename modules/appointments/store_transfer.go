package appointments

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/scheduling"
)

// backed returns the appointments that each transfer among the requests moves, by request index, in
// one statement. A transfer without a first day gets all of them. Indexes:
// appointment_patients_by_authorization, the primary key of appointments.
func (store) backed(ctx context.Context, requests []request) (map[int][]scheduling.Key, error) {
	var places []int
	var organizations, authorizations []uuid.UUID
	var since []string
	for i, r := range requests {
		if r.kind == transfer {
			places, since = append(places, i), append(since, r.since.String())
			organizations, authorizations = append(organizations, r.caller.OrganizationID), append(authorizations, r.transfer.From)
		}
	}
	found := map[int][]scheduling.Key{}
	if len(places) == 0 {
		return found, nil
	}
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	var rows []struct {
		Place                         int
		OrganizationID, AppointmentID uuid.UUID
	}
	err = tx.Raw(`
		SELECT k.place, p.organization_id, p.appointment_id
		FROM unnest($1::int[], $2::uuid[], $3::uuid[], $4::text[]) AS k (place, organization_id, id, since)
		CROSS JOIN LATERAL (
			SELECT * FROM appointment_patients t
			WHERE t.organization_id = k.organization_id AND t.authorization_id = k.id AND t.occupies AND t.place >= 0 OFFSET 0) p
		CROSS JOIN LATERAL (
			SELECT * FROM appointments t WHERE t.organization_id = p.organization_id AND t.id = p.appointment_id OFFSET 0) a
		WHERE a.status = 'SCHEDULED' AND a.service_date >= coalesce(nullif(k.since, '')::date, '-infinity')`,
		places, db.UUIDs(organizations), db.UUIDs(authorizations), since).Scan(&rows).Error
	for _, r := range rows {
		found[r.Place] = append(found[r.Place], scheduling.Key{OrganizationID: r.OrganizationID, ID: r.AppointmentID})
	}
	return found, err
}
