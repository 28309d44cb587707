package directory

import (
	"context"

	"omnirapeutic/platform/db"
)

// withNoteRules returns the organization's service codes with rules for notes, without their other
// parts. Index: the primary key.
func (store) withNoteRules(ctx context.Context) ([]ServiceCode, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	var found []ServiceCode
	err = tx.Where("note IS NOT NULL OR note_changes <> '[]'").Find(&found).Error
	return found, err
}
