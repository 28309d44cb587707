package rbac

import (
	"context"
	"fmt"
	"time"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/trail"
)

// The refusals of second factors.
var (
	// ErrSecondFactorOn: what is on is turned off first.
	ErrSecondFactorOn = fault.Define(fault.Conflict, "second-factor-on", "You have a second factor already.").
				Advising("Turn it off first, for another app or telephone.")
	// ErrSecondFactorNotBegun: nothing was begun, or too long ago.
	ErrSecondFactorNotBegun = fault.Define(fault.Conflict, "second-factor-not-begun", "No second factor was begun that could be confirmed, or more than 15 minutes ago.").
				Advising("Begin anew, and show the new QR code.")
	// ErrNoSecondFactor: there is none that is on.
	ErrNoSecondFactor = fault.Define(fault.NotFound, "no-second-factor", "There is no second factor.")
	// ErrOwnSecondFactor: one's own is turned off, which needs more than a token.
	ErrOwnSecondFactor = fault.Define(fault.Forbidden, "own-second-factor", "Your own second factor is turned off with your password and a code, or taken away by somebody else.").
				Advising("Lead to where the person turns it off: `PUT /auth/second-factor/off`.")
)

// SecondFactor is what a user sees of their own second factor.
type SecondFactor struct {
	On                bool       `json:"on"`
	Since             *time.Time `json:"since"`             // null: it is not on
	RecoveryCodesLeft int        `json:"recoveryCodesLeft"` // that are good
	ConfirmUntil      *time.Time `json:"confirmUntil"`      // one was begun, and waits for its first code; null: none
	Required          bool       `json:"required"`          // the organization asks for one of those who sign in by password
}

// MySecondFactor returns the caller's. Errors: [identity.ErrUnauthenticated],
// [identity.ErrPeopleOnly].
func (s *Service) MySecondFactor(ctx context.Context) (SecondFactor, error) {
	caller, err := person(ctx)
	if err != nil {
		return SecondFactor{}, err
	}
	return db.Snapshot(ctx, s.database, "second-factor.get", func(ctx context.Context) (SecondFactor, error) {
		f, err := takeFactor(ctx, caller.UserID)
		if err != nil {
			return SecondFactor{}, err
		}
		policy, err := takePolicy(ctx)
		if err != nil {
			return SecondFactor{}, err
		}
		mine := SecondFactor{On: f.isOn(), Required: policy.SecondFactorRequired}
		if f.isBegun(s.now()) {
			mine.ConfirmUntil = new(f.BegunAt.Add(enrolmentTime).UTC())
		}
		if f.isOn() {
			mine.Since = new(f.ConfirmedAt.UTC())
			mine.RecoveryCodesLeft, err = recoveryCodesLeft(ctx, caller.OrganizationID, caller.UserID)
		}
		return mine, err
	})
}

// person returns the caller, who has signed in.
func person(ctx context.Context) (identity.Caller, error) {
	caller, err := identity.From(ctx)
	if err == nil {
		err = caller.RequirePerson()
	}
	return caller, err
}

// Enrolment is a second factor that was begun, told once.
type Enrolment struct {
	Secret string // for people who type it
	URI    string // for an app that scans it
	Until  time.Time
}

// BeginSecondFactor makes a secret for the caller's app, in the place of one that was
// begun and not confirmed. Nothing is asked of anybody before [Service.ConfirmSecondFactor].
// Errors: [identity.ErrPeopleOnly], [ErrSecondFactorOn], [fault.ErrInvalid] for a password
// that is not theirs, [ErrSignInDelayed], [ErrSignInBusy].
func (s *Service) BeginSecondFactor(ctx context.Context, password string) (Enrolment, error) {
	caller, err := person(ctx)
	if err != nil {
		return Enrolment{}, err
	}
	mine, err := s.ownCredentials(ctx, caller)
	if err != nil {
		return Enrolment{}, err
	}
	const action = "second-factor.begin"
	counted, err := s.provePassword(ctx, caller, mine, password, "password", action)
	if err != nil {
		return Enrolment{}, err
	}
	secret := newTOTPSecret()
	f := factor{OrganizationID: caller.OrganizationID, UserID: caller.UserID, BegunAt: s.now()}
	f.Secret = s.factorSecrets.Seal(secret, f.about())
	_, err = db.Serializable(ctx, s.database, action, func(ctx context.Context) (struct{}, error) {
		if put, err := putFactor(ctx, f); err != nil {
			return struct{}{}, err
		} else if !put {
			return struct{}{}, ErrSecondFactorOn
		}
		if err := forgetAttempts(ctx, counted); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, s.audit.Record(ctx, []trail.Event{s.ownEvent(caller, action)})
	})
	return Enrolment{secret.text(), secret.uri(mine.User.Email), f.BegunAt.Add(enrolmentTime)}, err
}

