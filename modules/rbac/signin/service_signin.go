// Package signin signs users in with an e-mail address, a password and, if they have one, a second
// factor.
package signin

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/account"
	"omnirapeutic/modules/rbac/mfa"
	"omnirapeutic/modules/rbac/password"
	"omnirapeutic/modules/rbac/session"
	"omnirapeutic/modules/rbac/throttle"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/trail"
)

// The errors of sign-ins with a password.
var (
	// ErrWrongCredentials is the same for an unknown e-mail address, a wrong password, a disabled
	// user and a disabled organization, so sign-in does not reveal accounts.
	ErrWrongCredentials = fault.Define(fault.Unauthenticated, "wrong-credentials",
		"The e-mail address or the password is wrong.").
		Advising("Let the person try again.")
	// ErrOrganizationRequired is returned if the password matches accounts in several organizations.
	ErrOrganizationRequired = fault.Define(fault.Unauthenticated, "organization-required",
		"You have accounts in several organizations. Choose one.").
		Carrying(organizationChoice{}).
		Advising("Let the person choose one of `organizations`, and send the same request with its id as `organizationId`.")
)

// Failures are the refusals that count as failures of their source.
var Failures = []error{ErrWrongCredentials, throttle.ErrSignInDelayed, mfa.ErrWrong, mfa.ErrRecoveryCodeRequired}

// Service signs users in. It is safe for concurrent use.
type Service struct {
	Dependencies

	devices deviceKeys
	signIns session.SignInTrail
}

// Dependencies are the dependencies of the service.
type Dependencies struct {
	rbac.Core

	Accounts      *account.Service
	Passwords     *password.Service
	Sessions      *session.Service
	SecondFactors *mfa.Service
	Throttle      *throttle.Service
	// DeviceSecrets sign device tokens. The first is in use, the others are former ones.
	DeviceSecrets [][]byte
}

// New returns the service.
func New(d Dependencies) *Service {
	return &Service{
		Dependencies: d, devices: newDeviceKeys(d.DeviceSecrets),
		signIns: session.NewSignInTrail(d.Core),
	}
}

// Request is an attempt to sign in.
type Request struct {
	Email          string
	Password       string
	OrganizationID *uuid.UUID // chooses one of several accounts of the address
	Code           string     // of the second factor, if there is one
	DeviceToken    string     // of the last sign-in of this account on this device; may be empty
}

// SignIn checks an e-mail address, a password and, if the user has a second factor, its code. It
// returns an access token and a refresh token. It needs no caller in the context, and holds no
// database connection while it hashes.
//
// An address may have accounts in several organizations. The password is compared with all of them,
// and the answer mentions only accounts that match. If one matches, the caller is signed in to it.
// If several match, the caller chooses ([ErrOrganizationRequired]).
//
// The following take the same time and work, for any number of accounts: an unknown address, text
// that is no address, a wrong password, a disabled user, and a user of a disabled organization. They
// get the same [ErrWrongCredentials], and the same [throttle.ErrSignInDelayed] after too many
// attempts. Only a caller with the right password learns that there is a second factor:
// [mfa.ErrRequired], [mfa.ErrWrong], [mfa.ErrRecoveryCodeRequired]. Each of these counts like a wrong
// password until the sign-in succeeds. Further errors: [fault.ErrInvalid] for a password of more than
// 128 bytes, [password.ErrBusy], and the error of the [throttle.FailureLimit].
//
// Attempts are counted by address and source: the device of the device token, or else the network.
func (s *Service) SignIn(ctx context.Context, r Request) (session.SignedIn, error) {
	if len(r.Password) > password.MaxLength {
		return session.SignedIn{}, fault.InvalidFields(fault.Field{
			Field: "password", Code: "max", Message: fmt.Sprintf("must have at most %d bytes", password.MaxLength),
		})
	}
	typed := rbac.NormalizeTypedEmail(r.Email)
	from := s.devices.sourceOf(ctx, r.DeviceToken, typed, r.OrganizationID, s.Clock.Now())
	return throttle.Limited(ctx, s.Throttle, throttle.SignIn, from.counted, func() (session.SignedIn, error) {
		signed, err := s.signInFrom(ctx, from, typed, r)
		if err == nil {
			signed.Device = s.devices.token(from.deviceOf(signed.User), typed, s.Clock.Now())
		}
		return signed, err
	}, Failures...)
}

