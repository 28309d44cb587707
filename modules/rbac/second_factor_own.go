package rbac

import (
	"context"
	"errors"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/trail"
)

// BothFactors are what proves that it is the caller, and not somebody at their screen.
type BothFactors struct {
	Password string `json:"password" validate:"required"`
	Code     string `json:"code" validate:"required,max=40"` // that the app shows, or a recovery code
}

// TurnOffSecondFactor takes the caller's second factor away, with its recovery codes.
// Sign-ins go on; where the organization asks for one they are worth nothing else, once
// they are refreshed, until there is another. Errors: [identity.ErrPeopleOnly], [ErrNoSecondFactor],
// [fault.ErrInvalid] for a wrong password or code, [ErrSignInDelayed], [ErrSignInBusy].
func (s *Service) TurnOffSecondFactor(ctx context.Context, b BothFactors) error {
	return s.provenTwice(ctx, b, "second-factor.turn-off", func(ctx context.Context, f factor) error {
		_, err := deleteFactor(ctx, f.OrganizationID, f.UserID)
		return err
	})
}

// RenewRecoveryCodes returns a new set for the caller, which is told here and never
// again; those of before are worth nothing. Errors: as of [Service.TurnOffSecondFactor].
func (s *Service) RenewRecoveryCodes(ctx context.Context, b BothFactors) ([]string, error) {
	codes := newRecoveryCodes()
	return codes, s.provenTwice(ctx, b, "second-factor.renew-recovery-codes", func(ctx context.Context, f factor) error {
		return replaceRecoveryCodes(ctx, f, recoveryHashes(codes))
	})
}

// provenTwice makes a change to the caller's second factor once both factors have
// proven who asks. Without [db.ProvenBy]: it can be asked again when nobody knows
// whether it was committed.
func (s *Service) provenTwice(ctx context.Context, b BothFactors, action string, change func(ctx context.Context, f factor) error) error {
	caller, err := person(ctx)
	if err != nil {
		return err
	}
	mine, err := s.ownCredentials(ctx, caller)
	if err != nil {
		return err
	}
	if !mine.Factor.isOn() {
		return ErrNoSecondFactor
	}
	counted, err := s.provePassword(ctx, caller, mine, b.Password, "password", action)
	if err != nil {
		return err
	}
	proven, why := s.judge(mine.Factor, b.Code)
	if why != codeGood {
		return s.refuseOwnCode(ctx, caller, mine.Factor, why, action)
	}
	_, err = db.Serializable(ctx, s.database, action, func(ctx context.Context) (struct{}, error) {
		if _, err := takeSignIn(ctx, caller.OrganizationID, caller.UserID, caller.SignInID, s.now()); db.IsNotFound(err) {
			return struct{}{}, identity.ErrUnauthenticated // it has ended meanwhile
		} else if err != nil {
			return struct{}{}, err
		}
		if _, err := s.spend(ctx, mine.Factor, proven); err != nil {
			return struct{}{}, err
		}
		if err := change(ctx, mine.Factor); err != nil {
			return struct{}{}, err
		}
		if err := forgetAttempts(ctx, counted); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, s.audit.Record(ctx, []trail.Event{s.ownEvent(caller, action)})
	})
	if spent := (spentError{}); errors.As(err, &spent) {
		return s.refuseOwnCode(ctx, caller, mine.Factor, spent.why, action)
	}
	return err
}
