// Package rbac holds the shared terms of access control: roles, their default permissions, users
// and e-mail addresses. It does no I/O. The packages below it, one for each noun, do the work:
//
//	account        users as rows, and what a caller may do now
//	permissionset  the permissions of roles in an organization
//	user           administration of users, caseloads and guardians
//	password       rules, hashes, changes and resets of passwords
//	throttle       limits of failed attempts
//	session        sign-ins, access tokens and refresh tokens
//	revocation     when a token stops
//	mfa            second factors
//	signin         sign-in with a password
//	oidc           sign-in with an identity provider
//	apikey         keys of other systems
//	invitation     invitations of new users
//	access         builds all of them
package rbac

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/fault"
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

	Epoch      int64      // the epoch of the user's valid access tokens
	UnlockedAt *time.Time // when an administrator last unlocked the sign-in
	// SecondFactorRequired is the organization's policy for sign-ins with a password.
	SecondFactorRequired bool
	// OrganizationDisabled is set for single users, not in lists.
	OrganizationDisabled bool
}

// RefusalReason returns why the user may not sign in, for the audit trail; "": they may.
func (u User) RefusalReason() string {
	switch {
	case u.Disabled:
		return "disabled"
	case u.OrganizationDisabled:
		return "organization-disabled"
	}
	return ""
}

// Errors of several packages. Invalid fields are [fault.ErrInvalid].
var (
	// ErrUserNotFound is returned if the caller's organization has no such user.
	ErrUserNotFound = fault.Define(fault.NotFound, "user-not-found", "User not found.")
	// ErrEmailTaken is returned if a user of the organization has the address.
	ErrEmailTaken = fault.Define(fault.Conflict, "email-taken",
		"The organization already has a user with this e-mail address.").
		Advising("Choose another address.")
)

// Organization is the part of an organization that sign-ins need.
type Organization struct {
	ID       uuid.UUID
	Name     string
	Disabled bool
}

// Directory provides organizations and practitioners. The module directory implements it.
type Directory interface {
	// Organizations returns the organizations with the ids, sorted by name, in the transaction of
	// the context. It makes one query, also without ids, so that its duration reveals no account.
	Organizations(ctx context.Context, ids []uuid.UUID) ([]Organization, error)
	// PractitionerExists reports whether the caller's organization has the practitioner.
	PractitionerExists(ctx context.Context, id uuid.UUID) (bool, error)
}

// BasePath is the base path of the API in links and cookies.
const BasePath = "/api/v1"