// signInFrom is [Service.SignIn] for one source.
func (s *Service) signInFrom(ctx context.Context, from source, typed string, r Request) (session.SignedIn, error) {
	accounts, factors, err := s.accountsOf(ctx, typed)
	if err != nil {
		return session.SignedIn{}, err
	}
	all := make([]credentials, len(accounts))
	for i, a := range accounts {
		all[i] = credentials{a, factors[a.User.ID]}
	}
	a := newAttempt(s.Throttle.Counters, from, typed, all, r.OrganizationID, s.Clock.Now())
	closed, err := s.Throttle.AttemptAll(ctx, a.counters())
	a.delay(closed)
	if errors.Is(err, throttle.ErrSignInDelayed) {
		return session.SignedIn{}, s.refuse(ctx, a, err)
	}
	if err != nil {
		return session.SignedIn{}, err
	}
	matched, err := s.Passwords.Matching(ctx, r.Password, accounts)
	if err != nil {
		return session.SignedIn{}, err
	}
	a.judge(matched)
	switch accepting := a.accepting(); len(accepting) {
	case 0:
		return session.SignedIn{}, s.refuse(ctx, a, ErrWrongCredentials)
	case 1:
		isNew := from.device.user != accepting[0].User.ID
		return s.signInTo(ctx, accepting[0], r, isNew, a.counter)
	default:
		return session.SignedIn{}, s.askOrganization(ctx, a, accepting)
	}
}

// accountsOf returns the accounts of the typed address with their second factors. No account has
// other texts as its address.
func (s *Service) accountsOf(
	ctx context.Context, typed string,
) (accounts []account.Account, factors map[uuid.UUID]mfa.Factor, err error) {
	address, _ := rbac.ParseEmail(typed)
	accounts, err = db.Snapshot(ctx, s.Database, "user.find", func(ctx context.Context) ([]account.Account, error) {
		found, err := s.Accounts.AccountsWithEmail(ctx, address)
		if err != nil {
			return nil, err
		}
		users := make([]rbac.User, len(found))
		for i, a := range found {
			users[i] = a.User
		}
		factors, err = s.SecondFactors.Factors(ctx, users)
		return found, err
	}, db.AllOrganizations())
	return accounts, factors, err
}

// signInTo signs in to an account whose password was right, on a known or a new device.
func (s *Service) signInTo(
	ctx context.Context, known candidate, r Request, onNewDevice bool, addressCounter []byte,
) (session.SignedIn, error) {
	var proof mfa.Proof
	if known.factor.IsOn() {
		var verdict mfa.Verdict
		if proof, verdict = s.SecondFactors.Judge(known.factor, r.Code); verdict != mfa.CodeAccepted {
			return session.SignedIn{}, s.SecondFactors.RefuseCode(ctx, known.User, known.factor, verdict)
		}
	}
	renewed, err := s.Passwords.Renewed(ctx, r.Password, known.Account)
	if err != nil {
		return session.SignedIn{}, err
	}
	signed, err := s.start(ctx, known.credentials, proof, renewed, onNewDevice, addressCounter, known.counter)
	if spent := (mfa.SpentError{}); errors.As(err, &spent) {
		err = s.SecondFactors.RefuseCode(ctx, known.User, known.factor, spent.Verdict)
	}
	if err != nil {
		return session.SignedIn{}, err
	}
	s.Logger.WithFields(session.UserFields("signed_in", known.User)).Info("user signed in")
	return signed, nil
}

