package permissionset

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm/clause"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
)

// store reads and writes permission sets, in the transaction of the context.
type store struct{}

// setRow is a row of permission_sets.
type setRow struct {
	OrganizationID uuid.UUID `gorm:"primaryKey"`
	Role           rbac.Role `gorm:"primaryKey"`
	Permissions    *string   // a JSON object, scopes by permissions; nil: the default set
	Version        int
	ChangedAt      time.Time
	ChangedBy      uuid.UUID
}

// TableName names the table for gorm.
func (setRow) TableName() string { return "permission_sets" }

// sets returns the sets that the caller's organization has changed, including restored ones. Index:
// the primary key; there are at most as many rows as roles.
func (store) sets(ctx context.Context) ([]Set, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	var rows []setRow
	if err := tx.Order("role").Find(&rows).Error; err != nil {
		return nil, err
	}
	found := make([]Set, len(rows))
	for i, row := range rows {
		found[i] = Set{
			Role: row.Role, Default: row.Permissions == nil, Held: row.Role.Defaults(), Version: row.Version,
			ChangedAt: &row.ChangedAt, ChangedBy: &row.ChangedBy,
		}
		if row.Permissions == nil {
			continue
		}
		if found[i].Held, err = parseHeld(*row.Permissions); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// parseHeld parses a set. Permissions and scopes unknown to this program were written by another
// version and grant nothing.
func parseHeld(text string) (rbac.Held, error) {
	var texts map[identity.Permission]string
	if err := json.Unmarshal([]byte(text), &texts); err != nil {
		return nil, fmt.Errorf("rbac: parse a permission set: %w", err)
	}
	parsed, all := rbac.Held{}, rbac.Permissions()
	for p, scopes := range texts {
		for name := range strings.SplitSeq(scopes, "+") {
			if scope, err := identity.ParseScope(name); err == nil && slices.Contains(all, p) {
				parsed[p] |= scope
			}
		}
	}
	return parsed, nil
}

// save writes the set of the caller's organization.
func (store) save(ctx context.Context, set Set) error {
	tx, organization, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	row := setRow{
		OrganizationID: organization, Role: set.Role, Version: set.Version,
		ChangedAt: *set.ChangedAt, ChangedBy: *set.ChangedBy,
	}
	if !set.Default {
		text, err := json.Marshal(set.Held.Texts())
		if err != nil {
			return err
		}
		row.Permissions = new(string(text))
	}
	return tx.Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "organization_id"}, {Name: "role"}},
		DoUpdates: clause.AssignmentColumns([]string{"permissions", "version", "changed_at", "changed_by"}),
	}).Create(&row).Error
}
