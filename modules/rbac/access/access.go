// Package access builds the services of access control and connects them.
package access

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/account"
	"omnirapeutic/modules/rbac/apikey"
	"omnirapeutic/modules/rbac/invitation"
	"omnirapeutic/modules/rbac/mfa"
	"omnirapeutic/modules/rbac/oidc"
	"omnirapeutic/modules/rbac/password"
	"omnirapeutic/modules/rbac/permissionset"
	"omnirapeutic/modules/rbac/revocation"
	"omnirapeutic/modules/rbac/session"
	"omnirapeutic/modules/rbac/signin"
	"omnirapeutic/modules/rbac/throttle"
	"omnirapeutic/modules/rbac/user"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/outbox"
	"omnirapeutic/platform/trail"
)

// Access holds the services of access control.
type Access struct {
	Accounts       *account.Service
	APIKeys        *apikey.Service
	Invitations    *invitation.Service
	OpenID         *oidc.Service
	Passwords      *password.Service
	PermissionSets *permissionset.Service
	Revocations    *revocation.Service
	SecondFactors  *mfa.Service
	Sessions       *session.Service
	SignIns        *signin.Service
	Throttle       *throttle.Service
	Users          *user.Service

	core rbac.Core
}

// Audit records what users do, and counts refused attempts of callers without an organization.
type Audit interface {
	trail.Recorder
	throttle.Audit
}

// Dependencies are the dependencies of the services. Tests provide their own clock and ids.
type Dependencies struct {
	Database *db.DB
	Clock    rbac.Clock
	NewID    func() uuid.UUID
	Audit    Audit
	Events   outbox.Publisher
	// Mail sends mail; nil: none.
	Mail   rbac.Mailer
	Logger logrus.FieldLogger
	// Directory provides organizations and practitioners. It may be built after Revocations, which it
	// needs.
	Directory   rbac.Directory
	Revocations *revocation.Service
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
	// Idle is how long a session lasts without a refresh, Longest its maximum duration. Zero values:
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
	Failures throttle.FailureLimit
	// Quick hashes passwords with as little work as possible. For tests only.
	Quick bool
}

// MinSecret is the minimum length of the secret in bytes. RFC 7518, section 3.2, requires for
// HS256 a key of at least the length of the hash.
const MinSecret = 32

// Defaults of the lifetimes in [Dependencies].
const (
	idleTime        = time.Hour
	longestSession  = 24 * time.Hour
	invitationTime  = 7 * 24 * time.Hour
	resetTime       = time.Hour
	usualKeyTime    = 365 * 24 * time.Hour
	longestKeyYears = 2
)

