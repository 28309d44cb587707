package oidc

import (
	"context"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm/clause"

	"omnirapeutic/platform/db"
)

// saveRequest inserts a link request or replaces the one with its id.
func (store) saveRequest(ctx context.Context, r LinkRequest) error {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	return tx.Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "organization_id"}, {Name: "id"}},
		DoUpdates: clause.AssignmentColumns([]string{"code_hash", "challenge", "code_expires_at"}),
	}).Create(&r).Error
}

// requestOf returns the link request of a subject, nil if there is none. Index:
// provider_link_requests_once.
func (store) requestOf(ctx context.Context, issuer, subject string) (*LinkRequest, error) {
	return oneLinkRequest(ctx, "issuer = ? AND subject = ?", issuer, subject)
}

// requestWithCode returns the link request whose code has the hash, nil if there is none.
// Index: provider_link_requests_code.
func (store) requestWithCode(ctx context.Context, hash db.Hash) (*LinkRequest, error) {
	return oneLinkRequest(ctx, "code_hash = ?", hash)
}

// request returns a link request, nil if there is none. Index: the primary key.
func (store) request(ctx context.Context, id uuid.UUID) (*LinkRequest, error) {
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

// requests lists the open link requests of the caller's organization in the order of the
// primary key.
func (store) requests(ctx context.Context, after uuid.UUID, limit int, now time.Time) (found []LinkRequest, err error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	err = tx.Where("id > ? AND expires_at > ?", after, now).Order("id").Limit(limit).Find(&found).Error
	return found, err
}

func (store) deleteRequest(ctx context.Context, id uuid.UUID) error {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	return tx.Where("id = ?", id).Delete(&LinkRequest{}).Error
}

// deleteRequestsOf deletes the link requests of a user. Index: provider_link_requests_by_user.
func (store) deleteRequestsOf(ctx context.Context, user uuid.UUID) error {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	return tx.Where("user_id = ?", user).Delete(&LinkRequest{}).Error
}

// deleteLinks deletes the links, link requests and codes of a user, and returns the number of links.
// If user is nil, it concerns all users of the caller's organization.
func (store) deleteLinks(ctx context.Context, user *uuid.UUID) (links int, err error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return 0, err
	}
	for _, row := range []any{&codeRow{}, &LinkRequest{}, &subjectRow{}} {
		selected := tx
		if user != nil {
			selected = tx.Where("user_id = ?", *user)
		}
		deleted := selected.Delete(row)
		if deleted.Error != nil {
			return 0, deleted.Error
		}
		links = int(deleted.RowsAffected) // the last deletion is from provider_subjects
	}
	return links, nil
}
