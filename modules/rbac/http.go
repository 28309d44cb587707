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
			Description: "Exchanges e-mail address and password for an access token and a refresh token. Send the access token with every other request as `Authorization: Bearer …`; `expiresIn` says for how many seconds it holds. Before, or when a request gets 401, exchange the refresh token for the next of both. " +
				"A person may have accounts in several organizations. Without `organizationId`, the password is compared with " +
				"all accounts of the address. If exactly one matches, the person is signed in to it. If several match, the " +
				"answer is 401 `organization-required` with those organizations. Send the same request with the id of the " +
				"organization that the person chooses. " +
				"A user who has a second factor and sends no `code` gets 401 `second-factor-required` if the password is right. " +
				"Send the same request with a code from the app or a recovery code. Each code works once. " +
				"Keep `deviceToken` on the device, even after the sign-out, and send it with the next sign-in to the same " +
				"account. Then failed attempts of other devices do not delay this device.",
			Refusals: []*fault.Error{
				ErrWrongCredentials, ErrOrganizationRequired, ErrSecondFactorRequired, ErrSecondFactorWrong, ErrRecoveryCodeRequired,
				ErrSignInDelayed, ErrSignInBusy,
			},
			Endpoint: httpx.Handle(http.StatusOK, s.handleSignIn),
		},
		{
			Method: http.MethodPost, Path: "/auth/refresh", Permission: httpx.Public,
			Name: "refreshSignIn", Summary: "Go on being signed in",
			Description: "Exchanges a refresh token for an access token with the roles of this moment, and for the next refresh token. The one that is given is used up: keep the new one in its place. " +
				"A client that has lost the answer may ask again within 30 seconds and gets the same refresh token. To use one later that was used before ends the sign-in: two have it. " +
				"A sign-in ends by itself when it is not refreshed for `refreshExpiresIn` seconds, and at `endsAt` whatever is done.",
			Refusals: []*fault.Error{ErrRefreshRefused},
			Endpoint: httpx.Handle(http.StatusOK, s.handleRefresh),
		},
		{
			Method: http.MethodPost, Path: "/auth/logout", Permission: httpx.SignedIn, Enrolling: true,
			Name: "signOut", Summary: "Sign out",
			Description: "Ends the sign-in of the access token: it holds no more from this moment on, and nothing refreshes it.",
			Endpoint:    httpx.Handle(http.StatusNoContent, s.handleSignOut),
		},
		{
			Method: http.MethodPut, Path: "/auth/password", Permission: httpx.SignedIn,
			Name: "changeMyPassword", Summary: "Change one's own password",
			Description: "Needs the current password. A new one has 15 characters or more, of any kind, and is not among those that attackers try first. " +
				"All other sign-ins end, on every device; this one goes on with its refresh token, and with the access token of this answer: the last one holds no more.",
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
			Name: "listMySessions", Summary: "Where am I signed in",
			Description: "One's own sign-ins that go on, the newest first. `current` is the one that asks.",
			Endpoint:    httpx.Handle(http.StatusOK, s.handleSessions),
		},
		{
			Method: http.MethodDelete, Path: "/auth/sessions/:id", Permission: httpx.SignedIn,
			Name: "endMySession", Summary: "Sign out somewhere else",
			Description: "Ends one of one's own sign-ins: its access tokens hold no more from this moment on, and nothing refreshes it.",
			Refusals:    []*fault.Error{ErrSignInNotFound},
			Endpoint:    httpx.Handle(http.StatusNoContent, s.handleEndSession),
		},
		{
			Method: http.MethodGet, Path: "/auth/me", Permission: httpx.SignedIn, Enrolling: true,
			Name: "whoAmI", Summary: "Who am I",
			Description: "The user to whom the access token belongs, with the roles and permissions that it carries, and in `scopes` for which records each permission is held: what a frontend needs to know to offer only what will work.",
			Refusals:    []*fault.Error{identity.ErrPeopleOnly}, Endpoint: httpx.Handle(http.StatusOK, s.handleMe),
		},
		{
			Method: http.MethodPost, Path: "/auth/logout-everywhere", Permission: httpx.SignedIn, Enrolling: true,
			Name: "signOutEverywhere", Summary: "Sign out everywhere",
			Description: "Ends all of one's sign-ins, on every device, this one included: their access tokens hold no more from this moment on.",
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
	RefreshToken     string    `json:"refreshToken"`     // good once, for /auth/refresh
	RefreshExpiresIn int       `json:"refreshExpiresIn"` // in seconds
	EndsAt           time.Time `json:"endsAt"`           // when the sign-in ends, however often it is refreshed
	TokenType        string    `json:"tokenType"`
	User             userBody  `json:"user"`
	// RecoveryCodesLeft says, after a sign-in with a second factor, how many are good;
	// null otherwise. With few, have the person make new ones.
	RecoveryCodesLeft *int `json:"recoveryCodesLeft"`
	// DeviceToken is for the next sign-in with a password on this device. It grants nothing. null
	// after other sign-ins.
	DeviceToken *string `json:"deviceToken"`
}

// userBody is a user as clients see it.
type userBody struct {
	ID             uuid.UUID             `json:"id"`
	Email          string                `json:"email"`
	Name           string                `json:"name"`
	OrganizationID uuid.UUID             `json:"organizationId"`
	Roles          []string              `json:"roles"`
	Permissions    []identity.Permission `json:"permissions"`
	// Scopes are the scopes of each permission, widest first: ORGANIZATION, CASELOAD, SELF, CHILD.
	Scopes map[identity.Permission][]string `json:"scopes"`
	// EnrolOnly: the organization asks for a second factor. This sign-in can do nothing
	// but set one up, and has no permissions until that is done.
	EnrolOnly bool `json:"enrolOnly"`
}

// bodyOf describes a user with the roles that an access token holds, and what they may do by them.
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

// handleMe answers with the roles of the token, not of the row: what the caller
// may do until the token is renewed.
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
	AccessToken httpx.Secret `json:"accessToken"` // in place of the one that was sent
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
