package rbac

import (
	"context"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm/clause"

	"omnirapeutic/platform/db"
)

// providerRow is a row of identity_providers.
type providerRow struct {
	OrganizationID uuid.UUID `gorm:"primaryKey"`
	Issuer         string
	ClientID       string
	ClientSecret   []byte
	Version        int
	CreatedAt      time.Time
	UpdatedAt      time.Time
	SetBy          *uuid.UUID
}

// TableName names the table for gorm.
func (providerRow) TableName() string { return "identity_providers" }

// takeProvider returns the identity provider of the caller's organization. The caller may be the
// program, on behalf of a person who has not signed in yet.
func takeProvider(ctx context.Context) (IdentityProvider, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return IdentityProvider{}, err
	}
	var r providerRow
	err = tx.Take(&r).Error
	if db.IsNotFound(err) {
		return IdentityProvider{}, ErrNoProvider
	}
	return IdentityProvider{r.OrganizationID, r.Issuer, r.ClientID, r.Version, r.CreatedAt, r.UpdatedAt, r.ClientSecret, r.SetBy}, err
}

func putProvider(ctx context.Context, p IdentityProvider) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	return tx.Clauses(clause.OnConflict{UpdateAll: true}).Create(&providerRow{
		p.OrganizationID, p.Issuer, p.ClientID, p.sealedSecret, p.Version, p.CreatedAt, p.UpdatedAt, p.setBy,
	}).Error
}

func deleteProvider(ctx context.Context) error {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	return tx.Delete(&providerRow{}).Error
}

// subjectRow is a row of provider_subjects.
type subjectRow struct {
	OrganizationID uuid.UUID `gorm:"primaryKey"`
	Issuer         string    `gorm:"primaryKey"`
	Subject        string    `gorm:"primaryKey"`
	UserID         uuid.UUID
	LinkedAt       time.Time
	ConfirmedBy    *uuid.UUID
}

// TableName names the table for gorm.
func (subjectRow) TableName() string { return "provider_subjects" }

// userOfSubject returns the user of the caller's organization who is linked to the provider's
// subject. Index: the primary key of provider_subjects.
func userOfSubject(ctx context.Context, issuer, subject string) (User, error) {
	_, organization, err := db.Tenant(ctx)
	if err != nil {
		return User{}, err
	}
	tx, err := db.Handle(ctx)
	if err != nil {
		return User{}, err
	}
	found, err := takeFound(tx, `u.organization_id = ? AND u.id = (
		SELECT s.user_id FROM provider_subjects s WHERE s.organization_id = u.organization_id AND s.issuer = ? AND s.subject = ?)`,
		organization, issuer, subject)
	return found.user(), err
}

// userOfAddress returns the user of the caller's organization who has the address and is not
// linked to another subject of the provider. Indexes: users_email_once, provider_subjects_once.
func userOfAddress(ctx context.Context, issuer, email string) (User, error) {
	_, organization, err := db.Tenant(ctx)
	if err != nil {
		return User{}, err
	}
	tx, err := db.Handle(ctx)
	if err != nil {
		return User{}, err
	}
	found, err := takeFound(tx, `u.email = ? AND u.organization_id = ? AND NOT EXISTS (
		SELECT FROM provider_subjects s WHERE s.organization_id = u.organization_id AND s.user_id = u.id AND s.issuer = ?)`,
		email, organization, issuer)
	return found.user(), err
}

func insertSubject(ctx context.Context, r subjectRow) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	return tx.Create(&r).Error
}

// codeRow is a row of sign_in_codes.
type codeRow struct {
	OrganizationID uuid.UUID `gorm:"primaryKey"`
	Hash           []byte    `gorm:"primaryKey"`
	UserID         uuid.UUID
	Challenge      string
	ExpiresAt      time.Time
}

// TableName names the table for gorm.
func (codeRow) TableName() string { return "sign_in_codes" }

// insertCode stores a code and removes expired codes of the organization. Index:
// sign_in_codes_by_expiry.
func insertCode(ctx context.Context, r codeRow, now time.Time) error {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	if err := tx.Where("expires_at <= ?", now).Delete(&codeRow{}).Error; err != nil {
		return err
	}
	return tx.Create(&r).Error
}

// takeCode removes a code of the caller's organization and returns it, so it works once. The
// error is gorm's if there is no such code.
func takeCode(ctx context.Context, hash db.Hash) (codeRow, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return codeRow{}, err
	}
	var gone []codeRow
	err = tx.Clauses(clause.Returning{}).Where("hash = ?", hash).Delete(&gone).Error
	if err != nil || len(gone) == 0 {
		return codeRow{}, err
	}
	return gone[0], nil
}
