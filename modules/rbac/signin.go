package rbac

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/trail"
)

// SignedIn is what a successful sign-in gives.
type SignedIn struct {
	Token          string        // to be sent with every request, see [Service.Authenticate]
	Expires        time.Duration // how long it is valid
	Refresh        string        // to be exchanged for the next token, once, see [Service.Refresh]
	RefreshExpires time.Duration // unless it is exchanged before
	Ends           time.Time     // when the sign-in ends, whatever is done
	User           User
	// RecoveryCodesLeft is how many are good, after a sign-in with a second factor.
	RecoveryCodesLeft *int
	// Device is the device token, after a sign-in with a password: see [WithDevice].
	Device string
}

// SignIn checks an e-mail address, a password and, where the user has a second factor,
// a code of it, and issues an access token and a refresh token. It needs no caller in
// the context, and holds no connection while it hashes.
//
// An unknown address, a wrong password, a disabled user and one of a disabled organization take the same time and
// get the same [ErrWrongCredentials], and the same [ErrSignInDelayed] after too many of
// them. Only whoever has the password learns that there is a second factor:
// [ErrSecondFactorRequired], [ErrSecondFactorWrong], [ErrRecoveryCodeRequired]; each of
// them counts as a wrong password does until the sign-in succeeds. Further errors:
// [fault.ErrInvalid] for a password of more than 128 bytes, [ErrSignInBusy], and that of
// the [FailureLimit].
//
// Attempts are counted for the address and the source: the device that the token of
// [WithDevice] names, or else the network.
func (s *Service) SignIn(ctx context.Context, email, password, code string) (SignedIn, error) {
	if len(password) > maxPassword {
		return SignedIn{}, fault.InvalidFields(fault.Field{
			Field: "password", Code: "max", Message: fmt.Sprintf("must have at most %d bytes", maxPassword),
		})
	}
	email = canonicalEmail(email)
	from := s.sourceOf(ctx, email)
	return limited(ctx, s, failedSignIn, from.counted, func() (SignedIn, error) {
		signed, err := s.signInFrom(ctx, from, email, password, code)
		if err == nil {
			signed.Device = s.devices[0].deviceToken(from.device, email, s.now())
		}
		return signed, err
	})
}

// signInFrom is [Service.SignIn] for one source.
func (s *Service) signInFrom(ctx context.Context, from source, email, password, code string) (SignedIn, error) {
	known, err := db.Snapshot(ctx, s.database, "user.find", func(ctx context.Context) (credentials, error) {
		return credentialsOf(ctx, email)
	}, db.AllOrganizations())
	unknown := db.IsNotFound(err)
	if unknown {
		known, err = credentials{Hash: s.passwords.nobody}, nil
	}
	if err != nil {
		return SignedIn{}, err
	}
	counted := s.throttle.throttleKey(countsSignIns, email, from.counted, known.lift(s.now()))
	if err := s.attempt(ctx, counted); err != nil {
		if errors.Is(err, ErrSignInDelayed) {
			return SignedIn{}, s.refuse(ctx, known.User, "delayed", err)
		}
		return SignedIn{}, err
	}
	matches, err := s.passwords.matches(ctx, password, known.Hash)
	if err != nil {
		return SignedIn{}, err
	}
	if unknown || !matches || known.User.out() != "" {
		return SignedIn{}, s.refuse(ctx, known.User, reasonOf(unknown, matches, known.User), ErrWrongCredentials)
	}
	var proven proof
	if known.Factor.isOn() {
		var why verdict
		if proven, why = s.judge(known.Factor, code); why != codeGood {
			return SignedIn{}, s.refuseCode(ctx, known, why)
		}
	}
	renewed, err := s.passwords.renew(ctx, password, known.Hash)
	if err != nil {
		return SignedIn{}, err
	}
	signed, err := s.enter(ctx, known, proven, counted, renewed)
	if spent := (spentError{}); errors.As(err, &spent) {
		err = s.refuseCode(ctx, known, spent.why)
	}
	if err != nil {
		return SignedIn{}, err
	}
	s.logger.WithFields(userFields("signed_in", known.User)).Info("a user has signed in")
	return signed, nil
}

