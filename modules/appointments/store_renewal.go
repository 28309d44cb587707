package appointments

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/record"
)

// backed returns the appointments that each transfer among the requests moves, by request index, in
// one statement. A transfer without a first day gets all of them. Indexes:
// appointment_patients_by_authorization, the primary key of appointments.
func (store) backed(ctx context.Context, requests []request) (map[int][]record.Key, error) {
	type row struct {
		index int
		request
	}
	var transfers []row
	for i, r := range requests {
		if r.kind == transfer {
			transfers = append(transfers, row{i, r})
		}
	}
	found := map[int][]record.Key{}
	if len(transfers) == 0 {
		return found, nil
	}
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	var rows []struct {
		Index                         int
		OrganizationID, AppointmentID uuid.UUID
	}
	err = tx.Raw(`
		SELECT k.index, p.organization_id, p.appointment_id
		FROM unnest($1::int[], $2::uuid[], $3::uuid[], $4::text[]::date[]) AS k (index, organization_id, id, since)
		CROSS JOIN LATERAL (
			SELECT * FROM appointment_patients t
			WHERE t.organization_id = k.organization_id AND t.authorization_id = k.id AND t.occupies AND t.position >= 0 OFFSET 0) p
		CROSS JOIN LATERAL (
			SELECT * FROM appointments t WHERE t.organization_id = p.organization_id AND t.id = p.appointment_id OFFSET 0) a
		WHERE a.status = 'SCHEDULED' AND a.service_date >= coalesce(k.since, '-infinity')`,
		db.Columns(transfers, func(v *db.Values, r row) {
			v.Int(r.index).UUID(r.caller.OrganizationID, r.transfer.From).Date(r.since)
		})...).Scan(&rows).Error
	for _, r := range rows {
		found[r.Index] = append(found[r.Index], record.Of(r.OrganizationID, r.AppointmentID))
	}
	return found, err
}
