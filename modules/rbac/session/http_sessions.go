package rbac

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
)

// Routes returns the operations of this module's API.
func (s *Service) Routes() []httpx.Route {
	return slices.Concat(
		s.signInRoutes(), s.secondFactorRoutes(), s.userRoutes(), s.invitationRoutes(), s.setRoutes(), s.reachRoutes(),
		s.apiKeyRoutes(), s.openIDRoutes(), s.providerLinkRoutes(), s.policyRoutes(),
	)
}

func (s *Service) signInRoutes() []httpx.Route {
	return []httpx.Route{
		{
			Method: http.MethodPost, Path: "/auth/login", Permission: httpx.Public,
			Name: "signIn", Summary: "Sign in",
			Description: "Exchanges an e-mail address and password for an access token and a refresh token. Send the access token with " +
				"every other request as `Authorization: Bearer …`. It expires after `expiresIn` seconds. Before that, or when a " +
				"request gets 401, exchange the refresh token for new tokens. A person may have accounts in several " +
				"organizations. Without `organizationId`, the password is compared with all accounts of the address. If exactly " +
				"one matches, the person is signed in to it. If several match, the answer is 401 `organization-required` with " +
				"those organizations. Send the same request with the id of the organization that the person chooses. A user who " +
				"has a second factor and sends no `code` gets 401 `second-factor-required` if the password is right. Send the " +
				"same request with a code from the app or a recovery code. Each code works once. Keep `deviceToken` on the " +
				"device, even after the sign-out, and send it with the next sign-in to the same account. Then failed attempts of " +
				"other devices do not delay this device.",
			Refusals: []*fault.Error{
				ErrWrongCredentials, ErrOrganizationRequired, ErrSecondFactorRequired, ErrSecondFactorWrong, ErrRecoveryCodeRequired,
				ErrSignInDelayed, ErrSignInBusy,
			},
			Endpoint: httpx.Handle(http.StatusOK, s.handleSignIn),
		},
		{
			Method: http.MethodPost, Path: "/auth/refresh", Permission: httpx.Public,
			Name: "refreshSignIn", Summary: "Refresh an access token",
			Description: "Exchanges a refresh token for an access token with the user's current roles and for a new refresh token, which " +
				"replaces the given one. A client that has lost the answer can repeat the request within 30 seconds and gets the " +
				"same refresh token. A later use of a used token ends the sign-in, because the token may have been stolen. A " +
				"sign-in ends if it is not refreshed for `refreshExpiresIn` seconds, and at `endsAt` at the latest.",
			Refusals: []*fault.Error{ErrRefreshRefused},
			Endpoint: httpx.Handle(http.StatusOK, s.handleRefresh),
		},
		{
			Method: http.MethodPost, Path: "/auth/logout", Permission: httpx.SignedIn, Enrolling: true,
			Name: "signOut", Summary: "Sign out",
			Description: "Ends the current sign-in. Its access token and refresh token become invalid immediately.",
			Endpoint:    httpx.Handle(http.StatusNoContent, s.handleSignOut),
		},
		{
			Method: http.MethodPut, Path: "/auth/password", Permission: httpx.SignedIn,
			Name: "changeMyPassword", Summary: "Change my password",
			Description: "Requires the current password. A new password has at least 15 characters of any kind and is not a common " +
				"password. All other sign-ins of the user end. The current sign-in keeps its refresh token and gets a new access " +
				"token; the earlier access token becomes invalid.",
			Refusals: []*fault.Error{ErrSignInDelayed, ErrSignInBusy},
			Endpoint: httpx.Handle(http.StatusOK, s.handleChangePassword),
		},
		{
			Method: http.MethodPost, Path: "/auth/password-reset", Permission: httpx.Public,
			Name: "resetPassword", Summary: "Set a new password with a reset link",
			Description: "For a user who has forgotten the password. `token` comes from the link that an administrator has created. " +
				"It works once. All sign-ins of the user end. Then sign in; a second factor is required as before.",
			Refusals: []*fault.Error{ErrPasswordResetNotFound, ErrSignInBusy},
			Endpoint: httpx.Handle(http.StatusNoContent, s.handleResetPassword),
		},
		{
			Method: http.MethodGet, Path: "/auth/sessions", Permission: httpx.SignedIn,
			Name: "listMySessions", Summary: "List my sessions",
			Description: "The caller's active sign-ins, the newest first. `current` marks the sign-in of this request.",
			Endpoint:    httpx.Handle(http.StatusOK, s.handleSessions),
		},
		{
			Method: http.MethodDelete, Path: "/auth/sessions/:id", Permission: httpx.SignedIn,
			Name: "endMySession", Summary: "End one of my sessions",
			Description: "Ends one of the caller's sign-ins. Its access tokens and refresh token become invalid immediately.",
			Refusals:    []*fault.Error{ErrSignInNotFound},
			Endpoint:    httpx.Handle(http.StatusNoContent, s.handleEndSession),
		},
		{
			Method: http.MethodGet, Path: "/auth/me", Permission: httpx.SignedIn, Enrolling: true,
			Name: "whoAmI", Summary: "Get the current user",
			Description: "The user of the access token, with the roles and permissions that the token grants. `scopes` gives the records " +
				"for which each permission is held, so that a frontend can offer only what the user may do.",
			Refusals: []*fault.Error{identity.ErrPeopleOnly}, Endpoint: httpx.Handle(http.StatusOK, s.handleMe),
		},
		{
			Method: http.MethodPost, Path: "/auth/logout-everywhere", Permission: httpx.SignedIn, Enrolling: true,
			Name: "signOutEverywhere", Summary: "Sign out everywhere",
			Description: "Ends all sign-ins of the caller, including the current one. Their access tokens become invalid immediately.",
			Endpoint:    httpx.Handle(http.StatusNoContent, s.handleSignOutEverywhere),
		},
	}
}

