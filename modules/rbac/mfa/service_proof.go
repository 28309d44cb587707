package rbac

import (
	"context"

	"github.com/sirupsen/logrus"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/trail"
)

// Errors of a sign-in with a second factor. Only a caller with the right password gets them.
var (
	// ErrSecondFactorRequired is returned if the password is right and no code was given.
	ErrSecondFactorRequired = fault.Define(fault.Unauthenticated, "second-factor-required",
		"The password is right. Enter the code from your authenticator app, or a recovery code.").
		Advising("Ask for the code, and send the same request with it as `code`.")
	// ErrSecondFactorWrong is returned if the code is wrong or was used before.
	ErrSecondFactorWrong = fault.Define(fault.Unauthenticated, "second-factor-wrong",
		"The code is wrong or was used before. Each code works once.").
		Advising("Ask for the next code of the app. If codes are refused repeatedly, the phone's clock may be wrong.")
	// ErrRecoveryCodeRequired is returned after too many consecutive wrong codes.
	ErrRecoveryCodeRequired = fault.Define(fault.Unauthenticated, "recovery-code-required",
		"Too many wrong codes. Enter a recovery code instead.").
		Advising("Ask for a recovery code. A user without recovery codes asks an administrator to remove the second factor.")
)

// refusals are the errors of a sign-in with a code.
var refusals = map[verdict]*fault.Error{
	codeWrong: ErrSecondFactorWrong, codeUsed: ErrSecondFactorWrong, codeLocked: ErrRecoveryCodeRequired,
}

// spentError is returned if another request has used an accepted code first.
type spentError struct{ why verdict }

// Error implements error.
func (e spentError) Error() string {
	return "rbac: the code is used or unknown: " + string(e.why)
}

// judge checks a code. If the secret was encrypted with a secret that is no longer configured,
// only recovery codes are accepted.
func (s *Service) judge(f factor, code string) (proof, verdict) {
	secret, err := s.factorSecrets.Open(f.Secret, f.about())
	if err != nil {
		s.logger.WithFields(logrus.Fields{"event": "second_factor_sealed", "user_id": f.UserID, "organization_id": f.OrganizationID}).
			Error("a second factor was encrypted with a secret that is no longer configured; its user needs a recovery code")
	}
	return f.judge(secret, code, s.now())
}

// spend uses a proof up in the transaction of the context, so that only one of two concurrent
// requests with the same code succeeds. It returns the number of unused recovery codes, and
// re-encrypts a secret that was encrypted with a former key. The error is a spentError if the
// proof was already used.
func (s *Service) spend(ctx context.Context, f factor, p proof) (left *int, err error) {
	var good bool
	why := codeUsed
	if p.recovery != nil {
		why = codeWrong
		good, err = useRecoveryCode(ctx, f, p.recovery, s.now())
	} else {
		sealed := f.Secret
		if secret, stale, openErr := s.factorSecrets.OpenStale(sealed, f.about()); openErr == nil && stale {
			sealed = s.factorSecrets.Seal(secret, f.about())
		}
		good, err = acceptStep(ctx, f, p.step, sealed)
	}
	if err != nil {
		return nil, err
	}
	if !good {
		return nil, spentError{why}
	}
	n, err := recoveryCodesLeft(ctx, f.OrganizationID, f.UserID)
	if err == nil && p.recovery != nil {
		err = s.recordRecovery(ctx, f, n)
	}
	return &n, err
}

// refuseCode records that a sign-in was refused for its second factor, counts a wrong code, and
// returns the refusal. The request for a code is a step of a sign-in, not a denial. It is
// recorded too, because the right password may be stolen.
func (s *Service) refuseCode(ctx context.Context, known credentials, why verdict) error {
	if why == codeMissing {
		s.logger.WithFields(userFields("second_factor_asked", known.User)).Info("sign-in continues with the second factor")
		if err := s.noteAsked(ctx, known.User); err != nil {
			return err
		}
		return ErrSecondFactorRequired
	}
	if err := s.countWrong(ctx, known.Factor, why); err != nil {
		return err
	}
	return s.refuse(ctx, known.User, string(why), refusals[why])
}

// refuseOwnCode records that the caller's code was refused for the action, and returns the
// refusal.
func (s *Service) refuseOwnCode(ctx context.Context, caller identity.Caller, f factor, why verdict, action string) error {
	if err := s.countWrong(ctx, f, why); err != nil {
		return err
	}
	e := s.ownEvent(caller, action)
	e.Outcome, e.After = trail.Denied, refusedSignIn{string(why)}
	if err := s.audit.Note(ctx, []trail.Event{e}); err != nil {
		return err
	}
	refused := fault.Field{Field: "code", Code: "wrong", Message: "is wrong, or was used before"}
	if why == codeLocked {
		refused = fault.Field{
			Field: "code", Code: "locked",
			Message: "must be a recovery code, because there were too many wrong codes from the app",
		}
	}
	return fault.InvalidFields(refused)
}

func (s *Service) countWrong(ctx context.Context, f factor, why verdict) error {
	if why != codeWrong {
		return nil
	}
	// No decision depends on the count here, and the update is atomic.
	_, err := db.ReadCommitted(ctx, s.database, "second-factor.wrong-code", func(ctx context.Context) (struct{}, error) {
		if err := db.Admit(ctx, f.OrganizationID); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, countWrongCode(ctx, f)
	})
	return err
}
