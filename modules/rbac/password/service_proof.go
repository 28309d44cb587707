package rbac

import (
	"context"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/trail"
)

// ownCredentials returns the caller's credentials with the second factor and the organization's
// policy. The error is [identity.ErrUnauthenticated] if the caller may not sign in.
func (s *Service) ownCredentials(ctx context.Context, caller identity.Caller) (credentials, error) {
	mine, err := db.Snapshot(ctx, s.database, "user.password", func(ctx context.Context) (credentials, error) {
		mine, err := credentialsOfCaller(ctx, caller.UserID)
		if err == nil {
			mine.Factor, err = takeFactor(ctx, caller.UserID)
		}
		if err == nil {
			var policy SignInPolicy
			policy, err = takePolicy(ctx)
			mine.Asks = policy.SecondFactorRequired
		}
		return mine, err
	})
	if db.IsNotFound(err) {
		err = identity.ErrUnauthenticated
	}
	return mine, err
}

// ownAttempt counts an attempt of the caller to prove something about themselves, so that a caller
// with only a stolen token cannot guess endlessly. It is separate from the count of sign-ins. The
// error is [ErrSignInDelayed].
func (s *Service) ownAttempt(ctx context.Context, caller identity.Caller) (counted []byte, err error) {
	counted = s.throttle.proofCounter(caller.UserID, caller.SignInID)
	return counted, s.attempt(ctx, counted)
}

// provePassword checks the caller's own password for an action. It returns the counted attempts,
// to be removed after success. Errors: [fault.ErrInvalid] for the field, [ErrSignInDelayed],
// [ErrSignInBusy].
func (s *Service) provePassword(
	ctx context.Context, caller identity.Caller, mine credentials, given, field, action string,
) (counted []byte, err error) {
	if counted, err = s.ownAttempt(ctx, caller); err != nil {
		return nil, err
	}
	matches := len(given) <= maxPassword
	if matches {
		if matches, err = s.passwords.matches(ctx, given, mine.Hash); err != nil {
			return nil, err
		}
	}
	if matches {
		return counted, nil
	}
	e := s.ownEvent(caller, action)
	e.Outcome, e.After = trail.Denied, refusedSignIn{"password"}
	if err := s.audit.Note(ctx, []trail.Event{e}); err != nil {
		return nil, err
	}
	return nil, fault.InvalidFields(fault.Field{Field: field, Code: "wrong", Message: "is not your password"})
}

// ownEvent returns an audit event for an action of the caller on their own account.
func (s *Service) ownEvent(caller identity.Caller, action string) trail.Event {
	e := trail.By(caller)
	e.Action, e.SubjectType, e.SubjectID, e.OccurredAt = action, "user", caller.UserID, s.now()
	return e
}
