package mailing

import (
	"context"
	"net/http"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/permission"
)

func (s *Service) preferenceRoutes() []httpx.Route {
	return []httpx.Route{
		{
			Method: http.MethodGet, Path: "/mail/settings", Permission: permission.OrganizationRead,
			Name: "getMailSettings", Summary: "Get the mail settings",
			Description: "The language of the organization's mail, and whether reminders of appointments name the practice.",
			Endpoint:    httpx.Handle(http.StatusOK, s.handleSettings),
		},
		{
			Method: http.MethodPut, Path: "/mail/settings", Permission: permission.OrganizationChange,
			Name: "setMailSettings", Summary: "Set the mail settings",
			Description: "`language` applies to users without a preference, and to people who are not users yet. Reminders of " +
				"appointments contain no health data. With `namesPractice` they name the practice, whose name may reveal a kind " +
				"of treatment.",
			Endpoint: httpx.Handle(http.StatusOK, s.handleSetSettings),
		},
		{
			Method: http.MethodGet, Path: "/auth/me/mail", Permission: httpx.SignedIn,
			Name: "getMyMailPreferences", Summary: "Get my mail preferences",
			Description: "The caller's language, and the mail that the caller has asked for.",
			Refusals:    []*fault.Error{identity.ErrPeopleOnly},
			Endpoint:    httpx.Handle(http.StatusOK, s.handleMyPreferences),
		},
		{
			Method: http.MethodPut, Path: "/auth/me/mail", Permission: httpx.SignedIn,
			Name: "setMyMailPreferences", Summary: "Set my mail preferences",
			Description: "With `alertDigest` the caller gets the number of open alerts every morning, if the caller may see " +
				"them. With `appointmentReminders` the caller gets reminders of the appointments of patients of whom the caller " +
				"is a guardian, without health data. Mail about the caller's own account is always sent.",
			Refusals: []*fault.Error{identity.ErrPeopleOnly},
			Endpoint: httpx.Handle(http.StatusOK, s.handleSetMyPreferences),
		},
	}
}

// mailSettingsBody are the settings of an organization's mail.
type mailSettingsBody struct {
	Language      Language `json:"language"`      // The language of users without a preference.
	NamesPractice bool     `json:"namesPractice"` // Whether reminders of appointments name the practice.
}

func settingsBody(s Settings) mailSettingsBody { return mailSettingsBody{s.Language, s.NamesPractice} }

func (s *Service) handleSettings(ctx context.Context, _ httpx.None) (mailSettingsBody, error) {
	found, err := s.Settings(ctx)
	return settingsBody(found), err
}

// mailSettingsChange is the settings after a change.
type mailSettingsChange struct {
	// The language of users without a preference.
	Language Language `json:"language" validate:"required,oneof=en es"`
	// Whether reminders of appointments name the practice.
	NamesPractice *bool `json:"namesPractice" validate:"required"`
}

func (s *Service) handleSetSettings(ctx context.Context, in mailSettingsChange) (mailSettingsBody, error) {
	set, err := s.SetSettings(ctx, in.Language, in.NamesPractice != nil && *in.NamesPractice)
	return settingsBody(set), err
}

// mailPreferencesBody is the mail that a user has asked for.
type mailPreferencesBody struct {
	Language             *Language `json:"language"`             // The language. It is null for the organization's.
	AlertDigest          bool      `json:"alertDigest"`          // Whether the user gets the number of open alerts every morning.
	AppointmentReminders bool      `json:"appointmentReminders"` // Whether the user gets reminders of appointments.
}

func preferencesBody(p Preferences) mailPreferencesBody {
	return mailPreferencesBody{p.Language, p.AlertDigest, p.AppointmentReminders}
}

func (s *Service) handleMyPreferences(ctx context.Context, _ httpx.None) (mailPreferencesBody, error) {
	found, err := s.MyPreferences(ctx)
	return preferencesBody(found), err
}

// mailPreferencesChange is the mail that the caller asks for.
type mailPreferencesChange struct {
	Language *Language `json:"language" validate:"omitempty,oneof=en es"` // The language; null: the organization's.
	// Whether the user gets the number of open alerts every morning.
	AlertDigest *bool `json:"alertDigest" validate:"required"`
	// Whether the user gets reminders of appointments.
	AppointmentReminders *bool `json:"appointmentReminders" validate:"required"`
}

func (s *Service) handleSetMyPreferences(ctx context.Context, in mailPreferencesChange) (mailPreferencesBody, error) {
	set, err := s.SetMyPreferences(ctx, Preferences{
		Language: in.Language, AlertDigest: in.AlertDigest != nil && *in.AlertDigest,
		AppointmentReminders: in.AppointmentReminders != nil && *in.AppointmentReminders,
	})
	return preferencesBody(set), err
}
