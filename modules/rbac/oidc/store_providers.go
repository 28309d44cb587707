package oidc

import (
	"context"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm/clause"

	"omnirapeutic/platform/db"
)

// store reads and writes providers, links, link requests and codes, in the transaction of the context.
type store struct{}

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

// provider returns the identity provider of the caller's organization. The caller may be the
// program, on behalf of a person who has not signed in yet.
func (store) provider(ctx context.Context) (IdentityProvider, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return IdentityProvider{}, err
	}
	var r providerRow
	err = tx.Take(&r).Error
	if db.IsNotFound(err) {
		return IdentityProvider{}, ErrNoProvider
	}
	return IdentityProvider{
		r.OrganizationID, r.Issuer, r.ClientID, r.Version, r.CreatedAt, r.UpdatedAt, r.ClientSecret, r.SetBy,
	}, err
}

func (store) putProvider(ctx context.Context, p IdentityProvider) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	return tx.Clauses(clause.OnConflict{UpdateAll: true}).Create(&providerRow{
		p.OrganizationID, p.Issuer, p.ClientID, p.sealedSecret, p.Version, p.CreatedAt, p.UpdatedAt, p.setBy,
	}).Error
}

func (store) deleteProvider(ctx context.Context) error {
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

// linkedUser returns the user of the caller's organization who is linked to the provider's subject;
// [uuid.Nil]: none. Index: the primary key.
func (store) linkedUser(ctx context.Context, issuer, subject string) (user uuid.UUID, err error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return uuid.Nil, err
	}
	var rows []subjectRow
	err = tx.Where("issuer = ? AND subject = ?", issuer, subject).Find(&rows).Error
	if err != nil || len(rows) == 0 {
		return uuid.Nil, err
	}
	return rows[0].UserID, nil
}

// isLinked reports whether the user is linked to any subject of the provider. Index:
// provider_subjects_once.
func (store) isLinked(ctx context.Context, user uuid.UUID, issuer string) (bool, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return false, err
	}
	var found int64
	err = tx.Model(&subjectRow{}).Where("user_id = ? AND issuer = ?", user, issuer).Count(&found).Error
	return found > 0, err
}

func (store) insertSubject(ctx context.Context, r subjectRow) error {
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
func (store) insertCode(ctx context.Context, r codeRow, now time.Time) error {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	if err := tx.Where("expires_at <= ?", now).Delete(&codeRow{}).Error; err != nil {
		return err
	}
	return tx.Create(&r).Error
}

// takeCode removes a code of the caller's organization and returns it, so it works once. It returns the
// zero value if there is no such code.
func (store) takeCode(ctx context.Context, hash db.Hash) (codeRow, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return codeRow{}, err
	}
	var taken []codeRow
	err = tx.Clauses(clause.Returning{}).Where("hash = ?", hash).Delete(&taken).Error
	if err != nil || len(taken) == 0 {
		return codeRow{}, err
	}
	return taken[0], nil
}
