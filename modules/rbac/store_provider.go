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

// takeProvider returns the identity provider of the caller's organization, which may
// be the program itself, on behalf of somebody who is nobody yet.
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

// userOfSubject finds the user of the caller's organization whom a provider means.
// Index: the primary key of provider_subjects.
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

// userOfAddress finds the user of the caller's organization who has the address, and
// whom the provider has not recognized under another name before.
// Indexes: users_email_once, provider_subjects_once.
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

// insertCode keeps a code, and removes those of the organization that are over.
// Index: sign_in_codes_by_expiry.
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

// takeCode removes a code of the caller's organization and returns it: nobody takes
// it twice. The error is gorm's where there is none.
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
