package rbac

import (
	"context"
	"errors"

	"omnirapeutic/platform/trail"
)

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

// failureKind is what an attempt tries to prove.
type failureKind struct {
	limit  string // the kind of the [FailureLimit]
	action string // of the audit trail
}

// The kinds of attempts. Each has its own rate, so that a program with an outdated API key does not
// block sign-ins of people in the same network.
var (
	failedSignIn     = failureKind{"sign-in", "user.sign-in"}
	failedRefresh    = failureKind{"refresh", "sign-in.refresh"}
	failedInvitation = failureKind{"invitation", "invitation.accept"}
	failedReset      = failureKind{"password-reset", "password-reset.use"}
	failedProvider   = failureKind{"identity-provider", "user.sign-in"}
	failedToken      = failureKind{"bearer", "access-token.use"}
	failedKey        = failureKind{"bearer", "api-key.use"}
)

// Reasons for refused attempts that concern no organization.
const (
	reasonLimited = "limited" // its source has failed too often
	reasonInvalid = "invalid" // malformed, or not signed here
)

// errGuess is the cause of refusals of tokens that were never issued here. An expired token is
// refused too, but is not a guess.
var errGuess = errors.New("rbac: this was never issued here")

// guesses are the refusals that count as failures of their source.
var guesses = []error{
	errGuess, ErrWrongCredentials, ErrSignInDelayed, ErrSecondFactorWrong, ErrRecoveryCodeRequired,
	ErrNotRecognized, ErrSignInCancelled, ErrSignInLost, ErrCodeUsed,
}

func isGuess(err error) bool {
	for _, each := range guesses {
		if errors.Is(err, each) {
			return true
		}
	}
	return false
}

// limited runs an attempt unless its source has failed too often recently. Guesses are counted for
// the operator.
func limited[T any](ctx context.Context, s *Service, kind failureKind, source string, attempt func() (T, error)) (T, error) {
	if err := s.takeFailure(ctx, kind, source); err != nil {
		var none T
		return none, err
	}
	result, err := attempt()
	if errors.Is(err, errGuess) {
		s.audit.Count(kind.action, refusedUnknown, trail.Address(ctx))
	}
	if !isGuess(err) {
		s.failures.GiveBack(kind.limit, source)
	}
	return result, err
}

// failed counts a failure that was found without work. It returns the given refusal, or the error
// of the [FailureLimit].
func (s *Service) failed(ctx context.Context, kind failureKind, refusal error) error {
	if err := s.takeFailure(ctx, kind, networkSource(ctx)); err != nil {
		return err
	}
	s.audit.Count(kind.action, reasonInvalid, trail.Address(ctx))
	return refusal
}

func (s *Service) takeFailure(ctx context.Context, kind failureKind, source string) error {
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
