// Package identity says who is asking. The app puts a [Caller] into the context
// of every request, once the access token has been checked; services and stores
// read it from there and fail closed without one.
package identity

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/fault"
)

// Permission names one thing a caller may be allowed to do, as "noun:verb",
// for example "authorization:reserve".
type Permission string

// Kind says what a caller is.
type Kind uint8

// The kinds of callers.
const (
	Person  Kind = iota // who has signed in, or the program itself
	Machine             // another system, with an API key
)

// Caller is an authenticated user, another system, or the program itself, acting
// in one organization.
type Caller struct {
	UserID         uuid.UUID // who acts: a user's id, or that of an API key
	Kind           Kind
	OrganizationID uuid.UUID
	SignInID       uuid.UUID // of which the access token is; zero for work of the program's own
	Epoch          int64     // of the user's access tokens: those of an earlier one hold no more
	Roles          []string
	Permissions    map[Permission]Scope // for which records each is held; shared: only read
	RequestID      string               // the request that is being served; empty for work of the program's own
	Until          time.Time            // when the access token expires; zero: never, for work of the program's own
	Address        string               // of the connection that the request came by; empty for work of the program's own
	// Acting is the permission under which a request is served: its scope is the reach
	// of all that the request reads and changes. Empty: work of the program's own,
	// which reaches all of the organization.
	Acting Permission
	// EnrolOnly: the organization asks for a second factor that this user does not have,
	// and until there is one they may do nothing but set it up.
	EnrolOnly      bool
	GrantID        *uuid.UUID // under which the glass was broken, where it is
	GrantPatientID *uuid.UUID // whose records may be read under it; only in requests that change nothing
}

// ExpiredAt reports whether the caller's access token is over.
func (c Caller) ExpiredAt(now time.Time) bool {
	return !c.Until.IsZero() && !now.Before(c.Until)
}

// SystemUser is the actor of what the program does by itself, such as
// releasing holds that have expired.
var SystemUser = uuid.MustParse("00000000-0000-7000-8000-000000000001")

// System returns the caller for work that the program does by itself in one organization.
func System(organization uuid.UUID) Caller {
	return Caller{UserID: SystemUser, OrganizationID: organization}
}

// ErrUnauthenticated says that nobody is signed in.
var ErrUnauthenticated = fault.Define(fault.Unauthenticated, "unauthenticated", "Sign in first: this needs a valid access token.")

// ErrForbidden says that the caller lacks a permission.
var ErrForbidden = fault.Define(fault.Forbidden, "forbidden", "You do not have the permission that this needs.").Carrying(Denial{})

// Denial are the details of [ErrForbidden].
type Denial struct {
	Permission Permission `json:"permission"`
}

// Scope returns for which records the caller holds the permission: none, where it is zero.
func (c Caller) Scope(p Permission) Scope { return c.Permissions[p] }

// Holds reports whether the caller holds the permission, for whatever records.
func (c Caller) Holds(p Permission) bool { return c.Permissions[p] != 0 }

// Acts returns the caller at work under the permission.
func (c Caller) Acts(under Permission) Caller {
	c.Acting = under
	return c
}

// Reach returns for which records the caller acts: none, where it is zero.
func (c Caller) Reach() Scope {
	if c.Acting == "" {
		return Organization
	}
	return c.Scope(c.Acting)
}

// Shows reports whether a field that needs a permission of its own may be shown in
// what the caller does: it has to be held for all records that this may be about.
func (c Caller) Shows(p Permission) bool {
	return c.Acting == "" || c.Reach() != 0 && c.Scope(p).Covers(c.Reach())
}

// RequireWhole returns [ErrForbidden] unless the caller holds the permission for the
// whole organization.
func (c Caller) RequireWhole(p Permission) error {
	if err := c.Require(p); err != nil || c.Scope(p).Has(Organization) {
		return err
	}
	return ErrForbidden.With(Denial{p}, "This needs the permission %s for the whole organization; you hold it for some records only.", p)
}

// Require returns [ErrForbidden] unless the caller holds the permission,
// for whatever records: which ones, the queries say.
func (c Caller) Require(p Permission) error {
	if c.Holds(p) {
		return nil
	}
	return ErrForbidden.With(Denial{p}, "This needs the permission %s, which none of your roles holds.", p)
}

// ErrEnrolFirst says that somebody has no second factor, and needs one: see
// [Caller.EnrolOnly].
var ErrEnrolFirst = fault.Define(fault.Forbidden, "second-factor-missing", "Your organization asks for a second factor, and you have none. Until you have set one up, this sign-in can do nothing else.").
	Advising("Lead the person through setting one up, beginning with `PUT /auth/second-factor`.")

// ErrPeopleOnly says that another system asked for what is about the person who
// has signed in.
var ErrPeopleOnly = fault.Define(fault.Forbidden, "people-only", "An API key cannot do this: it is for people who have signed in.").
	Advising("Sign in as a person; an integration has no use for this.")

// RequirePerson returns [ErrPeopleOnly] where the caller is a [Machine].
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

// From returns the caller, or [ErrUnauthenticated] where the context carries
// none or one without an organization.
func From(ctx context.Context) (Caller, error) {
	c, ok := ctx.Value(callerKey{}).(Caller)
	if !ok || c.OrganizationID == uuid.Nil {
		return Caller{}, ErrUnauthenticated
	}
	return c, nil
}
