package directory

import (
	"context"

	"omnirapeutic/platform/db"
)

// withNoteRules returns the query of the organization's service codes with rules for notes, without
// their other columns. Index: the primary key.
func (store) withNoteRules(ctx context.Context, found *[]ServiceCode) (db.Query, error) {
	_, organization, err := db.Tenant(ctx)
	return db.Into(found, `
		SELECT id, note, note_changes FROM service_codes
		WHERE organization_id = $1 AND (note IS NOT NULL OR note_changes <> '[]')`, organization), err
}
