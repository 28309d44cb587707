package mfa

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/password"
	"omnirapeutic/modules/rbac/throttle"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/permission"
)

const path = "/auth/second-factor"

// Routes returns the operations on second factors and the sign-in policy.
//
// Operations that require a password are PUTs, like the change of a password. The response to a
// POST is stored for its Idempotency-Key in the transaction that counts the attempt, and a
// refusal would roll the count back.
func (s *Service) Routes() []httpx.Route {
	return slices.Concat(s.policyRoutes(), []httpx.Route{
		{
			Method: http.MethodGet, Path: path, Permission: httpx.SignedIn, Enrolling: true,
			Name: "getMySecondFactor", Summary: "Get my second-factor status",
			Description: "Whether the caller's sign-ins with a password require a code, and how many recovery codes are unused.",
			Refusals:    []*fault.Error{identity.ErrPeopleOnly}, Endpoint: httpx.Handle(http.StatusOK, s.handleMine),
		},
		{
			Method: http.MethodPut, Path: path, Permission: httpx.SignedIn, Enrolling: true,
			Name: "beginMySecondFactor", Summary: "Start setting up a second factor",
			Description: "Returns a secret for an authenticator app (TOTP, RFC 6238). Show `otpauth` as a QR code, and " +
				"`secret` for people who type it. Both are returned only in this answer. Nothing changes until `PUT " +
				"/auth/second-factor/confirmation` receives the app's first code, within 15 minutes. A repeated request creates " +
				"another secret. Requires the password.",
			Refusals: []*fault.Error{identity.ErrPeopleOnly, ErrOn, throttle.ErrSignInDelayed, password.ErrBusy},
			Endpoint: httpx.Handle(http.StatusOK, s.handleStart),
		},
		{
			Method: http.MethodPut, Path: path + "/confirmation", Permission: httpx.SignedIn, Enrolling: true,
			Name: "confirmMySecondFactor", Summary: "Turn the second factor on",
			Description: "Requires the code that the app shows. From now on every sign-in with a password requires a code. " +
				"The recovery codes replace a code, each once. They are returned only in this answer; ask the user to keep them " +
				"apart from the phone. All other sessions of the user end. The current session keeps its refresh token and gets " +
				"a new access token; the earlier access token becomes invalid.",
			Refusals: []*fault.Error{identity.ErrPeopleOnly, ErrNotStarted, throttle.ErrSignInDelayed},
			Endpoint: httpx.Handle(http.StatusOK, s.handleConfirm),
		},
		{
			Method: http.MethodPut, Path: path + "/recovery-codes", Permission: httpx.SignedIn,
			Name: "renewMyRecoveryCodes", Summary: "Create new recovery codes",
			Description: "Returns ten new recovery codes, only in this answer. The earlier ones become invalid. Requires the " +
				"password and a code or recovery code.",
			Refusals: []*fault.Error{identity.ErrPeopleOnly, ErrNone, throttle.ErrSignInDelayed, password.ErrBusy},
			Endpoint: httpx.Handle(http.StatusOK, s.handleRenewCodes),
		},
		{
			Method: http.MethodPut, Path: path + "/off", Permission: httpx.SignedIn,
			Name: "turnMySecondFactorOff", Summary: "Turn the second factor off",
			Description: "Requires the password and a code or recovery code. To change the app or phone, turn the second " +
				"factor off and set it up again.",
			Refusals: []*fault.Error{identity.ErrPeopleOnly, ErrNone, throttle.ErrSignInDelayed, password.ErrBusy},
			Endpoint: httpx.Handle(http.StatusNoContent, s.handleTurnOff),
		},
		{
			Method: http.MethodDelete, Path: "/users/:id/second-factor", Permission: permission.UserChange,
			Name: "takeSecondFactor", Summary: "Remove a user's second factor",
			Description: "For a user who has lost the phone and the recovery codes. Make sure that the user, and not another " +
				"person, asks for it. All of their sessions end, and the next sign-in requires only the password. The caller " +
				"must hold every permission of the user, and cannot remove their own second factor; use `PUT " +
				"/auth/second-factor/off` instead.",
			Refusals: []*fault.Error{rbac.ErrUserNotFound, ErrNone, ErrOwn, identity.ErrBeyondOwn},
			Endpoint: httpx.Handle(http.StatusNoContent, s.handleRemove),
		},
	})
}

