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

// What asks for a password is a PUT, as the change of a password is: an answer to a
// POST would be kept for its Idempotency-Key in the transaction in which the attempt is
// counted, and a refusal would take the count back.
func (s *Service) secondFactorRoutes() []httpx.Route {
	return []httpx.Route{
		{
			Method: http.MethodGet, Path: pathFactor, Permission: httpx.SignedIn, Enrolling: true,
			Name: "getMySecondFactor", Summary: "Have I a second factor",
			Description: "Whether one's sign-ins by password ask for a code, and how many recovery codes are left.",
			Refusals:    []*fault.Error{identity.ErrPeopleOnly}, Endpoint: httpx.Handle(http.StatusOK, s.handleSecondFactor),
		},
		{
			Method: http.MethodPut, Path: pathFactor, Permission: httpx.SignedIn, Enrolling: true,
			Name: "beginMySecondFactor", Summary: "Begin to set up a second factor",
			Description: "Gives a secret for an authenticator app (TOTP, RFC 6238): show `otpauth` as a QR code, and `secret` for people who type it. Both are told in this answer and never again. Nothing changes until `PUT /auth/second-factor/confirmation` has the app's first code, within 15 minutes; to begin anew makes another secret. Needs the password.",
			Refusals:    []*fault.Error{identity.ErrPeopleOnly, ErrSecondFactorOn, ErrSignInDelayed, ErrSignInBusy}, Endpoint: httpx.Handle(http.StatusOK, s.handleBeginFactor),
		},
		{
			Method: http.MethodPut, Path: pathFactor + "/confirmation", Permission: httpx.SignedIn, Enrolling: true,
			Name: "confirmMySecondFactor", Summary: "Turn the second factor on",
			Description: "Takes the code that the app shows. From now on a sign-in by password needs one. The recovery codes, each good once in the place of a code, are told in this answer and never again: have the person keep them elsewhere than on the telephone. " +
				"All other sign-ins end, on every device; this one goes on with its refresh token, and with the access token of this answer: the last one holds no more.",
			Refusals: []*fault.Error{identity.ErrPeopleOnly, ErrSecondFactorNotBegun, ErrSignInDelayed}, Endpoint: httpx.Handle(http.StatusOK, s.handleConfirmFactor),
		},
		{
			Method: http.MethodPut, Path: pathFactor + "/recovery-codes", Permission: httpx.SignedIn,
			Name: "renewMyRecoveryCodes", Summary: "Make new recovery codes",
			Description: "Gives ten new recovery codes, once; those of before are worth nothing from now on. Needs the password and a code, or one of the recovery codes.",
			Refusals:    []*fault.Error{identity.ErrPeopleOnly, ErrNoSecondFactor, ErrSignInDelayed, ErrSignInBusy}, Endpoint: httpx.Handle(http.StatusOK, s.handleRenewCodes),
		},
		{
			Method: http.MethodPut, Path: pathFactor + "/off", Permission: httpx.SignedIn,
			Name: "turnMySecondFactorOff", Summary: "Turn the second factor off",
			Description: "Needs the password and a code, or a recovery code. For another app or telephone: turn it off, and begin anew.",
			Refusals:    []*fault.Error{identity.ErrPeopleOnly, ErrNoSecondFactor, ErrSignInDelayed, ErrSignInBusy}, Endpoint: httpx.Handle(http.StatusNoContent, s.handleTurnFactorOff),
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
	ConfirmUntil time.Time    `json:"confirmUntil"` // after that it is void
}

func (s *Service) handleBeginFactor(ctx context.Context, in beginFactorRequest) (enrolmentBody, error) {
	begun, err := s.BeginSecondFactor(ctx, in.Password)
	return enrolmentBody{httpx.Secret(begun.Secret), httpx.Secret(begun.URI), begun.Until}, err
}

type confirmFactorRequest struct {
	Code string `json:"code" validate:"required,max=40"` // that the app shows
}

type confirmedFactorBody struct {
	RecoveryCodes httpx.Secrets `json:"recoveryCodes"` // each good once
	AccessToken   httpx.Secret  `json:"accessToken"`   // in place of the one that was sent
	ExpiresIn     int           `json:"expiresIn"`     // in seconds
	TokenType     string        `json:"tokenType"`
}

func (s *Service) handleConfirmFactor(ctx context.Context, in confirmFactorRequest) (confirmedFactorBody, error) {
	codes, signed, err := s.ConfirmSecondFactor(ctx, in.Code)
	return confirmedFactorBody{secrets(codes), httpx.Secret(signed.Token), int(signed.Expires / time.Second), "Bearer"}, err
}

type recoveryCodesBody struct {
	RecoveryCodes httpx.Secrets `json:"recoveryCodes"` // each good once
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
