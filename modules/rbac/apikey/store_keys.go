package rbac

import (
	"context"
	"database/sql/driver"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
)

// permissionList is a text[] of permissions, none of which needs quoting.
type permissionList []identity.Permission

// Value writes the list to the database.
func (l permissionList) Value() (driver.Value, error) {
	texts := make([]string, len(l))
	for i, p := range l {
		texts[i] = string(p)
	}
	return "{" + strings.Join(texts, ",") + "}", nil
}

// Scan reads the list from the database.
func (l *permissionList) Scan(value any) error {
	text, ok := value.(string)
	if !ok {
		return fmt.Errorf("rbac: a list of permissions is %T", value)
	}
	*l = permissionList{}
	for each := range strings.SplitSeq(strings.Trim(text, "{}"), ",") {
		if each != "" {
			*l = append(*l, identity.Permission(each))
		}
	}
	return nil
}

// apiKeyRow is a row of api_keys.
type apiKeyRow struct {
	OrganizationID uuid.UUID `gorm:"primaryKey"`
	ID             uuid.UUID `gorm:"primaryKey"`
	Name           string
	Begins         string
	Hash           db.Hash
	Permissions    permissionList
	CreatedBy      uuid.UUID
	CreatedAt      time.Time
	ExpiresAt      *time.Time
	LastUsedAt     *time.Time
	RevokedBy      *uuid.UUID
	RevokedAt      *time.Time
	OwnedBy        *uuid.UUID
	Networks       networkList
}

// TableName names the table for gorm.
func (apiKeyRow) TableName() string { return "api_keys" }

func (r apiKeyRow) key() APIKey {
	owner := r.CreatedBy
	if r.OwnedBy != nil {
		owner = *r.OwnedBy
	}
	return APIKey{
		OwnedBy: owner, Networks: r.Networks,
		OrganizationID: r.OrganizationID, ID: r.ID, Name: r.Name, Begins: r.Begins, Permissions: r.Permissions,
		CreatedBy: r.CreatedBy, CreatedAt: r.CreatedAt, ExpiresAt: r.ExpiresAt, LastUsedAt: r.LastUsedAt,
		RevokedBy: r.RevokedBy, RevokedAt: r.RevokedAt,
	}
}

func insertAPIKey(ctx context.Context, k APIKey, hash db.Hash) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	return tx.Create(&apiKeyRow{
		OrganizationID: k.OrganizationID, ID: k.ID, Name: k.Name, Begins: k.Begins, Hash: hash, Permissions: k.Permissions,
		CreatedBy: k.CreatedBy, CreatedAt: k.CreatedAt, ExpiresAt: k.ExpiresAt, OwnedBy: &k.OwnedBy, Networks: k.Networks,
	}).Error
}

func apiKeyExists(ctx context.Context, id uuid.UUID) (bool, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return false, err
	}
	var found int64
	err = tx.Model(&apiKeyRow{}).Where("id = ?", id).Count(&found).Error
	return found == 1, err
}

// takeAPIKey returns a key of the caller's organization.
func takeAPIKey(ctx context.Context, id uuid.UUID) (APIKey, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return APIKey{}, err
	}
	var row apiKeyRow
	err = tx.Where("id = ?", id).Take(&row).Error
	if db.IsNotFound(err) {
		return APIKey{}, ErrKeyNotFound
	}
	return row.key(), err
}

// keyOwner is the SQL expression for the owner of an API key.
const keyOwner = "coalesce(owned_by, created_by)"

// listAPIKeys lists keys in the order of the primary key.
func listAPIKeys(ctx context.Context, owner, after uuid.UUID, limit int) ([]APIKey, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	if owner != uuid.Nil {
		tx = tx.Where(keyOwner+" = ?", owner)
	}
	var rows []apiKeyRow
	if err := tx.Where("id > ?", after).Order("id").Limit(limit).Find(&rows).Error; err != nil {
		return nil, err
	}
	keys := make([]APIKey, len(rows))
	for i, row := range rows {
		keys[i] = row.key()
	}
	return keys, nil
}

func revokeAPIKey(ctx context.Context, k APIKey) error {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	return tx.Model(&apiKeyRow{}).Where("id = ?", k.ID).
		Select("revoked_by", "revoked_at").UpdateColumns(&apiKeyRow{RevokedBy: k.RevokedBy, RevokedAt: k.RevokedAt}).Error
}

// openKeysOf returns a user's API keys that are neither revoked nor expired. It reads all keys of
// the organization; there are dozens.
func openKeysOf(ctx context.Context, owner uuid.UUID, now time.Time) ([]APIKey, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	var rows []apiKeyRow
	err = tx.Where(keyOwner+" = ? AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?)", owner, now).
		Order("id").Find(&rows).Error
	keys := make([]APIKey, len(rows))
	for i, row := range rows {
		keys[i] = row.key()
	}
	return keys, err
}

// updateKeyOwner gives an API key another owner. Index: the primary key.
func updateKeyOwner(ctx context.Context, id, owner uuid.UUID) error {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	return tx.Model(&apiKeyRow{}).Where("id = ?", id).UpdateColumn("owned_by", owner).Error
}

// ownerActive is the condition for API keys whose owner is not disabled. Index: the primary key of users.
const ownerActive = `EXISTS (
	SELECT FROM users o
	WHERE o.organization_id = api_keys.organization_id AND o.id = ` + keyOwner + ` AND o.status = 'ACTIVE')`

// apiKeyOf finds a key of any organization by its hash, unless the organization or the key's owner
// is disabled. Index: api_keys_by_hash.
func apiKeyOf(ctx context.Context, hash db.Hash) (APIKey, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return APIKey{}, err
	}
	var row apiKeyRow
	err = tx.Where("hash = ? AND "+organizationOpen+" AND "+ownerActive, hash).Take(&row).Error
	if db.IsNotFound(err) {
		return APIKey{}, ErrKeyNotFound
	}
	return row.key(), err
}

// updateKeyUses writes when keys were last used, unless a later use is already stored. Index: the
// primary key.
func updateKeyUses(ctx context.Context, last map[keyName]time.Time) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	var organizations, ids []uuid.UUID
	var times []time.Time
	for name, at := range last {
		organizations, ids, times = append(organizations, name.organization), append(ids, name.id), append(times, at)
	}
	return tx.Exec(`
		UPDATE api_keys k SET last_used_at = u.at
		FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) AS u (organization_id, id, at)
		WHERE k.organization_id = u.organization_id AND k.id = u.id AND (k.last_used_at IS NULL OR k.last_used_at < u.at)`,
		db.UUIDs(organizations), db.UUIDs(ids), times).Error
}
