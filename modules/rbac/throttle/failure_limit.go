package throttle

import (
	"context"
	"errors"
	"slices"

	"omnirapeutic/platform/trail"
)

// Audit counts refused attempts of callers without an organization, for the operator. It uses no
// database and never fails.
type Audit interface {
	Count(action, reason, address string)
}

// FailureLimit limits how often one source may fail to prove something. It is called before any
// work is done for an attempt, so that a flood of guesses costs nothing. Safe for concurrent use.
type FailureLimit interface {
	// Take claims one failure of the kind for the source. It returns an error if the source has
	// failed too often; the client must wait. The error may be delayed, to slow down clients that
	// do not wait.
	Take(ctx context.Context, kind, source string) error
	// GiveBack returns a claimed failure after an attempt that did not fail.
	GiveBack(kind, source string)
}

// Kind is what an attempt tries to prove.
type Kind struct {
	limit  string // the kind of the [FailureLimit]
	action string // of the audit trail
}

// The kinds of attempts. Each has its own rate, so that a program with an outdated API key does not
// block sign-ins of people in the same network.
var (
	SignIn        = Kind{"sign-in", "user.sign-in"}
	Refresh       = Kind{"refresh", "sign-in.refresh"}
	Invitation    = Kind{"invitation", "invitation.accept"}
	PasswordReset = Kind{"password-reset", "password-reset.use"}
	// PasswordResetRequest is a request for a link. Each one counts, because none can be proven.
	PasswordResetRequest = Kind{"password-reset-request", "password-reset.request"}
	IdentityProvider     = Kind{"identity-provider", "user.sign-in"}
	AccessToken          = Kind{"bearer", "access-token.use"}
	APIKey               = Kind{"bearer", "api-key.use"}
)

// ReasonUnknown is the reason for refusing a token or address that is unknown here.
const ReasonUnknown = "unknown"

// Further reasons for refused attempts that concern no organization.
const (
	reasonLimited = "limited" // its source has failed too often
	reasonInvalid = "invalid" // malformed, or not signed here
)

// ErrGuess is the cause of refusals of tokens that were never issued here. An expired token is
// refused too, but is not a guess.
var ErrGuess = errors.New("rbac: the token, code or key was never issued")

// Limited runs an attempt unless its source has failed too often recently. [ErrGuess] and the given
// errors count as failures of the source. The operator sees the number of guesses.
func Limited[T any](
	ctx context.Context, s *Service, kind Kind, source string, attempt func() (T, error), failures ...error,
) (T, error) {
	if err := s.takeFailure(ctx, kind, source); err != nil {
		var none T
		return none, err
	}
	result, err := attempt()
	isGuess := errors.Is(err, ErrGuess)
	if isGuess {
		s.audit.Count(kind.action, ReasonUnknown, trail.Address(ctx))
	}
	if !isGuess && !slices.ContainsFunc(failures, func(f error) bool { return errors.Is(err, f) }) {
		s.failures.GiveBack(kind.limit, source)
	}
	return result, err
}

// Take claims a failure of the caller's network for an attempt that always counts. The error is that of
// the [FailureLimit].
func (s *Service) Take(ctx context.Context, kind Kind) error {
	return s.takeFailure(ctx, kind, NetworkSource(ctx))
}

// CountInvalid counts a failure that was found without work, such as a malformed token. It returns
// the given refusal, or the error of the [FailureLimit].
func (s *Service) CountInvalid(ctx context.Context, kind Kind, refusal error) error {
	if err := s.takeFailure(ctx, kind, NetworkSource(ctx)); err != nil {
		return err
	}
	s.audit.Count(kind.action, reasonInvalid, trail.Address(ctx))
	return refusal
}

func (s *Service) takeFailure(ctx context.Context, kind Kind, source string) error {
	err := s.failures.Take(ctx, kind.limit, source)
	if err != nil {
		s.audit.Count(kind.action, reasonLimited, trail.Address(ctx))
	}
	return err
}

// noLimit is the [FailureLimit] of commands and tests.
type noLimit struct{}

// Take implements [FailureLimit].
func (noLimit) Take(context.Context, string, string) error { return nil }

// GiveBack implements [FailureLimit].
func (noLimit) GiveBack(string, string) {}
