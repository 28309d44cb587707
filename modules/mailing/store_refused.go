package mailing

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

// TableName names the table for gorm.
func (RefusedAddress) TableName() string { return "refused_addresses" }

// isRefused reports whether the address has refused mail of the caller's organization. Index:
// refused_addresses_once.
func (store) isRefused(ctx context.Context, address string) (bool, error) {
	_, organization, err := db.Tenant(ctx)
	if err != nil {
		return false, err
	}
	return db.SelectOne[bool](ctx,
		"SELECT EXISTS (SELECT FROM refused_addresses WHERE organization_id = ? AND address = ?)", organization, address)
}

// mark marks an address that has refused mail. A later refusal replaces an earlier one. Index:
// refused_addresses_once.
func (store) mark(ctx context.Context, a RefusedAddress) error {
	_, err := db.Exec(ctx, `
		INSERT INTO refused_addresses (organization_id, id, address, user_id, kind, reply, refused_at)
		VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (organization_id, address) DO UPDATE
		SET user_id = excluded.user_id, kind = excluded.kind, reply = excluded.reply, refused_at = excluded.refused_at`,
		a.OrganizationID, a.ID, a.Address, a.UserID, a.Kind, a.Reply, a.RefusedAt)
	return err
}

// listRefused lists a page of refused addresses of the caller's organization. Index: the primary key.
func (store) listRefused(ctx context.Context, k db.Keyset) ([]RefusedAddress, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	var found []RefusedAddress
	err = k.Apply(tx).Find(&found).Error
	return found, err
}

// clear removes the mark with the id and returns it. The error is [ErrRefusedAddressNotFound]. Index:
// the primary key.
func (store) clear(ctx context.Context, id uuid.UUID) (RefusedAddress, error) {
	_, organization, err := db.Tenant(ctx)
	if err != nil {
		return RefusedAddress{}, err
	}
	cleared, err := db.Select[RefusedAddress](ctx,
		"DELETE FROM refused_addresses WHERE organization_id = ? AND id = ? RETURNING *", organization, id)
	if err == nil && len(cleared) == 0 {
		err = ErrRefusedAddressNotFound
	}
	if err != nil {
		return RefusedAddress{}, err
	}
	return cleared[0], nil
}

// clearAddress removes the mark of the address, if there is one. Index: refused_addresses_once.
func (store) clearAddress(ctx context.Context, address string) error {
	_, organization, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	_, err = db.Exec(ctx, "DELETE FROM refused_addresses WHERE organization_id = ? AND address = ?", organization, address)
	return err
}
