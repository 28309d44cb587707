// Package identity identifies the caller of a request. The app puts a [Caller] into the
// request's context after it has verified the access token. Services and stores read it
// from there, and refuse to work without one.
package identity

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/fault"
)

// Permission names one thing a caller may do, as "noun:verb", for example
// "authorization:reserve".
type Permission string

// Kind is the kind of a caller.
type Kind uint8

// The kinds of callers.
const (
	Person  Kind = iota // a signed-in user, or the program itself
	Machine             // another system, with an API key
)

// Caller is an authenticated user, another system, or the program itself, acting
// in one organization.
type Caller struct {
	UserID         uuid.UUID // id of the user or the API key
	Kind           Kind
	OrganizationID uuid.UUID
	SignInID       uuid.UUID // sign-in to which the access token belongs; zero for work of the program itself
	Epoch          int64     // epoch of the user's access tokens: tokens of an earlier epoch are revoked
	Roles          []string
	Permissions    map[Permission]Scope // record scope of each permission; shared: read-only
	RequestID      string               // id of the request; empty for work of the program itself
	Until          time.Time            // expiry of the access token; zero for work of the program itself
	Address        string               // client address of the connection; empty for work of the program itself
	// Acting is the permission under which a request is served. Its scope limits all
	// records that the request reads and changes. It is empty for work of the program
	// itself, which has access to the whole organization.
	Acting Permission
	// EnrolOnly restricts the caller to setting up a second factor, because the
	// organization requires one and the user has none.
	EnrolOnly      bool
	APIVersion     string     // version of the API to which the API key is pinned; empty: none
	GrantID        *uuid.UUID // emergency access grant in use, if any
	GrantPatientID *uuid.UUID // patient whose records the grant opens; only in read-only requests
}

// ExpiredAt reports whether the caller's access token has expired.
func (c Caller) ExpiredAt(now time.Time) bool {
	return !c.Until.IsZero() && !now.Before(c.Until)
}

// SystemUser is the actor of work of the program itself, such as releasing expired
// holds.
var SystemUser = uuid.MustParse("00000000-0000-7000-8000-000000000001")

// System returns the caller for work of the program itself in one organization.
func System(organization uuid.UUID) Caller {
	return Caller{UserID: SystemUser, OrganizationID: organization}
}

// ErrUnauthenticated is returned for a request without valid credentials.
var ErrUnauthenticated = fault.Define(fault.Unauthenticated, "unauthenticated",
	"Sign in first: this requires a valid access token.")

// ErrForbidden is returned if the caller lacks a permission.
var ErrForbidden = fault.Define(fault.Forbidden, "forbidden",
	"You do not have the permission for this.").Carrying(Denial{})

// Denial are the details of [ErrForbidden].
type Denial struct {
	Permission Permission `json:"permission"` // The permission that is required.
}

// Scope returns the record scope for which the caller holds the permission. Zero means the
// caller does not hold it.
func (c Caller) Scope(p Permission) Scope { return c.Permissions[p] }

// Holds reports whether the caller holds the permission for any records.
func (c Caller) Holds(p Permission) bool { return c.Permissions[p] != 0 }

// ActingUnder returns a copy of the caller that acts under the permission.
func (c Caller) ActingUnder(under Permission) Caller {
	c.Acting = under
	return c
}

// RecordScope returns the record scope of the acting permission. Zero means no records.
func (c Caller) RecordScope() Scope {
	if c.Acting == "" {
		return Organization
	}
	return c.Scope(c.Acting)
}

// MaySee reports whether the caller may see a field that requires the permission. The
// permission must cover every record that the current action may concern.
func (c Caller) MaySee(p Permission) bool {
	return c.Acting == "" || c.RecordScope() != 0 && c.Scope(p).Covers(c.RecordScope())
}

// RequireForOrganization returns [ErrForbidden] unless the caller holds the permission for the
// whole organization.
func (c Caller) RequireForOrganization(p Permission) error {
	if err := c.Require(p); err != nil || c.Scope(p).Has(Organization) {
		return err
	}
	return ErrForbidden.With(Denial{p},
		"This requires the permission %s for the whole organization; you hold it for some records only.", p)
}

// Require returns [ErrForbidden] unless the caller holds the permission for any
// records. Queries limit the records.
func (c Caller) Require(p Permission) error {
	if c.Holds(p) {
		return nil
	}
	return ErrForbidden.With(Denial{p}, "This requires the permission %s, which none of your roles has.", p)
}

// ErrBeyondOwn is returned if a caller grants or revokes permissions that the caller
// does not hold, by a role or a webhook. Its details are [Excess].
var ErrBeyondOwn = fault.Define(fault.Forbidden, "beyond-own-permissions", "This includes permissions that you do not "+
	"have yourself.").Carrying(Excess{}).
	Advising("Do not offer this to the user. `exceeds` names the first missing permission.")

// Excess are the details of [ErrBeyondOwn]: the first permission that the caller does
// not hold, or holds for fewer records.
type Excess struct {
	Exceeds Permission `json:"exceeds"` // The first permission that the caller does not hold, or holds for fewer records.
}

// ErrEnrolFirst is returned to a user who must set up a second factor first; see
// [Caller.EnrolOnly].
var ErrEnrolFirst = fault.Define(fault.Forbidden, "second-factor-missing", "Your organization requires a second "+
	"factor. Set one up before you continue.").
	Advising("Guide the user through the setup, beginning with `PUT /auth/second-factor`.")

// ErrPeopleOnly is returned to an API key for an operation about the signed-in user.
var ErrPeopleOnly = fault.Define(fault.Forbidden, "people-only", "An API key cannot do this. Sign in as a user.").
	Advising("Sign in as a user. Integrations do not need this operation.")

// RequirePerson returns [ErrPeopleOnly] if the caller is a [Machine].
func (c Caller) RequirePerson() error {
	if c.Kind == Machine {
		return ErrPeopleOnly
	}
	return nil
}

type callerKey struct{}

// With returns a context that carries the caller.
func With(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// From returns the caller, or [ErrUnauthenticated] if the context has no caller or one
// without an organization.
func From(ctx context.Context) (Caller, error) {
	c, ok := ctx.Value(callerKey{}).(Caller)
	if !ok || c.OrganizationID == uuid.Nil {
		return Caller{}, ErrUnauthenticated
	}
	return c, nil
}
