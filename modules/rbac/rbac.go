// Package rbac manages users, roles and permissions, sign-ins, access tokens and API keys.
package rbac

import (
	"cmp"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"omnirapeutic/modules/rbac/openid"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/encryption"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
)

// User is an account: a person who can sign in to one organization. The same person may
// have accounts in several, each with its own password, roles and second factor.
type User struct {
	ID             uuid.UUID
	OrganizationID uuid.UUID
	Email          string // in lower case, unique within the organization
	Name           string
	Roles          []Role // in the order of [Roles]
	Disabled       bool
	PractitionerID *uuid.UUID // the user's practitioner in the directory; nil: none
	SecondFactor   bool       // whether a sign-in with a password requires a code
	Version        int        // counts every change, starting with 1
	CreatedAt      time.Time
	UpdatedAt      time.Time

	epoch                int64 // of the user's valid tokens
	liftedAt             *time.Time
	enrolOnly            bool // for the sign-in in question: see [identity.Caller]
	organizationDisabled bool
}

// The errors of this module. Invalid fields are [fault.ErrInvalid].
var (
	// ErrWrongCredentials is the same for an unknown e-mail address, a wrong password, a disabled
	// user and a disabled organization, so sign-in does not reveal accounts.
	ErrWrongCredentials = fault.Define(fault.Unauthenticated, "wrong-credentials", "The e-mail address or the password is wrong.").
				Advising("Let the person try again.")
	// ErrEmailTaken is returned if a user of the organization has the address.
	ErrEmailTaken = fault.Define(fault.Conflict, "email-taken", "The organization already has a user with this e-mail address.").
			Advising("Choose another address.")
	// ErrOrganizationRequired is returned if the password matches accounts in several organizations.
	ErrOrganizationRequired = fault.Define(fault.Unauthenticated, "organization-required",
		"You have accounts in several organizations. Choose one.").
		Carrying(organizationChoice{}).
		Advising("Let the person choose one of `organizations`, and send the same request with its id as `organizationId`.")
	// ErrUserNotFound is returned if the caller's organization has no such user.
	ErrUserNotFound = fault.Define(fault.NotFound, "user-not-found", "User not found.")
	// ErrLastAdministrator is returned if no active administrator would be left.
	ErrLastAdministrator = fault.Define(fault.Conflict, "last-administrator", "This is the last administrator of the organization.").
				Advising("Make another user an administrator first.")
	// ErrPractitionerTaken is returned if another user is the practitioner.
	ErrPractitionerTaken = fault.Define(fault.Conflict, "practitioner-has-user", "This practitioner already belongs to another user.").
				Advising("Remove the practitioner from the other user first.")
	// ErrBeyondOwn is returned if callers give or remove permissions that they do not hold. Its
	// details are an [Excess].
	ErrBeyondOwn = identity.ErrBeyondOwn
	// ErrSignInBusy is returned if too many sign-ins are waiting.
	ErrSignInBusy = fault.Define(fault.Unavailable, "sign-in-busy",
		"Too many people are signing in right now. Try again in a few seconds.").
		Advising("Wait a few seconds and sign in again.")
)

// Service signs users in and verifies their tokens. It is safe for concurrent use.
type Service struct {
	database  *db.DB
	clock     func() time.Time
	newID     func() uuid.UUID
	audit     Audit
	events    Events
	logger    logrus.FieldLogger
	passwords *hasher
	keys      keyring
	throttle  key     // of counts of attempts
	devices   keyring // for device tokens
	failures  FailureLimit
	tokens    *tokens
	standing  standing
	sets      sets
	possible  map[identity.Permission]identity.Scope // see [Service.Possible]
	apiKeys   tokenCache                             // a cache of verified API keys
	lookUps   chan struct{}                          // limits concurrent queries
	uses      uses
	// refusedUses limits records of API keys outside their networks.
	refusedUses          refusedUses
	usualKey, longestKey time.Duration // lifetimes of API keys
	// invitations is how long an invitation can be accepted.
	invitations time.Duration
	// passwordResets is the lifetime of a password reset.
	passwordResets time.Duration
	idle           time.Duration
	longest        time.Duration

	openid                 *openid.Client
	cookies                encryption.Sealer // of unfinished sign-ins
	providerSecrets        encryption.Sealer
	factorSecrets          encryption.Sealer
	publicURL, frontendURL string
}