// New builds the services, in the order in which they need each other. It panics if the secret is
// too short or the lifetime is not positive; the configuration validates both.
func New(d Dependencies) *Access {
	if len(d.Secret) < MinSecret || d.Lifetime <= 0 {
		panic(fmt.Sprintf("access: tokens need a secret of at least %d bytes and a lifetime, not %d bytes and %s",
			MinSecret, len(d.Secret), d.Lifetime))
	}
	secrets := append([][]byte{d.Secret}, d.Former...)
	encryption := orElse(d.Encryption, secrets)

	if d.Mail == nil {
		d.Mail = rbac.NoMail{}
	}
	core := rbac.Core{
		Database: d.Database, Clock: d.Clock, NewID: d.NewID, Audit: d.Audit, Mail: d.Mail, Logger: d.Logger,
	}

	a := &Access{core: core, Revocations: d.Revocations}
	a.Throttle = throttle.New(core, d.Audit, d.Failures, orElse(d.Throttle, secrets)[0])
	permissions := permissionset.NewReader(d.Database, a.Revocations)
	a.Accounts = account.New(core, d.Directory, permissions)
	a.PermissionSets = permissionset.New(core, a.Revocations, a.Accounts)
	a.Sessions = session.New(session.Dependencies{
		Core: core, Accounts: a.Accounts, Permissions: permissions, Revocations: a.Revocations, Throttle: a.Throttle,
		Secrets: secrets, Lifetime: d.Lifetime,
		Idle: cmp.Or(d.Idle, idleTime), Longest: cmp.Or(d.Longest, longestSession),
	})
	a.Passwords = password.New(password.Dependencies{
		Core: core, Accounts: a.Accounts, Revocations: a.Revocations, Sessions: a.Sessions, Throttle: a.Throttle,
		FrontendURL: d.FrontendURL, ResetLifetime: cmp.Or(d.PasswordResets, resetTime), Secrets: encryption,
		Quick: d.Quick,
	})
	a.SecondFactors = mfa.New(mfa.Dependencies{
		Core: core, Accounts: a.Accounts, Passwords: a.Passwords, Revocations: a.Revocations, Sessions: a.Sessions,
		Throttle: a.Throttle, Secrets: encryption,
	})
	a.SignIns = signin.New(signin.Dependencies{
		Core: core, Accounts: a.Accounts, Passwords: a.Passwords, Sessions: a.Sessions, SecondFactors: a.SecondFactors,
		Throttle: a.Throttle, DeviceSecrets: orElse(d.Devices, secrets),
	})
	a.APIKeys = apikey.New(apikey.Dependencies{
		Core: core, Accounts: a.Accounts, Revocations: a.Revocations, Throttle: a.Throttle, CacheLifetime: d.Lifetime,
		Usual: cmp.Or(d.UsualKey, usualKeyTime), Longest: cmp.Or(d.LongestKey, longestKeyYears*usualKeyTime),
	})
	a.Invitations = invitation.New(invitation.Dependencies{
		Core: core, Accounts: a.Accounts, Passwords: a.Passwords, Throttle: a.Throttle,
		Lifetime: cmp.Or(d.Invitations, invitationTime), FrontendURL: d.FrontendURL,
	})
	a.Users = user.New(user.Dependencies{
		Core: core, Directory: d.Directory, Accounts: a.Accounts, APIKeys: a.APIKeys, Invitations: a.Invitations,
		Passwords: a.Passwords, Revocations: a.Revocations,
	})
	a.OpenID = oidc.New(oidc.Dependencies{
		Core: core, Events: d.Events, Accounts: a.Accounts, Invitations: a.Invitations, Passwords: a.Passwords,
		Sessions: a.Sessions, SecondFactors: a.SecondFactors, Throttle: a.Throttle,
		Secrets: encryption, PublicURL: d.PublicURL, FrontendURL: d.FrontendURL, AnyAddress: d.AnyAddress,
	})
	return a
}

// orElse returns the secrets, or the others if there are none.
func orElse(secrets, others [][]byte) [][]byte {
	if len(secrets) > 0 {
		return secrets
	}
	return others
}

// Routes returns the operations of access control.
func (a *Access) Routes() []httpx.Route {
	return slices.Concat(
		a.SignIns.Routes(), a.Sessions.Routes(), a.Passwords.Routes(), a.SecondFactors.Routes(), a.Users.Routes(),
		a.Invitations.Routes(), a.PermissionSets.Routes(), a.APIKeys.Routes(), a.OpenID.Routes(),
	)
}

// Authenticate returns the caller of an access token or an API key. Errors:
// [identity.ErrUnauthenticated], [revocation.ErrTokenNotChecked].
func (a *Access) Authenticate(ctx context.Context, token string) (identity.Caller, error) {
	if apikey.IsKey(token) {
		return a.APIKeys.Authenticate(ctx, token)
	}
	return a.Sessions.Authenticate(ctx, token)
}

// Names returns the names of users and API keys of the caller's organization by id. The result omits
// unknown ids.
func (a *Access) Names(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]string, error) {
	if _, err := identity.From(ctx); err != nil || len(ids) == 0 {
		return nil, err
	}
	return db.Snapshot(ctx, a.core.Database, "user.names", func(ctx context.Context) (map[uuid.UUID]string, error) {
		names, err := a.Accounts.Names(ctx, ids)
		if err != nil {
			return nil, err
		}
		keys, err := a.APIKeys.Names(ctx, ids)
		maps.Copy(names, keys)
		return names, err
	})
}

// Sweep removes outdated rows of all organizations and returns their number. Each table has an index
// on the time by which its rows are selected.
func (a *Access) Sweep(ctx context.Context) (removed int64, err error) {
	now := a.core.Clock.Now()
	if removed, err = a.Sessions.RemoveTokens(ctx, now); err != nil {
		return removed, err
	}
	for _, r := range slices.Concat(
		a.Revocations.Outdated(now), a.Throttle.Outdated(now), a.SecondFactors.Outdated(now), a.OpenID.Outdated(now),
		a.Passwords.Outdated(now), a.Sessions.Outdated(now),
	) {
		r.Operation = "access.sweep"
		n, err := db.RemoveOld(ctx, a.core.Database, r)
		removed += n
		if err != nil {
			return removed, err
		}
	}
	return removed, nil
}
