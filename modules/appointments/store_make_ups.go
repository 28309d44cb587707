package appointments

import (
	"context"
	"slices"

	"omnirapeutic/platform/record"
)

// makeUps returns the make-ups of missed appointments with their participants, sorted by start. Index:
// appointments_by_missed.
func (s store) makeUps(ctx context.Context, missed []record.Key) ([]Appointment, error) {
	rows, err := lookUp[Appointment](ctx, missed, `
		SELECT m.* FROM unnest($1::uuid[], $2::uuid[]) AS k (organization_id, id)
		CROSS JOIN LATERAL (
			SELECT * FROM appointments t WHERE t.organization_id = k.organization_id AND t.make_up_for = k.id OFFSET 0) m`)
	if err != nil {
		return nil, err
	}
	found, err := s.withParticipants(ctx, rows)
	slices.SortFunc(found, func(x, y Appointment) int { return x.Start.Compare(y.Start) })
	return found, err
}
