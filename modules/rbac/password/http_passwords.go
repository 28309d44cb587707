package password

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/throttle"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/permission"
)

// Routes returns the operations on passwords.
func (s *Service) Routes() []httpx.Route {
	return []httpx.Route{
		{
			Method: http.MethodPut, Path: "/auth/password", Permission: httpx.SignedIn,
			Name: "changeMyPassword", Summary: "Change my password",
			Description: "Requires the current password. A new password has at least 15 characters of any kind and is not a " +
				"common password. All other sessions of the user end. The current session keeps its refresh token and gets a " +
				"new access token; the earlier access token becomes invalid.",
			Refusals: []*fault.Error{throttle.ErrSignInDelayed, ErrBusy},
			Endpoint: httpx.Handle(http.StatusOK, s.handleChange),
		},
		{
			Method: http.MethodPost, Path: "/auth/password-reset", Permission: httpx.Public,
			Name: "requestPasswordReset", Summary: "Request a link to set a new password",
			Description: "For a person who has forgotten the password. The answer is the same for every address. If the " +
				"address has accounts, each gets a mail with a link, which works once, within 30 minutes. The link leads to the " +
				"page at `http.frontend_url`, with `#password-reset=` and the token for `POST /auth/password-reset/confirm`. " +
				"Sessions end when the new password is set. Disabled users, and users who sign in with an identity provider, get " +
				"no link. Requests are limited like failed sign-ins.",
			Refusals: []*fault.Error{ErrNoMail, throttle.ErrSignInDelayed},
			Endpoint: httpx.Handle(http.StatusNoContent, s.handleRequestReset),
		},
		{
			Method: http.MethodPost, Path: "/auth/password-reset/confirm", Permission: httpx.Public,
			Name: "resetPassword", Summary: "Set a new password with a reset link",
			Description: "For a user who has forgotten the password. `token` comes from the link that the user has requested " +
				"or an administrator has created. It works once. All sessions of the user end. Then sign in; a second factor is required as before.",
			Refusals: []*fault.Error{ErrResetNotFound, ErrBusy},
			Endpoint: httpx.Handle(http.StatusNoContent, s.handleUseReset),
		},
		{
			Method: http.MethodPost, Path: "/users/:id/password-reset", Permission: permission.UserChange,
			Name: "createPasswordReset", Summary: "Create a password reset link",
			Description: "For a user who has forgotten the password. Make sure that the user, and not another person, asks " +
				"for it. All of their sessions end immediately. The user sets a new password with the link, once, until " +
				"`expiresAt`. The link is returned only in this answer and replaces an earlier one. It leads to the page at " +
				"`http.frontend_url`, with `#password-reset=` and the token. Without such a page `link` is null; build your own " +
				"link with the `token` after a `#`. If mail is configured and the address has not refused it, the user gets the " +
				"link by mail. The answer then has `mailed: true`, and neither token nor link. The caller must hold every permission that " +
				"the user holds, and cannot reset their own password.",
			Refusals: []*fault.Error{rbac.ErrUserNotFound, identity.ErrBeyondOwn, ErrOwnPassword},
			Endpoint: httpx.Handle(http.StatusCreated, s.handleCreateReset),
		},
	}
}

// passwordChange is a change of the caller's password.
type passwordChange struct {
	Current string `json:"currentPassword" validate:"required"` // The current password.
	// The new password, with 15 characters or more and 128 bytes or fewer. It must not be common.
	New string `json:"newPassword" validate:"required"`
}

// changedPasswordBody is the answer to a change of the password.
type changedPasswordBody struct {
	AccessToken httpx.Secret `json:"accessToken"` // The token that replaces the access token of the request.
	ExpiresIn   int          `json:"expiresIn"`   // The time in seconds until the access token expires.
	TokenType   string       `json:"tokenType"`   // The type of the access token, which is always Bearer.
}

func (s *Service) handleChange(ctx context.Context, in passwordChange) (changedPasswordBody, error) {
	signed, err := s.Change(ctx, Change(in))
	if err != nil {
		return changedPasswordBody{}, err
	}
	return changedPasswordBody{httpx.Secret(signed.Token), int(signed.Expires / time.Second), "Bearer"}, nil
}

type requestResetRequest struct {
	Email string `json:"email" validate:"required,max=254"` // The e-mail address of the person.
}

func (s *Service) handleRequestReset(ctx context.Context, in requestResetRequest) (httpx.None, error) {
	return httpx.None{}, s.Request(ctx, in.Email)
}

type resetPasswordRequest struct {
	Token string `json:"token" validate:"required,max=100"` // The token of the link.
	// The new password, with 15 characters or more and 128 bytes or fewer. It must not be common.
	Password string `json:"password" validate:"required"`
}

func (s *Service) handleUseReset(ctx context.Context, in resetPasswordRequest) (httpx.None, error) {
	return httpx.None{}, s.UseReset(ctx, in.Token, in.Password)
}

// passwordResetBody is a new link for setting a password.
type passwordResetBody struct {
	// The secret of the link. It is null if the link is sent by mail. It is also null if the request is
	// repeated with its Idempotency-Key, because it is not stored. Then create another link.
	Token httpx.Secret `json:"token"`
	// The link for the user. It is null if the link is sent by mail, `http.frontend_url` is not
	// configured, or the request is repeated.
	Link      httpx.Secret `json:"link"`
	ExpiresAt time.Time    `json:"expiresAt"` // The time at which the link expires.
	Mailed    bool         `json:"mailed"`    // Whether the user gets the link by mail.
}

func (s *Service) handleCreateReset(ctx context.Context, in struct {
	ID uuid.UUID `param:"id"`
},
) (passwordResetBody, error) {
	reset, err := s.CreateReset(ctx, in.ID)
	return passwordResetBody{httpx.Secret(reset.Token), httpx.Secret(reset.Link), reset.ExpiresAt, reset.Mailed}, err
}
