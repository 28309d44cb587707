package mfa

import (
	"context"
	"errors"

	"github.com/sirupsen/logrus"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/account"
	"omnirapeutic/modules/rbac/session"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/mail"
	"omnirapeutic/platform/telemetry"
	"omnirapeutic/platform/trail"
)

// Errors of a sign-in with a second factor. Only a caller with the right password gets them.
var (
	// ErrRequired is returned if the password is right and no code was given.
	ErrRequired = fault.Define(fault.Unauthenticated, "second-factor-required",
		"The password is right. Enter the code from your authenticator app, or a recovery code.").
		Advising("Ask for the code, and send the same request with it as `code`.")
	// ErrWrong is returned if the code is wrong or was used before.
	ErrWrong = fault.Define(fault.Unauthenticated, "second-factor-wrong",
		"The code is wrong or was used before. Each code works once.").
		Advising("Ask for the next code of the app. If codes are refused repeatedly, the phone's clock may be wrong.")
	// ErrRecoveryCodeRequired is returned after too many consecutive wrong codes.
	ErrRecoveryCodeRequired = fault.Define(fault.Unauthenticated, "recovery-code-required",
		"Too many wrong codes. Enter a recovery code instead.").
		Advising("Ask for a recovery code. A user without recovery codes asks an administrator to remove the second factor.")
)

// refusals are the errors of a sign-in with a code.
var refusals = map[Verdict]*fault.Error{
	codeWrong: ErrWrong, codeUsed: ErrWrong, codeLocked: ErrRecoveryCodeRequired,
}

// SpentError is returned if another request has used an accepted code first.
type SpentError struct{ Verdict Verdict }

// Error implements error.
func (e SpentError) Error() string {
	return "rbac: the code is used or unknown: " + string(e.Verdict)
}

// Own returns the caller's account and second factor. The error is [identity.ErrUnauthenticated] if
// the caller may not sign in.
func (s *Service) Own(ctx context.Context, caller identity.Caller) (account.Account, Factor, error) {
	var f Factor
	own, err := db.Snapshot(ctx, s.Database, "user.password", func(ctx context.Context) (account.Account, error) {
		own, err := s.Passwords.Own(ctx, caller)
		if err == nil {
			f, err = s.store.factor(ctx, caller.UserID)
		}
		return own, err
	})
	return own, f, err
}

// Judge checks a code. If the secret was encrypted with a secret that is no longer configured,
// only recovery codes are accepted.
func (s *Service) Judge(f Factor, code string) (Proof, Verdict) {
	secret, err := s.secrets.Open(f.Secret, f.subject())
	if err != nil {
		fields := logrus.Fields{"event": "second_factor_sealed", "user_id": f.UserID, "organization_id": f.OrganizationID}
		s.Logger.WithFields(fields).Error(
			"a second factor was encrypted with a secret that is no longer configured; its user needs a recovery code")
	}
	return f.judge(secret, code, s.Clock.Now())
}

// Spend uses a proof up in the transaction of the context, so that only one of two concurrent
// requests with the same code succeeds. It returns the number of unused recovery codes, and
// re-encrypts a secret that was encrypted with a former key. The error is a [SpentError] if the
// proof was already used.
func (s *Service) Spend(ctx context.Context, f Factor, p Proof) (left *int, err error) {
	var accepted bool
	verdict := codeUsed
	if p.recovery != nil {
		verdict = codeWrong
		accepted, err = s.store.useRecoveryCode(ctx, f, p.recovery, s.Clock.Now())
	} else {
		sealed := f.Secret
		if secret, stale, openErr := s.secrets.OpenStale(sealed, f.subject()); openErr == nil && stale {
			sealed = s.secrets.Seal(secret, f.subject())
		}
		accepted, err = s.store.acceptStep(ctx, f, p.step, sealed)
	}
	if err != nil {
		return nil, err
	}
	if !accepted {
		return nil, SpentError{verdict}
	}
	n, err := s.store.recoveryCodesLeft(ctx, f.OrganizationID, f.UserID)
	if err == nil && p.recovery != nil {
		err = s.recordRecovery(ctx, f, n)
	}
	return &n, err
}

// usedRecoveryCode is the After value of a recovery code's use.
type usedRecoveryCode struct {
	Left int `json:"left"`
}

// recordRecovery records that a recovery code was used, and how many are left.
func (s *Service) recordRecovery(ctx context.Context, f Factor, left int) error {
	return s.Audit.Record(ctx, []trail.Event{{
		OrganizationID: f.OrganizationID, ActorID: f.UserID, RequestID: telemetry.RequestID(ctx), Address: trail.Address(ctx),
		Action: "second-factor.use-recovery-code", SubjectType: "user", SubjectID: f.UserID,
		OccurredAt: s.Clock.Now(), After: usedRecoveryCode{left},
	}})
}

