package session

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
)

// tokenRoutes returns the operations on tokens and on the caller.
func (s *Service) tokenRoutes() []httpx.Route {
	return []httpx.Route{
		{
			Method: http.MethodPost, Path: "/auth/refresh", Permission: httpx.Public,
			Name: "refreshSignIn", Summary: "Refresh an access token",
			Description: "Exchanges a refresh token for an access token with the user's current roles and for a new refresh " +
				"token, which replaces the given one. A client that has lost the answer can repeat the request within 30 " +
				"seconds and gets the same refresh token. A later use of a used token ends the session, because the token may " +
				"have been stolen. A session ends if it is not refreshed for `refreshExpiresIn` seconds, and at `endsAt` at the " +
				"latest.",
			Refusals: []*fault.Error{ErrRefreshRefused},
			Endpoint: httpx.Handle(http.StatusOK, s.handleRefresh),
		},
		{
			Method: http.MethodGet, Path: "/auth/me", Permission: httpx.SignedIn, Enrolling: true,
			Name: "whoAmI", Summary: "Get the current user",
			Description: "The user of the access token, with the roles and permissions that the token grants. `scopes` gives " +
				"the records for which each permission is held, so that a frontend can offer only what the user may do.",
			Refusals: []*fault.Error{identity.ErrPeopleOnly}, Endpoint: httpx.Handle(http.StatusOK, s.handleMe),
		},
	}
}

type refreshRequest struct {
	RefreshToken string `json:"refreshToken" validate:"required,max=100"` // The refresh token of the last answer.
}

// SignInBody is the answer to a successful sign-in or refresh.
type SignInBody struct {
	// The token for all other requests, as `Authorization: Bearer …`.
	AccessToken string `json:"accessToken"`
	// The time in seconds until the access token expires.
	ExpiresIn int `json:"expiresIn"`
	// The token for `POST /auth/refresh`. It works once.
	RefreshToken string `json:"refreshToken"`
	// The time in seconds until the session ends unless it is refreshed.
	RefreshExpiresIn int       `json:"refreshExpiresIn"`
	EndsAt           time.Time `json:"endsAt"`    // The latest time at which the session ends.
	TokenType        string    `json:"tokenType"` // The type of the access token, which is always Bearer.
	User             UserBody  `json:"user"`      // The user who has signed in.
	// The number of unused recovery codes after a sign-in with a second factor. If it is low, ask
	// the user to create new ones. It is null after other sign-ins.
	RecoveryCodesLeft *int `json:"recoveryCodesLeft"`
	// The token for the next sign-in with a password on this device. It grants nothing. It is null
	// after other sign-ins.
	DeviceToken *string `json:"deviceToken"`
}

// UserBody is the signed-in user with their permissions.
type UserBody struct {
	ID             uuid.UUID             `json:"id"`
	Email          string                `json:"email"`          // The e-mail address of the user.
	Name           string                `json:"name"`           // The full name of the user.
	OrganizationID uuid.UUID             `json:"organizationId"` // The organization of the session.
	Roles          []string              `json:"roles"`          // The roles that the access token grants.
	Permissions    []identity.Permission `json:"permissions"`    // The permissions that the roles grant.
	// The scopes of each permission, widest first: ORGANIZATION, CASELOAD, SELF, CHILD.
	Scopes map[identity.Permission][]string `json:"scopes"`
	// Whether the session can only set up a second factor, because the organization requires one.
	// The user has no permissions until then.
	EnrolOnly bool `json:"enrolOnly"`
}

// userBodyOf returns the body of a user with the roles of an access token and their permissions.
func userBodyOf(u rbac.User, roles []string, held rbac.Held, enrolOnly bool) UserBody {
	b := UserBody{
		ID: u.ID, Email: u.Email, Name: u.Name, OrganizationID: u.OrganizationID, Roles: roles,
		Permissions: slices.DeleteFunc(rbac.Permissions(), func(p identity.Permission) bool { return held[p] == 0 }),
		Scopes:      map[identity.Permission][]string{},
		EnrolOnly:   enrolOnly,
	}
	for _, p := range b.Permissions {
		b.Scopes[p] = held[p].Names()
	}
	return b
}

// Body returns the answer to a successful sign-in.
func (s *Service) Body(ctx context.Context, signed SignedIn) (SignInBody, error) {
	roles := rbac.RoleNames(signed.User.Roles)
	var held rbac.Held
	if !signed.EnrolOnly {
		var err error
		if held, err = s.Permissions.Cached(ctx, signed.User.OrganizationID, roles); err != nil {
			return SignInBody{}, err
		}
	}
	var device *string
	if signed.Device != "" {
		device = &signed.Device
	}
	return SignInBody{
		AccessToken:      signed.Token,
		ExpiresIn:        int(signed.Expires / time.Second),
		RefreshToken:     signed.Refresh,
		RefreshExpiresIn: int(signed.RefreshExpires / time.Second),
		EndsAt:           signed.Ends,
		TokenType:        "Bearer",
		User:             userBodyOf(signed.User, roles, held, signed.EnrolOnly),

		RecoveryCodesLeft: signed.RecoveryCodesLeft,
		DeviceToken:       device,
	}, nil
}

func (s *Service) handleRefresh(ctx context.Context, in refreshRequest) (SignInBody, error) {
	signed, err := s.Refresh(ctx, in.RefreshToken)
	if err != nil {
		return SignInBody{}, err
	}
	return s.Body(ctx, signed)
}

// handleMe returns the roles of the token, not of the row: they apply until the token is renewed.
func (s *Service) handleMe(ctx context.Context, _ httpx.None) (UserBody, error) {
	me, err := s.Me(ctx)
	if err != nil {
		return UserBody{}, err
	}
	caller, err := identity.From(ctx)
	return userBodyOf(me, caller.Roles, caller.Permissions, caller.EnrolOnly), err
}