type refreshRequest struct {
	RefreshToken string `json:"refreshToken" validate:"required,max=100"`
}

type signInBody struct {
	AccessToken      string    `json:"accessToken"`
	ExpiresIn        int       `json:"expiresIn"`        // in seconds
	RefreshToken     string    `json:"refreshToken"`     // works once, for /auth/refresh
	RefreshExpiresIn int       `json:"refreshExpiresIn"` // in seconds
	EndsAt           time.Time `json:"endsAt"`           // when the sign-in ends at the latest
	TokenType        string    `json:"tokenType"`
	User             userBody  `json:"user"`
	// RecoveryCodesLeft is the number of unused recovery codes after a sign-in with a second factor;
	// null otherwise. If it is low, ask the user to create new ones.
	RecoveryCodesLeft *int `json:"recoveryCodesLeft"`
	// DeviceToken is for the next sign-in with a password on this device. It grants nothing. null
	// after other sign-ins.
	DeviceToken *string `json:"deviceToken"`
}

// userBody is a user in the API.
type userBody struct {
	ID             uuid.UUID             `json:"id"`
	Email          string                `json:"email"`
	Name           string                `json:"name"`
	OrganizationID uuid.UUID             `json:"organizationId"`
	Roles          []string              `json:"roles"`
	Permissions    []identity.Permission `json:"permissions"`
	// Scopes are the scopes of each permission, widest first: ORGANIZATION, CASELOAD, SELF, CHILD.
	Scopes map[identity.Permission][]string `json:"scopes"`
	// EnrolOnly: the organization requires a second factor. This sign-in can only set one up, and has
	// no permissions until then.
	EnrolOnly bool `json:"enrolOnly"`
}

// bodyOf returns the body of a user with the roles of an access token and their permissions.
func bodyOf(u User, roles []string, may held) userBody {
	b := userBody{
		ID: u.ID, Email: u.Email, Name: u.Name, OrganizationID: u.OrganizationID,
		Roles:       roles,
		Permissions: slices.DeleteFunc(Permissions(), func(p identity.Permission) bool { return may[p] == 0 }),
		Scopes:      map[identity.Permission][]string{},
		EnrolOnly:   u.enrolOnly,
	}
	for _, p := range b.Permissions {
		b.Scopes[p] = may[p].Names()
	}
	return b
}

