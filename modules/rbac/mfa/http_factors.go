package rbac

import (
	"context"
	"net/http"
	"time"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
)

const pathFactor = "/auth/second-factor"

// Operations that require a password are PUTs, like the change of a password. The response to a
// POST is stored for its Idempotency-Key in the transaction that counts the attempt, and a
// refusal would roll the count back.
func (s *Service) secondFactorRoutes() []httpx.Route {
	return []httpx.Route{
		{
			Method: http.MethodGet, Path: pathFactor, Permission: httpx.SignedIn, Enrolling: true,
			Name: "getMySecondFactor", Summary: "Get my second-factor status",
			Description: "Whether the caller's sign-ins with a password require a code, and how many recovery codes are unused.",
			Refusals:    []*fault.Error{identity.ErrPeopleOnly}, Endpoint: httpx.Handle(http.StatusOK, s.handleSecondFactor),
		},
		{
			Method: http.MethodPut, Path: pathFactor, Permission: httpx.SignedIn, Enrolling: true,
			Name: "beginMySecondFactor", Summary: "Start setting up a second factor",
			Description: "Returns a secret for an authenticator app (TOTP, RFC 6238). Show `otpauth` as a QR code, and `secret` for people " +
				"who type it. Both are returned only in this answer. Nothing changes until `PUT /auth/second-factor/confirmation` " +
				"receives the app's first code, within 15 minutes. A repeated request creates another secret. Requires the " +
				"password.",
			Refusals: []*fault.Error{identity.ErrPeopleOnly, ErrSecondFactorOn, ErrSignInDelayed, ErrSignInBusy},
			Endpoint: httpx.Handle(http.StatusOK, s.handleBeginFactor),
		},
		{
			Method: http.MethodPut, Path: pathFactor + "/confirmation", Permission: httpx.SignedIn, Enrolling: true,
			Name: "confirmMySecondFactor", Summary: "Turn the second factor on",
			Description: "Requires the code that the app shows. From now on every sign-in with a password requires a code. The recovery " +
				"codes replace a code, each once. They are returned only in this answer; ask the user to keep them apart from the " +
				"phone. All other sign-ins of the user end. The current sign-in keeps its refresh token and gets a new access " +
				"token; the earlier access token becomes invalid.",
			Refusals: []*fault.Error{identity.ErrPeopleOnly, ErrSecondFactorNotBegun, ErrSignInDelayed},
			Endpoint: httpx.Handle(http.StatusOK, s.handleConfirmFactor),
		},
		{
			Method: http.MethodPut, Path: pathFactor + "/recovery-codes", Permission: httpx.SignedIn,
			Name: "renewMyRecoveryCodes", Summary: "Create new recovery codes",
			Description: "Returns ten new recovery codes, only in this answer. The earlier ones become invalid. Requires the password and " +
				"a code or recovery code.",
			Refusals: []*fault.Error{identity.ErrPeopleOnly, ErrNoSecondFactor, ErrSignInDelayed, ErrSignInBusy},
			Endpoint: httpx.Handle(http.StatusOK, s.handleRenewCodes),
		},
		{
			Method: http.MethodPut, Path: pathFactor + "/off", Permission: httpx.SignedIn,
			Name: "turnMySecondFactorOff", Summary: "Turn the second factor off",
			Description: "Requires the password and a code or recovery code. To change the app or phone, turn the second factor off and " +
				"set it up again.",
			Refusals: []*fault.Error{identity.ErrPeopleOnly, ErrNoSecondFactor, ErrSignInDelayed, ErrSignInBusy},
			Endpoint: httpx.Handle(http.StatusNoContent, s.handleTurnFactorOff),
		},
	}
}

func (s *Service) handleSecondFactor(ctx context.Context, _ httpx.None) (SecondFactor, error) {
	return s.MySecondFactor(ctx)
}

type beginFactorRequest struct {
	Password string `json:"password" validate:"required"`
}

type enrolmentBody struct {
	Secret       httpx.Secret `json:"secret"`       // in base32, for people who type it
	Otpauth      httpx.Secret `json:"otpauth"`      // a URI, for an app that scans it as a QR code
	ConfirmUntil time.Time    `json:"confirmUntil"` // the secret expires then
}

func (s *Service) handleBeginFactor(ctx context.Context, in beginFactorRequest) (enrolmentBody, error) {
	begun, err := s.BeginSecondFactor(ctx, in.Password)
	return enrolmentBody{httpx.Secret(begun.Secret), httpx.Secret(begun.URI), begun.Until}, err
}

type confirmFactorRequest struct {
	Code string `json:"code" validate:"required,max=40"` // from the app
}

type confirmedFactorBody struct {
	RecoveryCodes httpx.Secrets `json:"recoveryCodes"` // each works once
	AccessToken   httpx.Secret  `json:"accessToken"`   // replaces the one that was sent
	ExpiresIn     int           `json:"expiresIn"`     // in seconds
	TokenType     string        `json:"tokenType"`
}

func (s *Service) handleConfirmFactor(ctx context.Context, in confirmFactorRequest) (confirmedFactorBody, error) {
	codes, signed, err := s.ConfirmSecondFactor(ctx, in.Code)
	return confirmedFactorBody{secrets(codes), httpx.Secret(signed.Token), int(signed.Expires / time.Second), "Bearer"}, err
}

type recoveryCodesBody struct {
	RecoveryCodes httpx.Secrets `json:"recoveryCodes"` // each works once
}

func (s *Service) handleRenewCodes(ctx context.Context, in BothFactors) (recoveryCodesBody, error) {
	codes, err := s.RenewRecoveryCodes(ctx, in)
	return recoveryCodesBody{secrets(codes)}, err
}

func (s *Service) handleTurnFactorOff(ctx context.Context, in BothFactors) (httpx.None, error) {
	return httpx.None{}, s.TurnOffSecondFactor(ctx, in)
}

func secrets(texts []string) httpx.Secrets {
	all := make(httpx.Secrets, len(texts))
	for i, each := range texts {
		all[i] = httpx.Secret(each)
	}
	return all
}
