package password

import (
	"context"
	"time"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/db"
)

func (store) saveRequest(ctx context.Context, r resetRequest) error {
	_, err := db.Exec(ctx, "INSERT INTO password_reset_requests (id, address, requested_at, source) VALUES (?, ?, ?, ?)",
		r.ID, r.Address, r.RequestedAt, r.Source)
	return err
}

// takeRequest removes the oldest request that no other instance is answering, and returns it. Index:
// the primary key; its ids grow with time.
func (store) takeRequest(ctx context.Context) ([]resetRequest, error) {
	return db.Select[resetRequest](ctx, `
		DELETE FROM password_reset_requests WHERE id = (
			SELECT id FROM password_reset_requests ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
		RETURNING id, address, requested_at, source`)
}

// hasPendingReset reports whether the user has an unexpired reset that an administrator has created, or
// that was created after the given time. Index: the primary key.
func (store) hasPendingReset(ctx context.Context, u rbac.User, now, after time.Time) (bool, error) {
	return db.SelectOne[bool](ctx, `
		SELECT EXISTS (
			SELECT FROM password_resets
			WHERE organization_id = ? AND user_id = ? AND expires_at > ? AND (created_by IS NOT NULL OR created_at > ?))`,
		u.OrganizationID, u.ID, now, after)
}

// isLinked reports whether the user signs in with an identity provider. Index:
// provider_subjects_once.
func (store) isLinked(ctx context.Context, u rbac.User) (bool, error) {
	return db.SelectOne[bool](ctx,
		"SELECT EXISTS (SELECT FROM provider_subjects WHERE organization_id = ? AND user_id = ?)", u.OrganizationID, u.ID)
}