// Dependencies are the dependencies of the service. Tests provide their own clock and ids.
type Dependencies struct {
	Database *db.DB
	Clock    func() time.Time
	NewID    func() uuid.UUID
	Audit    Audit
	Events   Events
	Logger   logrus.FieldLogger
	// Secret signs access tokens: at least [MinSecret] bytes.
	Secret []byte
	// Former are earlier secrets. They sign nothing, but their tokens are still accepted.
	Former [][]byte
	// Encryption, Devices and Throttle are separate secrets for encryption, for device tokens and
	// for the counts of attempts. The first is in use, the others are former ones; nil: Secret and
	// Former.
	Encryption, Devices, Throttle [][]byte
	// Lifetime is how long an access token is valid.
	Lifetime time.Duration
	// Idle is how long a sign-in lasts without a refresh, Longest its maximum duration. Zero values:
	// an hour and a day.
	Idle, Longest time.Duration
	// PublicURL is the origin under which browsers reach the program. FrontendURL is the page to
	// which they return from an identity provider. Empty: not configured.
	PublicURL, FrontendURL string
	// AnyAddress allows identity providers with private addresses and http.
	AnyAddress bool
	// Invitations is how long an invitation can be accepted; 0: seven days.
	Invitations time.Duration
	// PasswordResets is the lifetime of a password reset; 0: an hour.
	PasswordResets time.Duration
	// UsualKey is the lifetime of API keys without an expiry, LongestKey the maximum lifetime. Zero
	// values: one year and two years.
	UsualKey, LongestKey time.Duration
	// Failures limits how often one source may fail; nil: no limit.
	Failures FailureLimit
	// Quick hashes passwords with as little work as possible. For tests only.
	Quick bool
}

// MinSecret is the minimum length of the secret in bytes. RFC 7518, section 3.2, requires for
// HS256 a key of at least the length of the hash.
const MinSecret = 32

// weekOfInvitations is the default of [Dependencies.Invitations].
const weekOfInvitations = 7 * 24 * time.Hour

// yearOfKeys is the lifetime of an API key unless the configuration or its creator sets another.
const yearOfKeys = 365 * 24 * time.Hour

// New returns the service. It panics if the secret is too short or the lifetime is not positive;
// the configuration validates both.
func New(d Dependencies) *Service {
	if len(d.Secret) < MinSecret || d.Lifetime <= 0 {
		panic(fmt.Sprintf("rbac: tokens need a secret of at least %d bytes and a lifetime, not %d bytes and %s",
			MinSecret, len(d.Secret), d.Lifetime))
	}
	all := append([][]byte{d.Secret}, d.Former...)
	keys := newKeyring(all...)
	encrypting := orElse(d.Encryption, all)
	s := &Service{
		openid:    openid.New(d.Clock, d.AnyAddress),
		lookUps:   make(chan struct{}, maxLookUps),
		cookies:   encryption.New("sign-ins under way", encrypting...),
		publicURL: d.PublicURL, frontendURL: d.FrontendURL,
		providerSecrets: encryption.New("secrets at identity providers", encrypting...),
		factorSecrets:   encryption.New("secrets of second factors", encrypting...),

		database:    d.Database,
		clock:       d.Clock,
		newID:       d.NewID,
		audit:       d.Audit,
		events:      d.Events,
		logger:      d.Logger,
		passwords:   newHasher(d.Quick),
		keys:        keys,
		throttle:    newKeyring(orElse(d.Throttle, all)...)[0],
		devices:     newKeyring(orElse(d.Devices, all)...),
		tokens:      newTokens(keys, d.Lifetime, d.Clock, d.NewID),
		idle:        cmp.Or(d.Idle, time.Hour),
		longest:     cmp.Or(d.Longest, 24*time.Hour), //nolint:mnd // see [Dependencies]
		invitations: cmp.Or(d.Invitations, weekOfInvitations),

		passwordResets: cmp.Or(d.PasswordResets, time.Hour),
		usualKey:       cmp.Or(d.UsualKey, yearOfKeys),
		longestKey:     cmp.Or(d.LongestKey, 2*yearOfKeys), //nolint:mnd // see [Dependencies]
	}
	if s.failures = d.Failures; s.failures == nil {
		s.failures = noLimit{}
	}
	s.sets.load = s.changedSets
	s.standing.on(ofPermissions, s.sets.forget)
	return s
}

// orElse returns the secrets, or the others if there are none.
func orElse(secrets, others [][]byte) [][]byte {
	if len(secrets) > 0 {
		return secrets
	}
	return others
}

// now returns the time with the precision of the database: whole microseconds.
func (s *Service) now() time.Time { return s.clock().UTC().Truncate(time.Microsecond) }