// RefuseCode records that a sign-in was refused for its second factor, counts a wrong code, and
// returns the refusal. The request for a code is a step of a sign-in, not a denial. It is recorded
// too, without an actor, because the right password may be stolen.
func (s *Service) RefuseCode(ctx context.Context, u rbac.User, f Factor, verdict Verdict) error {
	if verdict == codeMissing {
		s.Logger.WithFields(session.UserFields("second_factor_asked", u)).Info("sign-in continues with the second factor")
		e := s.signIns.Event(ctx, u)
		e.Action = "second-factor.ask"
		if err := s.Audit.Note(ctx, []trail.Event{e}); err != nil {
			return err
		}
		return ErrRequired
	}
	if err := s.countWrong(ctx, f, verdict); err != nil {
		return err
	}
	return s.signIns.Refuse(ctx, u, string(verdict), refusals[verdict])
}

// refuseOwnCode records that the caller's code was refused for the action, and returns the
// refusal.
func (s *Service) refuseOwnCode(
	ctx context.Context, caller identity.Caller, f Factor, verdict Verdict, action string,
) error {
	if err := s.countWrong(ctx, f, verdict); err != nil {
		return err
	}
	err := trail.NoteBy(ctx, s.Audit, trail.Event{
		Action: action, SubjectType: "user", SubjectID: caller.UserID, OccurredAt: s.Clock.Now(),
		Outcome: trail.Denied, After: session.RefusedSignIn{Reason: string(verdict)},
	})
	if err != nil {
		return err
	}
	refused := fault.Field{Field: "code", Code: "wrong", Message: "is wrong, or was used before"}
	if verdict == codeLocked {
		refused = fault.Field{
			Field: "code", Code: "locked",
			Message: "must be a recovery code, because there were too many wrong codes from the app",
		}
	}
	return fault.InvalidFields(refused)
}

func (s *Service) countWrong(ctx context.Context, f Factor, verdict Verdict) error {
	if verdict != codeWrong {
		return nil
	}
	// No decision depends on the count here, and the update is atomic.
	_, err := db.ReadCommitted(ctx, s.Database, "second-factor.wrong-code", func(ctx context.Context) (struct{}, error) {
		if err := db.Admit(ctx, f.OrganizationID); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, s.store.countWrongCode(ctx, f)
	})
	return err
}

// withBoth checks the password and a code, which prove that the caller is the user and not a person
// at their unlocked screen, and then changes the caller's second factor. It works without
// [db.ProvenBy]: the caller can repeat it after an unknown outcome.
func (s *Service) withBoth(
	ctx context.Context, password, code, action string, notice mail.Change,
	change func(ctx context.Context, f Factor) error,
) error {
	caller, err := account.Person(ctx)
	if err != nil {
		return err
	}
	own, f, err := s.Own(ctx, caller)
	if err != nil {
		return err
	}
	if !f.IsOn() {
		return ErrNone
	}
	counter, err := s.Passwords.Prove(ctx, caller, own, password, "password", action)
	if err != nil {
		return err
	}
	proof, verdict := s.Judge(f, code)
	if verdict != CodeAccepted {
		return s.refuseOwnCode(ctx, caller, f, verdict, action)
	}
	_, err = db.Serializable(ctx, s.Database, action, func(ctx context.Context) (struct{}, error) {
		if _, err := s.Sessions.Current(ctx, caller); err != nil {
			return struct{}{}, err
		}
		if _, err := s.Spend(ctx, f, proof); err != nil {
			return struct{}{}, err
		}
		if err := change(ctx, f); err != nil {
			return struct{}{}, err
		}
		if err := s.Throttle.Forget(ctx, counter); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, s.recordChange(ctx, own.User, action, notice)
	})
	if spent := (SpentError{}); errors.As(err, &spent) {
		return s.refuseOwnCode(ctx, caller, f, spent.Verdict, action)
	}
	return err
}

// recordChange records a change of the caller's own second factor, and sends the user a notice.
func (s *Service) recordChange(ctx context.Context, u rbac.User, action string, notice mail.Change) error {
	if err := rbac.NotifyChange(ctx, s.Core, u, notice); err != nil {
		return err
	}
	return trail.RecordBy(ctx, s.Audit, trail.Event{
		Action: action, SubjectType: "user", SubjectID: u.ID, OccurredAt: s.Clock.Now(),
	})
}

// recordOwn records an action of the caller on their own second factor.
func (s *Service) recordOwn(ctx context.Context, caller identity.Caller, action string) error {
	return trail.RecordBy(ctx, s.Audit, trail.Event{
		Action: action, SubjectType: "user", SubjectID: caller.UserID, OccurredAt: s.Clock.Now(),
	})
}
