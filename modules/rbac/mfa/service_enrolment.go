package mfa

import (
	"context"
	"time"

	"omnirapeutic/modules/rbac/account"
	"omnirapeutic/modules/rbac/session"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/mail"
)

// Enrolment is a started second factor. It is shown once.
type Enrolment struct {
	Secret string // for people who type it
	URI    string // for an app that scans it
	Until  time.Time
}

// Start creates a secret for the caller's app and replaces an unconfirmed one. Sign-ins require no
// code before [Service.Confirm]. Errors: [identity.ErrPeopleOnly], [ErrOn], [fault.ErrInvalid] for a
// wrong password, [throttle.ErrSignInDelayed], [password.ErrBusy].
func (s *Service) Start(ctx context.Context, password string) (Enrolment, error) {
	caller, err := account.Person(ctx)
	if err != nil {
		return Enrolment{}, err
	}
	own, err := s.Passwords.Own(ctx, caller)
	if err != nil {
		return Enrolment{}, err
	}
	const action = "second-factor.begin"
	counter, err := s.Passwords.Prove(ctx, caller, own, password, "password", action)
	if err != nil {
		return Enrolment{}, err
	}
	secret := newTOTPSecret()
	f := Factor{OrganizationID: caller.OrganizationID, UserID: caller.UserID, StartedAt: s.Clock.Now()}
	f.Secret = s.secrets.Seal(secret, f.subject())
	_, err = db.Serializable(ctx, s.Database, action, func(ctx context.Context) (struct{}, error) {
		if stored, err := s.store.putUnconfirmed(ctx, f); err != nil {
			return struct{}{}, err
		} else if !stored {
			return struct{}{}, ErrOn
		}
		if err := s.Throttle.Forget(ctx, counter); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, s.recordOwn(ctx, caller, action)
	})
	return Enrolment{secret.text(), secret.uri(own.User.Email), f.StartedAt.Add(enrolmentTime)}, err
}

// Confirm turns the started second factor on, given a valid code of its app. It returns recovery
// codes, which are shown only once. All other sessions of the caller end, because they were made
// without the second factor. The current session keeps its refresh token and gets a new access
// token; the earlier one becomes invalid. Errors: [identity.ErrPeopleOnly], [ErrNotStarted],
// [fault.ErrInvalid] for a wrong code, [throttle.ErrSignInDelayed].
func (s *Service) Confirm(ctx context.Context, code string) ([]string, session.SignedIn, error) {
	caller, err := account.Person(ctx)
	if err != nil {
		return nil, session.SignedIn{}, err
	}
	own, f, err := s.Own(ctx, caller)
	if err != nil {
		return nil, session.SignedIn{}, err
	}
	now := s.Clock.Now()
	if !f.isStarted(now) {
		return nil, session.SignedIn{}, ErrNotStarted
	}
	const action = "second-factor.turn-on"
	counter, err := s.Passwords.CountAttempt(ctx, caller)
	if err != nil {
		return nil, session.SignedIn{}, err
	}
	proof, verdict := s.Judge(f, code)
	if verdict == CodeAccepted && proof.step == 0 { // there are no recovery codes yet
		verdict = codeWrong
	}
	if verdict != CodeAccepted {
		return nil, session.SignedIn{}, s.refuseOwnCode(ctx, caller, f, verdict, action)
	}
	codes := newRecoveryCodes()
	stored := func(ctx context.Context) (bool, error) {
		found, err := s.store.factor(ctx, caller.UserID)
		return found.ConfirmedAt != nil && found.ConfirmedAt.Equal(now), err
	}
	var in session.Session
	_, err = db.Serializable(ctx, s.Database, action, func(ctx context.Context) (struct{}, error) {
		if db.InDoubt(ctx) { // an earlier attempt may have committed: see db.ProvenBy
			if done, err := stored(ctx); done || err != nil {
				return struct{}{}, err
			}
		}
		if in, err = s.Sessions.EndOthers(ctx, caller); err != nil {
			return struct{}{}, err
		}
		if confirmed, err := s.store.confirm(ctx, f, proof.step, now); err != nil {
			return struct{}{}, err
		} else if !confirmed { // another request has restarted or confirmed it
			return struct{}{}, ErrNotStarted
		}
		if err := s.store.replaceRecoveryCodes(ctx, f, recoveryHashes(codes)); err != nil {
			return struct{}{}, err
		}
		if err := s.Throttle.Forget(ctx, counter); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, s.recordChange(ctx, own.User, action, mail.SecondFactorOn)
	}, db.ProvenBy(stored))
	if err != nil {
		return nil, session.SignedIn{}, err
	}
	own.User.SecondFactor = true
	signed, err := s.Sessions.IssueAccessToken(own.User, in)
	return codes, signed, err
}
