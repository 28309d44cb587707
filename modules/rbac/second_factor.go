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

// The errors of second factors.
var (
	// ErrSecondFactorOn is returned if a second factor is on; it must be turned off first.
	ErrSecondFactorOn = fault.Define(fault.Conflict, "second-factor-on", "You already have a second factor.").
				Advising("Turn it off first to use another app or phone.")
	// ErrSecondFactorNotBegun is returned if there is no enrolment, or it has expired.
	ErrSecondFactorNotBegun = fault.Define(fault.Conflict, "second-factor-not-begun",
		"Setting up a second factor was not started, or was started more than 15 minutes ago.").
		Advising("Start again, and show the new QR code.")
	// ErrNoSecondFactor is returned if no second factor is on.
	ErrNoSecondFactor = fault.Define(fault.NotFound, "no-second-factor", "No second factor is set up.").
				Advising("Reload the status of the second factor, and offer to set one up.")
	// ErrOwnSecondFactor is returned if callers remove their own second factor as an administrator.
	ErrOwnSecondFactor = fault.Define(fault.Forbidden, "own-second-factor",
		"Turn your own second factor off with your password and a code, or ask another administrator to remove it.").
		Advising("Show the page where the user turns it off: `PUT /auth/second-factor/off`.")
)

// SecondFactor is the status of the caller's second factor.
type SecondFactor struct {
	On                bool       `json:"on"`
	Since             *time.Time `json:"since"`             // null: it is off
	RecoveryCodesLeft int        `json:"recoveryCodesLeft"` // number of unused codes
	ConfirmUntil      *time.Time `json:"confirmUntil"`      // when a started enrolment expires; null: none
	Required          bool       `json:"required"`          // whether the organization requires it for sign-ins with a password
}

// MySecondFactor returns the caller's status. Errors: [identity.ErrUnauthenticated],
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

// person returns the caller, who must be a signed-in user.
func person(ctx context.Context) (identity.Caller, error) {
	caller, err := identity.From(ctx)
	if err == nil {
		err = caller.RequirePerson()
	}
	return caller, err
}

// Enrolment is a started second factor. It is shown once.
type Enrolment struct {
	Secret string // for people who type it
	URI    string // for an app that scans it
	Until  time.Time
}

// BeginSecondFactor creates a secret for the caller's app and replaces an unconfirmed one.
// Sign-ins require no code before [Service.ConfirmSecondFactor]. Errors:
// [identity.ErrPeopleOnly], [ErrSecondFactorOn], [fault.ErrInvalid] for a wrong password,
// [ErrSignInDelayed], [ErrSignInBusy].
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

// ConfirmSecondFactor turns the started second factor on, given a valid code of its app. It
// returns recovery codes, which are shown only once. All other sign-ins of the caller end,
// because they were made without the second factor. The current sign-in keeps its refresh token
// and gets a new access token; the earlier one becomes invalid. Errors: [identity.ErrPeopleOnly],
// [ErrSecondFactorNotBegun], [fault.ErrInvalid] for a wrong code, [ErrSignInDelayed].
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
	if why == codeGood && proven.step == 0 { // there are no recovery codes yet
		why = codeWrong
	}
	if why != codeGood {
		return nil, SignedIn{}, s.refuseOwnCode(ctx, caller, f, why, action)
	}
	codes := newRecoveryCodes()
	stored := func(ctx context.Context) (bool, error) {
		found, err := takeFactor(ctx, caller.UserID)
		return found.ConfirmedAt != nil && found.ConfirmedAt.Equal(now), err
	}
	var in signIn
	_, err = db.Serializable(ctx, s.database, action, func(ctx context.Context) (struct{}, error) {
		if db.InDoubt(ctx) { // an earlier attempt may have committed: see db.ProvenBy
			if done, err := stored(ctx); done || err != nil {
				return struct{}{}, err
			}
		}
		in, err = takeSignIn(ctx, caller.OrganizationID, caller.UserID, caller.SignInID, now)
		if db.IsNotFound(err) { // it has just ended
			return struct{}{}, identity.ErrUnauthenticated
		}
		if err != nil {
			return struct{}{}, err
		}
		if confirmed, err := confirmFactor(ctx, f, proven.step, now); err != nil {
			return struct{}{}, err
		} else if !confirmed { // another request has restarted or confirmed it
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
	}, db.ProvenBy(stored))
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
