package rbac

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

// findNames returns the names of users and API keys of the caller's organization.
// Indexes: the primary keys.
func findNames(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]string, error) {
	tx, organization, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	var rows []struct {
		ID   uuid.UUID
		Name string
	}
	err = tx.Raw(`
		SELECT id, name FROM users WHERE organization_id = @organization AND id IN @ids
		UNION ALL
		SELECT id, name FROM api_keys WHERE organization_id = @organization AND id IN @ids`,
		map[string]any{"organization": organization, "ids": ids}).Scan(&rows).Error
	names := make(map[uuid.UUID]string, len(rows))
	for _, row := range rows {
		names[row.ID] = row.Name
	}
	return names, err
}