func (s *Service) handleSignIn(ctx context.Context, in SignInRequest) (signInBody, error) {
	signed, err := s.SignIn(ctx, in)
	if err != nil {
		return signInBody{}, err
	}
	return s.signInBodyOf(ctx, signed)
}

func (s *Service) handleRefresh(ctx context.Context, in refreshRequest) (signInBody, error) {
	signed, err := s.Refresh(ctx, in.RefreshToken)
	if err != nil {
		return signInBody{}, err
	}
	return s.signInBodyOf(ctx, signed)
}

func (s *Service) signInBodyOf(ctx context.Context, signed SignedIn) (signInBody, error) {
	roles := names(signed.User.Roles)
	var may held
	if !signed.User.enrolOnly {
		var err error
		if may, err = s.sets.of(ctx, signed.User.OrganizationID, combine(roles)); err != nil {
			return signInBody{}, err
		}
	}
	var device *string
	if signed.Device != "" {
		device = &signed.Device
	}
	return signInBody{
		AccessToken:      signed.Token,
		ExpiresIn:        int(signed.Expires / time.Second),
		RefreshToken:     signed.Refresh,
		RefreshExpiresIn: int(signed.RefreshExpires / time.Second),
		EndsAt:           signed.Ends,
		TokenType:        "Bearer",
		User:             bodyOf(signed.User, roles, may),

		RecoveryCodesLeft: signed.RecoveryCodesLeft,
		DeviceToken:       device,
	}, nil
}

// handleMe returns the roles of the token, not of the row: they apply until the token is renewed.
func (s *Service) handleMe(ctx context.Context, _ httpx.None) (userBody, error) {
	me, err := s.Me(ctx)
	if err != nil {
		return userBody{}, err
	}
	caller, err := identity.From(ctx)
	me.enrolOnly = caller.EnrolOnly
	return bodyOf(me, caller.Roles, caller.Permissions), err
}

func (s *Service) handleSignOutEverywhere(ctx context.Context, _ httpx.None) (httpx.None, error) {
	return httpx.None{}, s.SignOutEverywhere(ctx)
}

func (s *Service) handleSignOut(ctx context.Context, _ httpx.None) (httpx.None, error) {
	return httpx.None{}, s.SignOut(ctx)
}

type mySessionsBody struct {
	Data []MySession `json:"data"`
}

func (s *Service) handleSessions(ctx context.Context, _ httpx.None) (mySessionsBody, error) {
	found, err := s.Sessions(ctx)
	return mySessionsBody{found}, err
}

func (s *Service) handleEndSession(ctx context.Context, in byID) (httpx.None, error) {
	return httpx.None{}, s.EndSession(ctx, in.ID)
}

type resetPasswordRequest struct {
	Token    string `json:"token" validate:"required,max=100"`
	Password string `json:"password" validate:"required"` // the new password
}

func (s *Service) handleResetPassword(ctx context.Context, in resetPasswordRequest) (httpx.None, error) {
	return httpx.None{}, s.ResetPassword(ctx, in.Token, in.Password)
}

type changedPasswordBody struct {
	AccessToken httpx.Secret `json:"accessToken"` // replaces the one that was sent
	ExpiresIn   int          `json:"expiresIn"`   // in seconds
	TokenType   string       `json:"tokenType"`
}

func (s *Service) handleChangePassword(ctx context.Context, in PasswordChange) (changedPasswordBody, error) {
	signed, err := s.ChangePassword(ctx, in)
	if err != nil {
		return changedPasswordBody{}, err
	}
	return changedPasswordBody{httpx.Secret(signed.Token), int(signed.Expires / time.Second), "Bearer"}, nil
}