// start starts the session of a user who has proven their identity. It uses up the second factor's
// code, forgets the counted attempts, and replaces an outdated password hash by the renewed one, if
// there is one. The error is a [mfa.SpentError] if another request has used the same code
// first.
func (s *Service) start(
	ctx context.Context, known credentials, proof mfa.Proof, renewed string, onNewDevice bool, counters ...[]byte,
) (session.SignedIn, error) {
	started := s.Sessions.Start(ctx, known.User, false)
	stored := func(ctx context.Context) (bool, error) {
		if err := db.Admit(ctx, started.OrganizationID); err != nil {
			return false, err
		}
		return s.Sessions.IsStored(ctx, started)
	}
	var left *int // recovery codes
	_, err := db.Serializable(ctx, s.Database, "user.sign-in", func(ctx context.Context) (struct{}, error) {
		if db.InDoubt(ctx) { // an earlier attempt may have committed: see db.ProvenBy
			if done, err := stored(ctx); done || err != nil {
				return struct{}{}, err
			}
		}
		if err := db.Admit(ctx, started.OrganizationID); err != nil {
			return struct{}{}, err
		}
		if known.factor.IsOn() {
			var err error
			if left, err = s.SecondFactors.Spend(ctx, known.factor, proof); err != nil {
				return struct{}{}, err
			}
		}
		if err := s.Sessions.Store(ctx, started); err != nil {
			return struct{}{}, err
		}
		if err := s.Throttle.Forget(ctx, counters...); err != nil {
			return struct{}{}, err
		}
		if renewed != "" {
			if err := s.Passwords.StoreRenewed(ctx, known.Account, renewed); err != nil {
				return struct{}{}, err
			}
		}
		if onNewDevice {
			if err := rbac.NotifySignIn(ctx, s.Core, known.User); err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, s.record(ctx, known.User, proof, started.EnrolOnly(known.User))
	}, db.ProvenBy(stored))
	if err != nil {
		return session.SignedIn{}, err
	}
	signed, err := s.Sessions.Issue(started)
	signed.RecoveryCodesLeft = left
	return signed, err
}

// provenBy is the After value of a sign-in. It says whether a second factor was used, or is still
// missing.
type provenBy struct {
	SecondFactor string `json:"secondFactor,omitempty"` // code or recovery-code
	EnrolOnly    bool   `json:"enrolOnly,omitempty"`    // the session can only set up a second factor
}

// record records a sign-in and its second factor, in the same transaction.
func (s *Service) record(ctx context.Context, u rbac.User, proof mfa.Proof, enrolOnly bool) error {
	e := s.signIns.Event(ctx, u)
	e.ActorID = u.ID
	if by := (provenBy{proof.Name(), enrolOnly}); by != (provenBy{}) {
		e.After = by
	}
	return s.Audit.Record(ctx, []trail.Event{e})
}

// refuse records in the trail of each organization why its account was refused, and returns the
// refusal. An organization's trail shows nothing of other accounts. The typed text is never
// recorded, because it may be a password.
func (s *Service) refuse(ctx context.Context, a attempt, refusal error) error {
	refused := a.refusals(errors.Is(refusal, throttle.ErrSignInDelayed))
	events := make([]trail.Event, len(refused))
	for i, c := range refused {
		s.signIns.LogRefusal(ctx, "sign_in_refused", c.User, c.refused).Warn("sign-in refused")
		events[i] = s.signIns.RefusalEvent(ctx, c.User, c.refused)
	}
	if err := s.Audit.Note(ctx, events); err != nil {
		return err
	}
	return refusal
}

// organizationChoice are the details of [ErrOrganizationRequired].
type organizationChoice struct {
	// The organizations with an account that matches the password.
	Organizations []organizationToChoose `json:"organizations"`
}

// organizationToChoose is an organization that a person can sign in to.
type organizationToChoose struct {
	ID   uuid.UUID `json:"id"`
	Name string    `json:"name"` // The name of the organization.
}

// askOrganization returns the choice between accounts that all match the password. It is a step of
// a sign-in, so the attempt does not count as a failure. No organization's trail records it,
// because that would reveal accounts elsewhere.
func (s *Service) askOrganization(ctx context.Context, a attempt, accepting []candidate) error {
	counters := [][]byte{a.counter}
	var choice organizationChoice
	for _, c := range accepting {
		counters = append(counters, c.counter)
		choice.Organizations = append(choice.Organizations, organizationToChoose{c.User.OrganizationID, c.Organization})
		s.Logger.WithFields(session.UserFields("organization_asked", c.User)).
			Info("sign-in continues with the choice of an organization")
	}
	if err := s.Throttle.TakeBack(ctx, counters); err != nil {
		return err
	}
	return ErrOrganizationRequired.With(choice, "%s", ErrOrganizationRequired.Title())
}
