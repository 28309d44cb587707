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

// SignedIn is the result of a successful sign-in.
type SignedIn struct {
	Token          string        // access token for every request, see [Service.Authenticate]
	Expires        time.Duration // how long it is valid
	Refresh        string        // works once, see [Service.Refresh]
	RefreshExpires time.Duration // lifetime of Refresh
	Ends           time.Time     // when the sign-in ends at the latest
	User           User
	// RecoveryCodesLeft is the number of unused codes after a sign-in with a second factor.
	RecoveryCodesLeft *int
	// Device is the device token after a sign-in with a password.
	Device string
}

// SignInRequest is an attempt to sign in.
type SignInRequest struct {
	Email    string `json:"email" validate:"required,max=254"`
	Password string `json:"password" validate:"required"`
	// OrganizationID chooses one of several accounts of the address; see `organization-required`.
	OrganizationID *uuid.UUID `json:"organizationId"`
	Code           string     `json:"code" validate:"max=40"` // of the second factor, if there is one
	// DeviceToken is from the last sign-in of this account on this device, if the client has kept
	// it.
	DeviceToken string `json:"deviceToken" validate:"max=200"`
}

// SignIn checks an e-mail address, a password and, if the user has a second factor, its code. It
// returns an access token and a refresh token. It needs no caller in the context, and holds no
// database connection while it hashes.
//
// An address may have accounts in several organizations. The password is compared with all of them,
// and the answer mentions only accounts that match. If one matches, the caller is signed in to it.
// If several match, the caller chooses ([ErrOrganizationRequired]).
//
// An unknown address, text that is no address, a wrong password, a disabled user and a user of a
// disabled organization take the same time and work for any number of accounts. They get the
// same [ErrWrongCredentials], and the same [ErrSignInDelayed] after too many attempts. Only a
// caller with the right password learns that there is a second factor: [ErrSecondFactorRequired],
// [ErrSecondFactorWrong], [ErrRecoveryCodeRequired]. Each of these counts like a wrong password
// until the sign-in succeeds. Further errors: [fault.ErrInvalid] for a password of more than 128
// bytes, [ErrSignInBusy], and the error of the [FailureLimit].
//
// Attempts are counted by address and source: the device of the device token, or else the network.
func (s *Service) SignIn(ctx context.Context, r SignInRequest) (SignedIn, error) {
	if len(r.Password) > maxPassword {
		return SignedIn{}, fault.InvalidFields(fault.Field{
			Field: "password", Code: "max", Message: fmt.Sprintf("must have at most %d bytes", maxPassword),
		})
	}
	typed := normalizeTypedEmail(r.Email)
	from := s.sourceOf(ctx, r.DeviceToken, typed, r.OrganizationID)
	return limited(ctx, s, failedSignIn, from.counted, func() (SignedIn, error) {
		signed, err := s.signInFrom(ctx, from, typed, r)
		if err == nil {
			signed.Device = s.devices[0].deviceToken(from.deviceOf(signed.User), typed, s.now())
		}
		return signed, err
	})
}

// signInFrom is [Service.SignIn] for one source.
func (s *Service) signInFrom(ctx context.Context, from source, typed string, r SignInRequest) (SignedIn, error) {
	address, _ := parseEmail(typed) // empty for other texts: no user has it
	accounts, err := db.Snapshot(ctx, s.database, "user.find", func(ctx context.Context) ([]credentials, error) {
		return credentialsOf(ctx, address)
	}, db.AllOrganizations())
	if err != nil {
		return SignedIn{}, err
	}
	try := s.tryOf(from, typed, accounts, r.OrganizationID)
	if err := s.attemptAccounts(ctx, &try); err != nil {
		if errors.Is(err, ErrSignInDelayed) {
			return SignedIn{}, s.refuseAccounts(ctx, try, err)
		}
		return SignedIn{}, err
	}
	matched, err := s.passwords.matching(ctx, r.Password, hashesOf(accounts))
	if err != nil {
		return SignedIn{}, err
	}
	try.judge(matched)
	switch accepting := try.accepting(); len(accepting) {
	case 0:
		return SignedIn{}, s.refuseAccounts(ctx, try, ErrWrongCredentials)
	case 1:
		return s.signInTo(ctx, accepting[0], r, [][]byte{try.counter, accepting[0].counter})
	default:
		return SignedIn{}, s.askOrganization(ctx, try, accepting)
	}
}

