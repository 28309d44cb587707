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
	return slices.Concat(s.signInRoutes(), s.userRoutes(), s.invitationRoutes(), s.setRoutes(), s.reachRoutes(), s.apiKeyRoutes(), s.openIDRoutes())
}

func (s *Service) signInRoutes() []httpx.Route {
	return []httpx.Route{
		{
			Method: http.MethodPost, Path: "/auth/login", Permission: httpx.Public,
			Name: "signIn", Summary: "Sign in",
			Description: "Exchanges e-mail address and password for an access token. Send it with every other request as `Authorization: Bearer …`; `expiresIn` says for how many seconds it holds.",
			Refusals:    []*fault.Error{ErrWrongCredentials, ErrSignInBusy}, ReadOnly: true,
			Endpoint: httpx.Handle(http.StatusOK, s.handleSignIn),
		},
		{
			Method: http.MethodGet, Path: "/auth/me", Permission: httpx.SignedIn,
			Name: "whoAmI", Summary: "Who am I",
			Description: "The user to whom the access token belongs, with the roles and permissions that it carries: what a frontend needs to know to offer only what will work.",
			Refusals:    []*fault.Error{identity.ErrPeopleOnly}, Endpoint: httpx.Handle(http.StatusOK, s.handleMe),
		},
		{
			Method: http.MethodPost, Path: "/auth/logout-everywhere", Permission: httpx.SignedIn,
			Name: "signOutEverywhere", Summary: "Sign out everywhere",
			Description: "Ends all of one's sign-ins, on every device, this one included: their access tokens hold no more from this moment on.",
			Endpoint:    httpx.Handle(http.StatusNoContent, s.handleSignOutEverywhere),
		},
	}
}

type signInRequest struct {
	Email    string `json:"email" validate:"required,max=254"`
	Password string `json:"password" validate:"required"`
}

type signInBody struct {
	AccessToken string   `json:"accessToken"`
	ExpiresIn   int      `json:"expiresIn"` // in seconds
	TokenType   string   `json:"tokenType"`
	User        userBody `json:"user"`
}

// userBody is a user as clients see it.
type userBody struct {
	ID             uuid.UUID             `json:"id"`
	Email          string                `json:"email"`
	Name           string                `json:"name"`
	OrganizationID uuid.UUID             `json:"organizationId"`
	Roles          []string              `json:"roles"`
	Permissions    []identity.Permission `json:"permissions"`
}

// bodyOf describes a user with the roles that an access token holds, and what they may do by them.
func bodyOf(u User, roles []string, may held) userBody {
	return userBody{
		ID: u.ID, Email: u.Email, Name: u.Name, OrganizationID: u.OrganizationID,
		Roles:       roles,
		Permissions: slices.DeleteFunc(Permissions(), func(p identity.Permission) bool { return may[p] == 0 }),
	}
}

func (s *Service) handleSignIn(ctx context.Context, in signInRequest) (signInBody, error) {
	signed, err := s.SignIn(ctx, in.Email, in.Password)
	if err != nil {
		return signInBody{}, err
	}
	return s.signInBodyOf(ctx, signed)
}

func (s *Service) signInBodyOf(ctx context.Context, signed SignedIn) (signInBody, error) {
	roles := names(signed.User.Roles)
	may, err := s.sets.of(ctx, signed.User.OrganizationID, combine(roles))
	if err != nil {
		return signInBody{}, err
	}
	return signInBody{
		AccessToken: signed.Token,
		ExpiresIn:   int(signed.Expires / time.Second),
		TokenType:   "Bearer",
		User:        bodyOf(signed.User, roles, may),
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
	return bodyOf(me, caller.Roles, caller.Permissions), err
}

func (s *Service) handleSignOutEverywhere(ctx context.Context, _ httpx.None) (httpx.None, error) {
	return httpx.None{}, s.SignOutEverywhere(ctx)
}
