package rbac

import (
	"context"

	"github.com/sirupsen/logrus"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/trail"
)

// The refusals of a sign-in for its second factor. Only whoever has given the right
// password gets them.
var (
	// ErrSecondFactorRequired: the password is right, and there is no code.
	ErrSecondFactorRequired = fault.Define(fault.Unauthenticated, "second-factor-required", "The password is right. Now the code that the authenticator app shows is needed, or a recovery code.").
				Advising("Ask for the code, and send the same request with it as `code`.")
	// ErrSecondFactorWrong: the code is wrong, or was used before.
	ErrSecondFactorWrong = fault.Define(fault.Unauthenticated, "second-factor-wrong", "The code is not right, or was used before: each is good once.").
				Advising("Ask for the code that the app shows next. Where it is refused again and again, the telephone's clock may be wrong.")
	// ErrRecoveryCodeRequired: too many wrong codes in a row.
	ErrRecoveryCodeRequired = fault.Define(fault.Unauthenticated, "recovery-code-required", "After too many wrong codes those of the app are not looked at any more. A recovery code is needed.").
				Advising("Ask for a recovery code. Who has none left turns to an administrator, who can take the second factor away.")
)

// refusals are what somebody who signs in with a code is told.
var refusals = map[verdict]*fault.Error{
	codeWrong: ErrSecondFactorWrong, codeUsed: ErrSecondFactorWrong, codeLocked: ErrRecoveryCodeRequired,
}

// spentError says that a code that was good is not any more.
type spentError struct{ why verdict }

// Error implements error.
func (e spentError) Error() string {
	return "rbac: the code was used by somebody else, or is none: " + string(e.why)
}

// judge says what a code is worth now. A secret that was sealed under a secret of the
// configuration that is gone proves nothing any more; recovery codes still do.
func (s *Service) judge(f factor, code string) (proof, verdict) {
	secret, err := s.factorSecrets.Open(f.Secret, f.about())
	if err != nil {
		s.logger.WithFields(logrus.Fields{"event": "second_factor_sealed", "user_id": f.UserID, "organization_id": f.OrganizationID}).
			Error("a second factor was sealed under a secret that is not configured any more; its user needs a recovery code")
	}
	return f.judge(secret, code, s.now())
}

// spend uses a proof up in the transaction of the context, so that of two who bring
// the same code one is let in, and returns how many recovery codes are left. A secret
// that was sealed under a former key is sealed anew. The error is a spentError
// where the proof is worth nothing any more.
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

// refuseCode keeps that a sign-in was refused for its second factor, counts a wrong
// code, and returns the refusal. To be asked for the code is a step of a sign-in: it is
// kept as one, since the password that was right may be a stolen one, and as no denial.
func (s *Service) refuseCode(ctx context.Context, known credentials, why verdict) error {
	if why == codeMissing {
		s.logger.WithFields(userFields("second_factor_asked", known.User)).Info("a sign-in goes on with a second factor")
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

// refuseOwnCode keeps that the caller has given a code that does not do, for the
// action, and returns what to tell them.
func (s *Service) refuseOwnCode(ctx context.Context, caller identity.Caller, f factor, why verdict, action string) error {
	if err := s.countWrong(ctx, f, why); err != nil {
		return err
	}
	e := s.ownEvent(caller, action)
	e.Outcome, e.After = trail.Denied, refusedSignIn{string(why)}
	if err := s.audit.Note(ctx, []trail.Event{e}); err != nil {
		return err
	}
	wrong := fault.Field{Field: "code", Code: "wrong", Message: "is not right, or was used before"}
	if why == codeLocked {
		wrong = fault.Field{Field: "code", Code: "locked", Message: "must be a recovery code: after too many wrong ones the app's are not looked at any more"}
	}
	return fault.InvalidFields(wrong)
}

func (s *Service) countWrong(ctx context.Context, f factor, why verdict) error {
	if why != codeWrong {
		return nil
	}
	// A count that nothing is decided by here: no two of them are lost, and none waits.
	_, err := db.ReadCommitted(ctx, s.database, "second-factor.wrong-code", func(ctx context.Context) (struct{}, error) {
		if err := db.Admit(ctx, f.OrganizationID); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, countWrongCode(ctx, f)
	})
	return err
}
