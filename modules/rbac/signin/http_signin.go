package signin

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/mfa"
	"omnirapeutic/modules/rbac/password"
	"omnirapeutic/modules/rbac/session"
	"omnirapeutic/modules/rbac/throttle"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/permission"
)

// Routes returns the operations of sign-ins with a password.
func (s *Service) Routes() []httpx.Route {
	return []httpx.Route{
		{
			Method: http.MethodPost, Path: "/auth/login", Permission: httpx.Public,
			Name: "signIn", Summary: "Sign in",
			Description: "Exchanges an e-mail address and password for an access token and a refresh token. Send the access " +
				"token with every other request as `Authorization: Bearer …`. It expires after `expiresIn` seconds. Before " +
				"that, or when a request gets 401, exchange the refresh token for new tokens. A person may have accounts in " +
				"several organizations. Without `organizationId`, the password is compared with all accounts of the address. If " +
				"exactly one matches, the person is signed in to it. If several match, the answer is 401 " +
				"`organization-required` with those organizations. Send the same request with the id of the organization that " +
				"the person chooses. A user who has a second factor and sends no `code` gets 401 `second-factor-required` if " +
				"the password is right. Send the same request with a code from the app or a recovery code. Each code works " +
				"once. Keep `deviceToken` on the device, even after the sign-out, and send it with the next sign-in to the same " +
				"account. Then failed attempts of other devices do not delay this device.",
			Refusals: []*fault.Error{
				ErrWrongCredentials, ErrOrganizationRequired, mfa.ErrRequired, mfa.ErrWrong, mfa.ErrRecoveryCodeRequired,
				throttle.ErrSignInDelayed, password.ErrBusy,
			},
			Endpoint: httpx.Handle(http.StatusOK, s.handleSignIn),
		},
		{
			Method: http.MethodPost, Path: "/users/:id/unlock", Permission: permission.UserChange,
			Name: "unlockUser", Summary: "Unlock a user's sign-in",
			Description: "For a user whose sign-in is delayed (`sign-in-delayed`) after too many failed attempts. Earlier " +
				"failures no longer count, from any network or device. The password and the second factor do not change. An " +
				"administrator cannot do this for a user who holds more permissions than they do.",
			Refusals: []*fault.Error{rbac.ErrUserNotFound, identity.ErrBeyondOwn},
			Endpoint: httpx.Handle(http.StatusNoContent, s.handleUnlock),
		},
	}
}

type signInRequest struct {
	Email    string `json:"email" validate:"required,max=254"` // The e-mail address of the account, in any case.
	Password string `json:"password" validate:"required"`      // The password of the account.
	// The organization of the account, if the address has accounts in several. See
	// `organization-required`.
	OrganizationID *uuid.UUID `json:"organizationId"`
	// The code of the second factor, or a recovery code. It is ignored for users without a second
	// factor.
	Code string `json:"code" validate:"max=40"`
	// The device token of the last sign-in of this account on this device, if the client has kept it.
	DeviceToken string `json:"deviceToken" validate:"max=200"`
}

func (s *Service) handleSignIn(ctx context.Context, in signInRequest) (session.SignInBody, error) {
	signed, err := s.SignIn(ctx, Request(in))
	if err != nil {
		return session.SignInBody{}, err
	}
	return s.Sessions.Body(ctx, signed)
}

func (s *Service) handleUnlock(ctx context.Context, in struct {
	ID uuid.UUID `param:"id"`
},
) (httpx.None, error) {
	return httpx.None{}, s.Unlock(ctx, in.ID)
}
