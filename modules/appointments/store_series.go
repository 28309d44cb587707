package appointments

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/record"
)

// insertSeries writes new series.
func (store) insertSeries(ctx context.Context, rows []Series) error {
	if len(rows) == 0 {
		return nil
	}
	columns := db.Columns(rows, func(v *db.Values, s Series) {
		v.UUID(s.OrganizationID, s.ID).Text(s.RecurrenceRule).UUID(s.CreatedBy).Time(s.CreatedAt)
	})
	return db.Write(ctx, len(rows), `
		INSERT INTO appointment_series (organization_id, id, recurrence_rule, created_by, created_at)
		SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::timestamptz[])`, columns...)
}

// seriesOf returns, for each appointment that belongs to a series, all appointments of that series,
// including itself, in one statement. Indexes: the primary key, appointments_by_series.
func (store) seriesOf(ctx context.Context, named []record.Key) (map[record.Key][]uuid.UUID, error) {
	rows, err := lookUp[struct{ OrganizationID, NamedID, MemberID uuid.UUID }](ctx, named, `
		SELECT k.organization_id, k.id AS named_id, m.id AS member_id FROM unnest($1::uuid[],
			$2::uuid[]) AS k (organization_id, id)
		CROSS JOIN LATERAL (
			SELECT series_id FROM appointments t WHERE t.organization_id = k.organization_id AND t.id = k.id OFFSET 0) a
		CROSS JOIN LATERAL (
			SELECT id FROM appointments t WHERE t.organization_id = k.organization_id AND t.series_id = a.series_id OFFSET 0) m`)
	found := map[record.Key][]uuid.UUID{}
	for _, r := range rows {
		key := record.Of(r.OrganizationID, r.NamedID)
		found[key] = append(found[key], r.MemberID)
	}
	return found, err
}
