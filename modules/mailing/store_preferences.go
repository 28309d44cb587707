package mailing

import (
	"context"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm/clause"

	"omnirapeutic/platform/db"
)

// TableName names the table for gorm.
func (Settings) TableName() string { return "mail_settings" }

// TableName names the table for gorm.
func (Preferences) TableName() string { return "mail_preferences" }

// settings returns the settings of the caller's organization, or the defaults. Index: the primary key.
func (store) settings(ctx context.Context) (Settings, error) {
	tx, organization, err := db.Tenant(ctx)
	if err != nil {
		return Settings{}, err
	}
	found := Settings{OrganizationID: organization, Language: English}
	err = tx.Take(&found).Error
	if db.IsNotFound(err) {
		err = nil
	}
	return found, err
}

// putSettings inserts or replaces settings.
func (store) putSettings(ctx context.Context, s Settings) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	return tx.Clauses(clause.OnConflict{UpdateAll: true}).Create(&s).Error
}

// preferences returns the preferences of a user, or the defaults. Index: the primary key.
func (store) preferences(ctx context.Context, user uuid.UUID) (Preferences, error) {
	tx, organization, err := db.Tenant(ctx)
	if err != nil {
		return Preferences{}, err
	}
	found := Preferences{OrganizationID: organization, UserID: user}
	err = tx.Where("user_id = ?", user).Take(&found).Error
	if db.IsNotFound(err) {
		err = nil
	}
	return found, err
}

// putPreferences inserts or replaces preferences.
func (store) putPreferences(ctx context.Context, p Preferences) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	return tx.Clauses(clause.OnConflict{UpdateAll: true}).Create(&p).Error
}

// reminded returns the users, among the given ones, who have asked for reminders of appointments.
// Index: the primary key.
func (store) reminded(ctx context.Context, users []uuid.UUID) ([]uuid.UUID, error) {
	return db.Select[uuid.UUID](ctx,
		"SELECT user_id FROM mail_preferences WHERE user_id IN ? AND appointment_reminders", users)
}

// digests returns the users who have asked for digests, and have had none on the day that has begun
// first anywhere. Index: mail_preferences_digest.
func (store) digests(ctx context.Context, now time.Time) ([]dueDigest, error) {
	const firstZone = 14 * time.Hour // ahead of UTC
	return db.Select[dueDigest](ctx, `
		SELECT organization_id, user_id, digest_on
		FROM mail_preferences
		WHERE alert_digest AND (digest_on IS NULL OR digest_on < ?::date)
		ORDER BY organization_id, user_id`, now.Add(firstZone).Format(time.DateOnly))
}

// takeDigest stores the day of a user's digest, and reports whether the user had none on that day.
// Index: the primary key.
func (store) takeDigest(ctx context.Context, d dueDigest, day string) (bool, error) {
	rows, err := db.Exec(ctx, `
		UPDATE mail_preferences SET digest_on = ?::date
		WHERE organization_id = ? AND user_id = ? AND alert_digest AND (digest_on IS NULL OR digest_on < ?::date)`,
		day, d.OrganizationID, d.UserID, day)
	return rows > 0, err
}
