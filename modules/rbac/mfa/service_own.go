package rbac

import (
	"context"
	"errors"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/trail"
)

// BothFactors prove that the caller is the user, and not a person at their unlocked screen.
type BothFactors struct {
	Password string `json:"password" validate:"required"`
	Code     string `json:"code" validate:"required,max=40"` // from the app, or a recovery code
}

// TurnOffSecondFactor removes the caller's second factor with its recovery codes. Sign-ins
// continue. If the organization requires a second factor, they can only set one up after their
// next refresh. Errors: [identity.ErrPeopleOnly], [ErrNoSecondFactor], [fault.ErrInvalid] for a
// wrong password or code, [ErrSignInDelayed], [ErrSignInBusy].
func (s *Service) TurnOffSecondFactor(ctx context.Context, b BothFactors) error {
	return s.provenTwice(ctx, b, "second-factor.turn-off", func(ctx context.Context, f factor) error {
		_, err := deleteFactor(ctx, f.OrganizationID, f.UserID)
		return err
	})
}

// RenewRecoveryCodes returns new recovery codes for the caller, which are shown only once.
// Earlier codes become invalid. Errors: as for [Service.TurnOffSecondFactor].
func (s *Service) RenewRecoveryCodes(ctx context.Context, b BothFactors) ([]string, error) {
	codes := newRecoveryCodes()
	return codes, s.provenTwice(ctx, b, "second-factor.renew-recovery-codes", func(ctx context.Context, f factor) error {
		return replaceRecoveryCodes(ctx, f, recoveryHashes(codes))
	})
}

// provenTwice checks both factors and then changes the caller's second factor. It works without
// [db.ProvenBy]: the caller can repeat it after an unknown outcome.
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
			return struct{}{}, identity.ErrUnauthenticated // it has just ended
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
