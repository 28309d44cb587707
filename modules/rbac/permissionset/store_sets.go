package rbac

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm/clause"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
)

// setRow is a row of permission_sets.
type setRow struct {
	OrganizationID uuid.UUID `gorm:"primaryKey"`
	Role           Role      `gorm:"primaryKey"`
	Permissions    *string   // a JSON object, scopes by permissions; nil: the default set
	Version        int
	ChangedAt      time.Time
	ChangedBy      uuid.UUID
}

// TableName names the table for gorm.
func (setRow) TableName() string { return "permission_sets" }

// permissionSets returns the sets that the caller's organization has changed, including restored
// ones. Index: the primary key; there are at most as many rows as roles.
func permissionSets(ctx context.Context) ([]PermissionSet, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	var rows []setRow
	if err := tx.Order("role").Find(&rows).Error; err != nil {
		return nil, err
	}
	found := make([]PermissionSet, len(rows))
	for i, row := range rows {
		found[i] = PermissionSet{
			Role: row.Role, Shipped: row.Permissions == nil, Held: shippedTo(row.Role), Version: row.Version,
			ChangedAt: &row.ChangedAt, ChangedBy: &row.ChangedBy,
		}
		if row.Permissions == nil {
			continue
		}
		if found[i].Held, err = readHeld(*row.Permissions); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// readHeld reads a set. Permissions and scopes unknown to this program were written by another
// version and grant nothing.
func readHeld(text string) (held, error) {
	var texts map[identity.Permission]string
	if err := json.Unmarshal([]byte(text), &texts); err != nil {
		return nil, fmt.Errorf("rbac: read a permission set: %w", err)
	}
	read, all := held{}, Permissions()
	for p, scopes := range texts {
		for name := range strings.SplitSeq(scopes, "+") {
			if scope, err := identity.ParseScope(name); err == nil && slices.Contains(all, p) {
				read[p] |= scope
			}
		}
	}
	return read, nil
}

// texts returns the scopes by permission, as texts.
func (h held) texts() map[identity.Permission]string {
	texts := make(map[identity.Permission]string, len(h))
	for p, scope := range h {
		texts[p] = scope.String()
	}
	return texts
}

// changedIn returns the sets that differ from the defaults, by role.
func changedIn(sets []PermissionSet) map[Role]held {
	changed := map[Role]held{}
	for _, set := range sets {
		if !set.Shipped {
			changed[set.Role] = set.Held
		}
	}
	return changed
}

// savePermissionSet writes the set of the caller's organization.
func savePermissionSet(ctx context.Context, set PermissionSet) error {
	tx, organization, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	row := setRow{OrganizationID: organization, Role: set.Role, Version: set.Version, ChangedAt: *set.ChangedAt, ChangedBy: *set.ChangedBy}
	if !set.Shipped {
		text, err := json.Marshal(set.Held.texts())
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
