package mailing

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/trail"
)

// Settings are the settings of an organization's mail.
type Settings struct {
	OrganizationID uuid.UUID `gorm:"primaryKey"`
	Language       Language  // of users without a preference, and of people who are not users yet
	NamesPractice  bool      // in reminders of appointments
	UpdatedAt      time.Time
}

// Preferences are the mail that a user wants, in addition to mail about the user's own account.
type Preferences struct {
	OrganizationID       uuid.UUID `gorm:"primaryKey"`
	UserID               uuid.UUID `gorm:"primaryKey"`
	Language             *Language // nil: the organization's
	AlertDigest          bool      // every morning
	AppointmentReminders bool      // of the patients of whom the user is a guardian
	UpdatedAt            time.Time
}

// Settings returns the settings of the caller's organization.
func (s *Service) Settings(ctx context.Context) (Settings, error) {
	return db.Snapshot(ctx, s.Database, "mail-settings.get", s.store.settings)
}

// SetSettings replaces the settings of the caller's organization.
func (s *Service) SetSettings(ctx context.Context, language Language, namesPractice bool) (Settings, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return Settings{}, err
	}
	const action = "mail-settings.set"
	set := Settings{caller.OrganizationID, language, namesPractice, s.now()}
	// Without [db.ProvenBy]: the caller can repeat it after an unknown outcome.
	return db.Serializable(ctx, s.Database, action, func(ctx context.Context) (Settings, error) {
		if err := s.store.putSettings(ctx, set); err != nil {
			return Settings{}, err
		}
		return set, trail.RecordBy(ctx, s.Audit, trail.Event{
			Action: action, SubjectType: "organization", SubjectID: caller.OrganizationID, OccurredAt: set.UpdatedAt,
			After: recordedSettings{language, namesPractice},
		})
	})
}

// recordedSettings are settings in the audit trail.
type recordedSettings struct {
	Language      Language `json:"language"`
	NamesPractice bool     `json:"namesPractice"`
}

// MyPreferences returns the caller's preferences. The error is [identity.ErrPeopleOnly].
func (s *Service) MyPreferences(ctx context.Context) (Preferences, error) {
	caller, err := person(ctx)
	if err != nil {
		return Preferences{}, err
	}
	return db.Snapshot(ctx, s.Database, "mail-preferences.get", func(ctx context.Context) (Preferences, error) {
		return s.store.preferences(ctx, caller.UserID)
	})
}

// SetMyPreferences replaces the caller's preferences. The error is [identity.ErrPeopleOnly].
func (s *Service) SetMyPreferences(ctx context.Context, p Preferences) (Preferences, error) {
	caller, err := person(ctx)
	if err != nil {
		return Preferences{}, err
	}
	const action = "mail-preferences.set"
	p.OrganizationID, p.UserID, p.UpdatedAt = caller.OrganizationID, caller.UserID, s.now()
	// Without [db.ProvenBy]: the caller can repeat it after an unknown outcome.
	return db.Serializable(ctx, s.Database, action, func(ctx context.Context) (Preferences, error) {
		if err := s.store.putPreferences(ctx, p); err != nil {
			return Preferences{}, err
		}
		return p, trail.RecordBy(ctx, s.Audit, trail.Event{
			Action: action, SubjectType: "user", SubjectID: caller.UserID, OccurredAt: p.UpdatedAt,
			After: recordedPreferences{p.Language, p.AlertDigest, p.AppointmentReminders},
		})
	})
}

// recordedPreferences are preferences in the audit trail.
type recordedPreferences struct {
	Language             *Language `json:"language"`
	AlertDigest          bool      `json:"alertDigest"`
	AppointmentReminders bool      `json:"appointmentReminders"`
}

// person returns the caller, who must be a signed-in user.
func person(ctx context.Context) (identity.Caller, error) {
	caller, err := identity.From(ctx)
	if err == nil {
		err = caller.RequirePerson()
	}
	return caller, err
}