// ConfirmSecondFactor turns on what was begun, once its app has shown a right code,
// and returns recovery codes, which are told here and never again. All of the caller's
// sign-ins end but the one that asks, as after another password: they were begun with
// less. Its refresh token goes on, and the access token that is returned takes the
// place of its last one. Errors: [identity.ErrPeopleOnly], [ErrSecondFactorNotBegun],
// [fault.ErrInvalid] for a wrong code, [ErrSignInDelayed].
func (s *Service) ConfirmSecondFactor(ctx context.Context, code string) ([]string, SignedIn, error) {
	caller, err := person(ctx)
	if err != nil {
		return nil, SignedIn{}, err
	}
	mine, err := s.ownCredentials(ctx, caller)
	if err != nil {
		return nil, SignedIn{}, err
	}
	now, f := s.now(), mine.Factor
	if !f.isBegun(now) {
		return nil, SignedIn{}, ErrSecondFactorNotBegun
	}
	const action = "second-factor.turn-on"
	counted, err := s.ownAttempt(ctx, caller)
	if err != nil {
		return nil, SignedIn{}, err
	}
	proven, why := s.judge(f, code)
	if why == codeGood && proven.step == 0 { // no recovery code can be good yet
		why = codeWrong
	}
	if why != codeGood {
		return nil, SignedIn{}, s.refuseOwnCode(ctx, caller, f, why, action)
	}
	codes := newRecoveryCodes()
	there := func(ctx context.Context) (bool, error) {
		found, err := takeFactor(ctx, caller.UserID)
		return found.ConfirmedAt != nil && found.ConfirmedAt.Equal(now), err
	}
	var in signIn
	_, err = db.Serializable(ctx, s.database, action, func(ctx context.Context) (struct{}, error) {
		if db.InDoubt(ctx) { // an attempt before this one may have done it: see db.ProvenBy
			if done, err := there(ctx); done || err != nil {
				return struct{}{}, err
			}
		}
		in, err = takeSignIn(ctx, caller.OrganizationID, caller.UserID, caller.SignInID, now)
		if db.IsNotFound(err) { // it has ended meanwhile
			return struct{}{}, identity.ErrUnauthenticated
		}
		if err != nil {
			return struct{}{}, err
		}
		if confirmed, err := confirmFactor(ctx, f, proven.step, now); err != nil {
			return struct{}{}, err
		} else if !confirmed { // begun anew, or confirmed, meanwhile
			return struct{}{}, ErrSecondFactorNotBegun
		}
		if err := replaceRecoveryCodes(ctx, f, recoveryHashes(codes)); err != nil {
			return struct{}{}, err
		}
		if in.Epoch, err = s.revoke(ctx, caller.OrganizationID, caller.UserID); err != nil {
			return struct{}{}, err
		}
		if err := keepSignIn(ctx, in); err != nil {
			return struct{}{}, err
		}
		if err := forgetAttempts(ctx, counted); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, s.audit.Record(ctx, []trail.Event{s.ownEvent(caller, action)})
	}, db.ProvenBy(there))
	if err != nil {
		return nil, SignedIn{}, err
	}
	mine.User.epoch = in.Epoch
	token, err := s.tokens.issue(mine.User, in.ID)
	if err != nil {
		return nil, SignedIn{}, fmt.Errorf("sign an access token: %w", err)
	}
	return codes, SignedIn{Token: token, Expires: s.tokens.lifetime, User: mine.User, Ends: in.EndsAt}, nil
}
