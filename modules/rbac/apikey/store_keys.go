package apikey

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
		return fmt.Errorf("rbac: cannot read permissions from %T", value)
	}
	*l = permissionList{}
	for name := range strings.SplitSeq(strings.Trim(text, "{}"), ",") {
		if name != "" {
			*l = append(*l, identity.Permission(name))
		}
	}
	return nil
}

// store reads and writes API keys, in the transaction of the context.
type store struct{}

// keyRow is a row of api_keys.
type keyRow struct {
	OrganizationID uuid.UUID `gorm:"primaryKey"`
	ID             uuid.UUID `gorm:"primaryKey"`
	Name           string
	Prefix         string
	Hash           db.Hash
	Permissions    permissionList
	CreatedBy      uuid.UUID
	CreatedAt      time.Time
	ExpiresAt      *time.Time
	LastUsedAt     *time.Time
	RevokedBy      *uuid.UUID
	RevokedAt      *time.Time
	OwnedBy        *uuid.UUID
	Networks       Networks
	APIVersion     *string
}

// TableName names the table for gorm.
func (keyRow) TableName() string { return "api_keys" }

func (r keyRow) key() Key {
	owner := r.CreatedBy
	if r.OwnedBy != nil {
		owner = *r.OwnedBy
	}
	return Key{
		OwnedBy: owner, Networks: r.Networks,
		OrganizationID: r.OrganizationID, ID: r.ID, Name: r.Name, Prefix: r.Prefix, Permissions: r.Permissions,
		CreatedBy: r.CreatedBy, CreatedAt: r.CreatedAt, ExpiresAt: r.ExpiresAt, LastUsedAt: r.LastUsedAt,
		RevokedBy: r.RevokedBy, RevokedAt: r.RevokedAt, APIVersion: r.APIVersion,
	}
}

func (store) insert(ctx context.Context, k Key, hash db.Hash) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	return tx.Create(&keyRow{
		OrganizationID: k.OrganizationID, ID: k.ID, Name: k.Name, Prefix: k.Prefix, Hash: hash, Permissions: k.Permissions,
		CreatedBy: k.CreatedBy, CreatedAt: k.CreatedAt, ExpiresAt: k.ExpiresAt, OwnedBy: &k.OwnedBy, Networks: k.Networks,
		APIVersion: k.APIVersion,
	}).Error
}

func (store) exists(ctx context.Context, id uuid.UUID) (bool, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return false, err
	}
	var found int64
	err = tx.Model(&keyRow{}).Where("id = ?", id).Count(&found).Error
	return found == 1, err
}

// key returns a key of the caller's organization.
func (store) key(ctx context.Context, id uuid.UUID) (Key, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return Key{}, err
	}
	var row keyRow
	err = tx.Where("id = ?", id).Take(&row).Error
	if db.IsNotFound(err) {
		return Key{}, ErrNotFound
	}
	return row.key(), err
}

// keyOwner is the SQL expression for the owner of an API key.
const keyOwner = "coalesce(owned_by, created_by)"

// list lists keys in the order of the primary key.
func (store) list(ctx context.Context, owner, after uuid.UUID, limit int) ([]Key, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	if owner != uuid.Nil {
		tx = tx.Where(keyOwner+" = ?", owner)
	}
	var rows []keyRow
	if err := tx.Where("id > ?", after).Order("id").Limit(limit).Find(&rows).Error; err != nil {
		return nil, err
	}
	keys := make([]Key, len(rows))
	for i, row := range rows {
		keys[i] = row.key()
	}
	return keys, nil
}

func (store) revoke(ctx context.Context, k Key) error {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	return tx.Model(&keyRow{}).Where("id = ?", k.ID).
		Select("revoked_by", "revoked_at").UpdateColumns(&keyRow{RevokedBy: k.RevokedBy, RevokedAt: k.RevokedAt}).Error
}

// openKeys returns a user's API keys that are neither revoked nor expired. It reads all keys of
// the organization; there are dozens.
func (store) openKeys(ctx context.Context, owner uuid.UUID, now time.Time) ([]Key, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	var rows []keyRow
	err = tx.Where(keyOwner+" = ? AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?)", owner, now).
		Order("id").Find(&rows).Error
	keys := make([]Key, len(rows))
	for i, row := range rows {
		keys[i] = row.key()
	}
	return keys, err
}

// setOwner gives an API key another owner. Index: the primary key.
func (store) setOwner(ctx context.Context, id, owner uuid.UUID) error {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	return tx.Model(&keyRow{}).Where("id = ?", id).UpdateColumn("owned_by", owner).Error
}

// ownerActive is the condition for API keys whose owner is not disabled. Index: the primary key of users.
const ownerActive = `EXISTS (
	SELECT FROM users o
	WHERE o.organization_id = api_keys.organization_id AND o.id = ` + keyOwner + ` AND o.status = 'ACTIVE')`

// keyWithHash finds a key of any organization by its hash, unless the key's owner is disabled. Index:
// api_keys_by_hash.
func (store) keyWithHash(ctx context.Context, hash db.Hash) (Key, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return Key{}, err
	}
	var row keyRow
	err = tx.Where("hash = ? AND "+ownerActive, hash).Take(&row).Error
	if db.IsNotFound(err) {
		return Key{}, ErrNotFound
	}
	return row.key(), err
}

// names returns the names of keys of the caller's organization. Index: the primary key.
func (store) names(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]string, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	var rows []keyRow
	err = tx.Where("id IN ?", ids).Select("id", "name").Find(&rows).Error
	names := make(map[uuid.UUID]string, len(rows))
	for _, r := range rows {
		names[r.ID] = r.Name
	}
	return names, err
}

// writeUses writes when keys were last used, unless a later use is already stored. Index: the
// primary key.
func (store) writeUses(ctx context.Context, last map[keyID]time.Time) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	var organizations, ids []uuid.UUID
	var times []time.Time
	for key, at := range last {
		organizations, ids, times = append(organizations, key.organization), append(ids, key.id), append(times, at)
	}
	return tx.Exec(`
		UPDATE api_keys k SET last_used_at = u.at
		FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) AS u (organization_id, id, at)
		WHERE k.organization_id = u.organization_id AND k.id = u.id AND (k.last_used_at IS NULL OR k.last_used_at < u.at)`,
		db.UUIDs(organizations), db.UUIDs(ids), times).Error
}