// secondFactorBody is the status of the caller's second factor.
type secondFactorBody struct {
	On bool `json:"on"` // Whether sign-ins with a password require a code.
	// The time at which the second factor was turned on. It is null if it is off.
	Since             *time.Time `json:"since"`
	RecoveryCodesLeft int        `json:"recoveryCodesLeft"` // The number of unused recovery codes.
	// The time at which a started enrolment expires. It is null if none was started.
	ConfirmUntil *time.Time `json:"confirmUntil"`
	// Whether the organization requires a second factor for sign-ins with a password.
	Required bool `json:"required"`
}

func (s *Service) handleMine(ctx context.Context, _ httpx.None) (secondFactorBody, error) {
	status, err := s.Mine(ctx)
	return secondFactorBody(status), err
}

type beginFactorRequest struct {
	Password string `json:"password" validate:"required"` // The caller's password.
}

// enrolmentBody is a started second factor.
type enrolmentBody struct {
	Secret       httpx.Secret `json:"secret"`       // The secret in base32, for people who type it.
	Otpauth      httpx.Secret `json:"otpauth"`      // The URI for an app that scans it as a QR code.
	ConfirmUntil time.Time    `json:"confirmUntil"` // The time at which the secret expires unless it is confirmed.
}

func (s *Service) handleStart(ctx context.Context, in beginFactorRequest) (enrolmentBody, error) {
	started, err := s.Start(ctx, in.Password)
	return enrolmentBody{httpx.Secret(started.Secret), httpx.Secret(started.URI), started.Until}, err
}

type confirmFactorRequest struct {
	Code string `json:"code" validate:"required,max=40"` // The code that the app shows.
}

// confirmedFactorBody is the answer to the confirmation of a second factor.
type confirmedFactorBody struct {
	RecoveryCodes httpx.Secrets `json:"recoveryCodes"` // The recovery codes, each of which works once.
	AccessToken   httpx.Secret  `json:"accessToken"`   // The token that replaces the access token of the request.
	ExpiresIn     int           `json:"expiresIn"`     // The time in seconds until the access token expires.
	TokenType     string        `json:"tokenType"`     // The type of the access token, which is always Bearer.
}

func (s *Service) handleConfirm(ctx context.Context, in confirmFactorRequest) (confirmedFactorBody, error) {
	codes, signed, err := s.Confirm(ctx, in.Code)
	return confirmedFactorBody{
		secrets(codes), httpx.Secret(signed.Token), int(signed.Expires / time.Second), "Bearer",
	}, err
}

// bothFactors are the two proofs that the caller is the user.
type bothFactors struct {
	Password string `json:"password" validate:"required"`    // The caller's password.
	Code     string `json:"code" validate:"required,max=40"` // A code from the app, or a recovery code.
}

// recoveryCodesBody is a list of new recovery codes.
type recoveryCodesBody struct {
	RecoveryCodes httpx.Secrets `json:"recoveryCodes"` // The recovery codes, each of which works once.
}

func (s *Service) handleRenewCodes(ctx context.Context, in bothFactors) (recoveryCodesBody, error) {
	codes, err := s.RenewRecoveryCodes(ctx, in.Password, in.Code)
	return recoveryCodesBody{secrets(codes)}, err
}

func (s *Service) handleTurnOff(ctx context.Context, in bothFactors) (httpx.None, error) {
	return httpx.None{}, s.TurnOff(ctx, in.Password, in.Code)
}

type removeFactorRequest struct {
	ID    uuid.UUID   `param:"id"`
	Match patch.Match `header:"If-Match"` // The version of the user.
}

func (s *Service) handleRemove(ctx context.Context, in removeFactorRequest) (httpx.None, error) {
	return httpx.None{}, s.Remove(ctx, in.ID, in.Match)
}

func secrets(texts []string) httpx.Secrets {
	all := make(httpx.Secrets, len(texts))
	for i, text := range texts {
		all[i] = httpx.Secret(text)
	}
	return all
}