// signInTo signs in to an account whose password was right.
func (s *Service) signInTo(ctx context.Context, known candidate, r SignInRequest, counted [][]byte) (SignedIn, error) {
	var proven proof
	if known.Factor.isOn() {
		var why verdict
		if proven, why = s.judge(known.Factor, r.Code); why != codeGood {
			return SignedIn{}, s.refuseCode(ctx, known.credentials, why)
		}
	}
	renewed, err := s.passwords.renew(ctx, r.Password, known.Hash)
	if err != nil {
		return SignedIn{}, err
	}
	signed, err := s.enter(ctx, known.credentials, proven, counted, renewed)
	if spent := (spentError{}); errors.As(err, &spent) {
		err = s.refuseCode(ctx, known.credentials, spent.why)
	}
	if err != nil {
		return SignedIn{}, err
	}
	s.logger.WithFields(userFields("signed_in", known.User)).Info("user signed in")
	return signed, nil
}

// enter begins the sign-in of a user who has proven their identity, uses up the second factor's
// code, removes the counted attempts, and replaces an outdated password hash by the renewed one
// ("": it is current). The error is a spentError if another request has used the same code first.
func (s *Service) enter(ctx context.Context, known credentials, proven proof, counted [][]byte, renewed string) (SignedIn, error) {
	here := s.throttle.networkKey(known.User.Email, trail.Address(ctx))
	in, refresh := s.begin(known.User, trail.Address(ctx), here), newRefreshToken()
	known.User.enrolOnly = in.mustEnrol(known.Asks, known.Factor.isOn())
	stored := func(ctx context.Context) (bool, error) {
		if err := db.Admit(ctx, in.OrganizationID); err != nil {
			return false, err
		}
		_, err := takeRefreshToken(ctx, refresh.hash())
		return err == nil, ignoreNotFound(err)
	}
	var left *int // recovery codes
	_, err := db.Serializable(ctx, s.database, "user.sign-in", func(ctx context.Context) (struct{}, error) {
		if db.InDoubt(ctx) { // an earlier attempt may have committed: see db.ProvenBy
			if done, err := stored(ctx); done || err != nil {
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
		if err := forgetAttempts(ctx, counted...); err != nil {
			return struct{}{}, err
		}
		if renewed != "" {
			if err := renewHash(ctx, known, renewed); err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, s.recordSignIn(ctx, known.User, proven)
	}, db.ProvenBy(stored))
	if err != nil {
		return SignedIn{}, err
	}
	signed, err := s.issue(known.User, in, refresh)
	signed.RecoveryCodesLeft = left
	return signed, err
}

// refuse records that a sign-in was refused for the reason, and returns the refusal.
func (s *Service) refuse(ctx context.Context, u User, reason string, refusal error) error {
	s.logRefusal(ctx, u, reason)
	if err := s.audit.Note(ctx, []trail.Event{s.refusalEvent(ctx, u, reason)}); err != nil {
		return err
	}
	return refusal
}

func (s *Service) logRefusal(ctx context.Context, u User, reason string) {
	s.refusal(ctx, "sign_in_refused", u, reason).Warn("sign-in refused")
}

// refusal returns the logger of a refusal with the user, the reason and the network address, so
// that an operator can block the address.
func (s *Service) refusal(ctx context.Context, event string, u User, reason string) logrus.FieldLogger {
	return s.logger.WithFields(userFields(event, u)).WithFields(logrus.Fields{"reason": reason, "address": trail.Address(ctx)})
}

func userFields(event string, u User) logrus.Fields {
	fields := logrus.Fields{"event": event}
	if u.ID != uuid.Nil {
		fields["user_id"], fields["organization_id"] = u.ID, u.OrganizationID
	}
	return fields
}

// Me returns the signed-in user. The error is [identity.ErrUnauthenticated] if the caller is no
// longer an active user, and [identity.ErrPeopleOnly] if the caller is an API key.
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