// enter begins the sign-in of somebody who has proven who they are, uses up what the
// second factor's code proves, forgets the attempts that were counted, and replaces an
// outdated password hash by the renewed one ("": it is not outdated). The error is a
// spentError where somebody else was quicker with the same code.
func (s *Service) enter(ctx context.Context, known credentials, proven proof, counted []byte, renewed string) (SignedIn, error) {
	in, refresh := s.begin(known.User, trail.Address(ctx), s.throttle.place(known.User.Email, trail.Address(ctx))), newRefreshToken()
	known.User.enrolOnly = in.mustEnrol(known.Asks, known.Factor.isOn())
	there := func(ctx context.Context) (bool, error) {
		if err := db.Admit(ctx, in.OrganizationID); err != nil {
			return false, err
		}
		_, err := takeRefreshToken(ctx, refresh.hash())
		return err == nil, ignoreNotFound(err)
	}
	var left *int // recovery codes
	_, err := db.Serializable(ctx, s.database, "user.sign-in", func(ctx context.Context) (struct{}, error) {
		if db.InDoubt(ctx) { // an attempt before this one may have done it: see db.ProvenBy
			if done, err := there(ctx); done || err != nil {
				return struct{}{}, err
			}
		}
		if err := db.Admit(ctx, in.OrganizationID); err != nil {
			return struct{}{}, err
		}
		if known.Factor.isOn() {
			var err error
			if left, err = s.spend(ctx, known.Factor, proven); err != nil {
				return struct{}{}, err
			}
		}
		if err := insertSignIn(ctx, in, refresh); err != nil {
			return struct{}{}, err
		}
		if err := forgetAttempts(ctx, counted); err != nil {
			return struct{}{}, err
		}
		if renewed != "" {
			if err := renewHash(ctx, known, renewed); err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, s.recordSignIn(ctx, known.User, proven)
	}, db.ProvenBy(there))
	if err != nil {
		return SignedIn{}, err
	}
	signed, err := s.issue(known.User, in, refresh)
	signed.RecoveryCodesLeft = left
	return signed, err
}

// refuse keeps that a sign-in was refused for the reason, and returns the refusal.
func (s *Service) refuse(ctx context.Context, u User, reason string, refusal error) error {
	s.refusal(ctx, "sign_in_refused", u, reason).Warn("a sign-in was refused")
	if err := s.noteRefusal(ctx, u, reason); err != nil {
		return err
	}
	return refusal
}

// reasonOf tells administrators what the answer does not. The address that was
// typed is told to nobody: it may be a password typed into the wrong field.
func reasonOf(unknown, matches bool, u User) string {
	switch {
	case unknown:
		return "unknown"
	case !matches:
		return "password"
	}
	return u.out()
}

func userFields(event string, u User) logrus.Fields {
	fields := logrus.Fields{"event": event}
	if u.ID != uuid.Nil {
		fields["user_id"], fields["organization_id"] = u.ID, u.OrganizationID
	}
	return fields
}

// refusal begins the log line of a refusal: who was refused, why, and from which network
// address, so that an operator can block it.
func (s *Service) refusal(ctx context.Context, event string, u User, reason string) logrus.FieldLogger {
	return s.logger.WithFields(userFields(event, u)).WithFields(logrus.Fields{"reason": reason, "address": trail.Address(ctx)})
}

// Me returns the user who is signed in. The error is [identity.ErrUnauthenticated]
// where there is none, or not any more, and [identity.ErrPeopleOnly] where the
// caller is another system.
func (s *Service) Me(ctx context.Context) (User, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return User{}, err
	}
	if err := caller.RequirePerson(); err != nil {
		return User{}, err
	}
	me, err := db.Snapshot(ctx, s.database, "user.me", func(ctx context.Context) (User, error) {
		return takeUser(ctx, caller.UserID)
	})
	if db.IsNotFound(err) || err == nil && me.out() != "" {
		return User{}, identity.ErrUnauthenticated
	}
	return me, err
}
