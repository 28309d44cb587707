package audit

import (
	"context"
	"strings"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

// search returns events of the caller's organization that match the filter, ordered by time and
// then by sequence number. Indexes: the primary key, or the one of actor, patient or subject; all
// of them have this order.
func (store) search(ctx context.Context, f Filter, after *cursor, newestFirst bool, limit int) ([]Entry, error) {
	_, organization, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	conditions, values := []string{"e.organization_id = @organization"}, map[string]any{
		"organization": organization, "limit": limit,
	}
	add := func(condition, name string, value any) {
		conditions = append(conditions, condition)
		values[name] = value
	}
	for column, id := range map[string]uuid.UUID{
		"actor_id": f.ActorID, "patient_id": f.PatientID, "subject_id": f.SubjectID,
	} {
		if id != uuid.Nil {
			add("e."+column+" = @"+column, column, id)
		}
	}
	switch {
	case strings.HasSuffix(f.Action, "."):
		add("starts_with(e.action, @action)", "action", f.Action)
	case f.Action != "":
		add("e.action = @action", "action", f.Action)
	}
	if f.Outcome != "" {
		add("e.outcome = @outcome", "outcome", string(f.Outcome))
	}
	if !f.From.IsZero() {
		add("e.occurred_at >= @from", "from", f.From)
	}
	if !f.To.IsZero() {
		add("e.occurred_at < @to", "to", f.To)
	}
	sign, direction := ">", "ASC"
	if newestFirst {
		sign, direction = "<", "DESC"
	}
	if after != nil {
		add("(e.occurred_at, e.sequence) "+sign+" (@at, @sequence)", "at", after.OccurredAt)
		values["sequence"] = after.Sequence
	}
	var found []Entry
	err = tx.Raw(`
		WITH e AS (
			SELECT * FROM audit_events e
			WHERE `+strings.Join(conditions, " AND ")+`
			ORDER BY e.occurred_at `+direction+`, e.sequence `+direction+`
			LIMIT @limit
		)
		SELECT `+eventColumns+`, s.position, s.hash
		FROM e LEFT JOIN audit_seals s ON s.organization_id = e.organization_id AND s.sequence = e.sequence
		ORDER BY e.occurred_at `+direction+`, e.sequence `+direction, values).Scan(&found).Error
	return found, err
}
