package appointments

import (
	"context"

	"github.com/google/uuid"
	"gorm.io/gorm/clause"

	"omnirapeutic/platform/db"
)

// TableName returns the table name for gorm.
func (Feed) TableName() string { return "calendar_feeds" }

// feedStore stores calendar feeds.
type feedStore struct{}

func (feedStore) insertFeed(ctx context.Context, f Feed) error {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	return tx.Create(&f).Error
}

// feeds returns the feeds within the caller's record scope.
func (feedStore) feeds(ctx context.Context) ([]Feed, error) {
	tx, _, err := db.ScopedTenant(ctx, feedOwners)
	if err != nil {
		return nil, err
	}
	var found []Feed
	err = tx.Order("id").Find(&found).Error
	return found, err
}

func (feedStore) deleteFeed(ctx context.Context, id uuid.UUID) (Feed, error) {
	tx, _, err := db.ScopedTenant(ctx, feedOwners)
	if err != nil {
		return Feed{}, err
	}
	var gone []Feed
	err = tx.Clauses(clause.Returning{}).Where("id = ?", id).Delete(&gone).Error
	if err == nil && len(gone) == 0 {
		err = ErrFeedNotFound
	}
	if err != nil {
		return Feed{}, err
	}
	return gone[0], nil
}

// feedOf returns the feed with the token. Index: calendar_feeds_by_token.
func (feedStore) feedOf(ctx context.Context, tokenHash []byte) (Feed, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return Feed{}, err
	}
	var found []Feed
	err = tx.Where("token_hash = ?", tokenHash).Find(&found).Error
	if err == nil && len(found) == 0 {
		err = ErrFeedNotFound
	}
	if err != nil {
		return Feed{}, err
	}
	return found[0], nil
}

// calendar returns the appointments of a feed that overlap the span, including cancelled ones, with
// the fields that the feed needs. Indexes: appointment_practitioners_by_start,
// appointment_patients_by_start.
func (feedStore) calendar(ctx context.Context, f Feed, within Span) ([]Appointment, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	const columns = `SELECT a.id, a.status, a.starts_at, a.ends_at, a.version, a.updated_at FROM `
	const times = ` p.starts_at > $3::timestamptz - interval '24 hours' AND p.ends_at > $3 AND p.starts_at < $4
		ORDER BY a.starts_at, a.id`
	query := columns + `appointment_practitioners p JOIN appointments a ON a.organization_id = p.organization_id
		AND a.id = p.appointment_id
		WHERE p.organization_id = $1 AND p.practitioner_id = $2 AND` + times
	if f.PatientID != nil {
		query = columns + `appointment_patients p JOIN appointments a ON a.organization_id = p.organization_id
			AND a.id = p.appointment_id
		WHERE p.organization_id = $1 AND p.patient_id = $2 AND` + times
	}
	var found []Appointment
	err = tx.Raw(query, f.OrganizationID, f.owner(), within.Start, within.End).Scan(&found).Error
	return found, err
}
