package rbac

import (
	"context"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"omnirapeutic/platform/db"
)

// saveLinkRequest inserts a link request or replaces the one with its id.
func saveLinkRequest(ctx context.Context, r LinkRequest) error {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	return tx.Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "organization_id"}, {Name: "id"}},
		DoUpdates: clause.AssignmentColumns([]string{"code_hash", "challenge", "code_expires_at"}),
	}).Create(&r).Error
}

// linkRequestOf returns the link request of a subject, nil if there is none. Index:
// provider_link_requests_once.
func linkRequestOf(ctx context.Context, issuer, subject string) (*LinkRequest, error) {
	return oneLinkRequest(ctx, "issuer = ? AND subject = ?", issuer, subject)
}

// linkRequestWithCode returns the link request whose code has the hash, nil if there is none.
// Index: provider_link_requests_code.
func linkRequestWithCode(ctx context.Context, hash db.Hash) (*LinkRequest, error) {
	return oneLinkRequest(ctx, "code_hash = ?", hash)
}

// takeLinkRequest returns a link request, nil if there is none. Index: the primary key.
func takeLinkRequest(ctx context.Context, id uuid.UUID) (*LinkRequest, error) {
	return oneLinkRequest(ctx, "id = ?", id)
}

func oneLinkRequest(ctx context.Context, condition string, values ...any) (*LinkRequest, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	var found []LinkRequest
	err = tx.Where(condition, values...).Find(&found).Error
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

// findLinkRequests lists the open link requests of the caller's organization in the order of the
// primary key.
func findLinkRequests(ctx context.Context, after uuid.UUID, limit int, now time.Time) (found []LinkRequest, err error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	err = tx.Where("id > ? AND expires_at > ?", after, now).Order("id").Limit(limit).Find(&found).Error
	return found, err
}

func deleteLinkRequest(ctx context.Context, id uuid.UUID) error {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	return tx.Where("id = ?", id).Delete(&LinkRequest{}).Error
}

// deleteLinkRequestsOf deletes the link requests of a user. Index: provider_link_requests_by_user.
func deleteLinkRequestsOf(ctx context.Context, user uuid.UUID) error {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	return tx.Where("user_id = ?", user).Delete(&LinkRequest{}).Error
}

// providerTraces counts the links of an identity provider that ended, and holds its sign-ins.
type providerTraces struct {
	links   int
	signIns []uuid.UUID
}

// deleteProviderTraces deletes the links, link requests and codes of one user, or of all users of
// the caller's organization if user is nil, and ends the provider's sign-ins. It returns the
// sign-ins that continue or whose access tokens may still be valid. It reads all sign-ins of the
// organization, from the last weeks.
func deleteProviderTraces(ctx context.Context, user *uuid.UUID, now time.Time) (ended providerTraces, err error) {
	tx, organization, err := db.Tenant(ctx)
	if err != nil {
		return ended, err
	}
	of := func() *gorm.DB {
		if user == nil {
			return tx
		}
		return tx.Where("user_id = ?", *user)
	}
	for _, row := range []any{&codeRow{}, &LinkRequest{}, &subjectRow{}} {
		deleted := of().Delete(row)
		if deleted.Error != nil {
			return ended, deleted.Error
		}
		ended.links = int(deleted.RowsAffected) // the last deletion is from provider_subjects
	}
	err = tx.Raw(`
		UPDATE sign_ins SET ended_at = $1
		WHERE organization_id = $2 AND by_provider AND ended_at IS NULL AND ($3::uuid IS NULL OR user_id = $3)
			AND (idle_until > $1 AND ends_at > $1 OR used_at > $4)
		RETURNING id`, now, organization, user, now.Add(-keepChanges)).Scan(&ended.signIns).Error
	return ended, err
}

// recognizableRoles returns the roles of all users whom an identity provider of the caller's
// organization could recognize, directly or by an open invitation. Indexes: primary keys of users
// and user_roles; an organization has hundreds of users.
func recognizableRoles(ctx context.Context, now time.Time) (roles []Role, err error) {
	tx, organization, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	err = tx.Raw(`
		SELECT DISTINCT r.role
		FROM user_roles r
		JOIN users u ON u.organization_id = r.organization_id AND u.id = r.user_id
		WHERE r.organization_id = $1 AND u.status = 'ACTIVE' AND NOT EXISTS (
			SELECT FROM user_roles s
			WHERE s.organization_id = r.organization_id AND s.user_id = r.user_id AND s.role = 'SUPER_ADMIN')
		UNION
		SELECT unnest(i.roles)
		FROM invitations i
		WHERE i.organization_id = $1 AND `+isOpen+` AND i.expires_at > $2 AND NOT 'SUPER_ADMIN' = ANY (i.roles)`,
		organization, now).Scan(&roles).Error
	return roles, err
}
