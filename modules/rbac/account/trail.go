package rbac

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/telemetry"
	"omnirapeutic/platform/trail"
)

// Audit records who did what.
type Audit interface {
	// Record stores the events if, and only if, the transaction of the context commits.
	Record(ctx context.Context, events []trail.Event) error
	// Note stores events that change nothing. It needs no transaction, and returns after they are
	// committed.
	Note(ctx context.Context, events []trail.Event) error
	// Count counts a refused attempt of a caller without an organization, for the operator. It uses
	// no database and never fails.
	Count(action, reason, address string)
}

// grantedRoles is the After value of a change of permissions.
type grantedRoles struct {
	Roles []Role `json:"roles"`
}

// recordedUser is the part of a user that the audit trail stores: what decides about permissions, and
// whether the name or address has changed.
type recordedUser struct {
	Roles          []Role     `json:"roles"`
	Disabled       bool       `json:"disabled"`
	PractitionerID *uuid.UUID `json:"practitionerId"`
	Version        int        `json:"version"`
	Changed        []string   `json:"changed,omitempty"`
}

// recordChange records a user before and after the caller's change.
func (s *Service) recordChange(ctx context.Context, action string, before, after User) error {
	caller, err := identity.From(ctx)
	if err != nil {
		return err
	}
	var changed []string
	if before.Name != after.Name {
		changed = append(changed, "name")
	}
	e := trail.By(caller)
	e.Action, e.SubjectType, e.SubjectID, e.OccurredAt = action, "user", after.ID, after.UpdatedAt
	e.Before = recordedUser{before.Roles, before.Disabled, before.PractitionerID, before.Version, nil}
	e.After = recordedUser{after.Roles, after.Disabled, after.PractitionerID, after.Version, changed}
	return s.audit.Record(ctx, []trail.Event{e})
}

// invitedTo is the part of an invitation that the audit trail stores. It omits the address.
type invitedTo struct {
	Roles     []Role     `json:"roles"`
	ExpiresAt time.Time  `json:"expiresAt"`
	UserID    *uuid.UUID `json:"userId,omitempty"` // the user that was created
}

// recordInvitation records that the caller has created, revoked or accepted an invitation.
func (s *Service) recordInvitation(ctx context.Context, action string, i Invitation, now time.Time) error {
	caller, err := identity.From(ctx)
	if err != nil {
		return err
	}
	e := trail.By(caller)
	e.Action, e.SubjectType, e.SubjectID, e.OccurredAt = action, "invitation", i.ID, now
	e.After = invitedTo{i.Roles, i.ExpiresAt, i.UserID}
	return s.audit.Record(ctx, []trail.Event{e})
}

// recordedPermissionSet is a permission set in the audit trail.
type recordedPermissionSet struct {
	Role        Role                           `json:"role"`
	Shipped     bool                           `json:"shipped"`
	Version     int                            `json:"version"`
	Permissions map[identity.Permission]string `json:"permissions"` // scopes by name
}

// recordSet records a role's permissions before and after the caller's change.
func (s *Service) recordSet(ctx context.Context, before, after PermissionSet) error {
	caller, err := identity.From(ctx)
	if err != nil {
		return err
	}
	e := trail.By(caller)
	e.Action, e.SubjectType, e.SubjectID, e.OccurredAt = "permission-set.change", "organization", caller.OrganizationID, *after.ChangedAt
	e.Before = recordedPermissionSet{before.Role, before.Shipped, before.Version, before.Held.texts()}
	e.After = recordedPermissionSet{after.Role, after.Shipped, after.Version, after.Held.texts()}
	return s.audit.Record(ctx, []trail.Event{e})
}

// recordReach records who got or lost access to the records of a patient.
func (s *Service) recordReach(ctx context.Context, about trail.Event) error {
	caller, err := identity.From(ctx)
	if err != nil {
		return err
	}
	e := trail.By(caller)
	e.Action, e.SubjectType, e.SubjectID = about.Action, about.SubjectType, about.SubjectID
	e.PatientID, e.OccurredAt = about.PatientID, about.OccurredAt
	e.Before, e.After = about.Before, about.After
	return s.audit.Record(ctx, []trail.Event{e})
}

// recordUser records that a user was created by the caller or, without a caller, by the program.
func (s *Service) recordUser(ctx context.Context, u User) error {
	caller, err := identity.From(ctx)
	if err != nil {
		caller = identity.System(u.OrganizationID)
	}
	e := trail.By(caller)
	e.OrganizationID, e.Action, e.SubjectType, e.SubjectID = u.OrganizationID, "user.create", "user", u.ID
	e.After, e.OccurredAt = grantedRoles{u.Roles}, s.now()
	return s.audit.Record(ctx, []trail.Event{e})
}

// grantedKey is the After value of a created or revoked API key. It omits the name, which is free
// text.
type grantedKey struct {
	Permissions []identity.Permission `json:"permissions"`
	ExpiresAt   *time.Time            `json:"expiresAt"`
	OwnedBy     uuid.UUID             `json:"ownedBy"`
	Networks    []string              `json:"networks"`
}

// recordKey records that the caller has created or revoked an API key, or changed its owner.
func (s *Service) recordKey(ctx context.Context, action string, k APIKey, at time.Time) error {
	caller, err := identity.From(ctx)
	if err != nil {
		return err
	}
	e := trail.By(caller)
	e.Action, e.SubjectType, e.SubjectID, e.OccurredAt = action, "api-key", k.ID, at
	e.After = grantedKey{k.Permissions, k.ExpiresAt, k.OwnedBy, k.Networks.texts()}
	return s.audit.Record(ctx, []trail.Event{e})
}

// refusedSignIn is the reason for a refused sign-in.
type refusedSignIn struct {
	Reason string `json:"reason"`
}

// provenBy is the After value of a sign-in. It says whether a second factor was used, or is still
// missing.
type provenBy struct {
	SecondFactor string `json:"secondFactor,omitempty"` // code or recovery-code
	EnrolOnly    bool   `json:"enrolOnly,omitempty"`    // the sign-in can only set up a second factor
}

// recordSignIn records a sign-in and its second factor, in the same transaction.
func (s *Service) recordSignIn(ctx context.Context, u User, proven proof) error {
	e := s.signInEvent(ctx, u)
	e.ActorID = u.ID
	if by := (provenBy{proven.name(), u.enrolOnly}); by != (provenBy{}) {
		e.After = by
	}
	return s.audit.Record(ctx, []trail.Event{e})
}

// refusalEvent is the event of a refused sign-in. For an unknown address it has no organization and
// not the address, which may be a password.
func (s *Service) refusalEvent(ctx context.Context, u User, reason string) trail.Event {
	e := s.signInEvent(ctx, u)
	e.Outcome, e.After = trail.Denied, refusedSignIn{reason}
	if u.ID == uuid.Nil {
		e.SubjectType = ""
	}
	return e
}

func (s *Service) signInEvent(ctx context.Context, u User) trail.Event {
	return trail.Event{
		OrganizationID: u.OrganizationID, RequestID: telemetry.RequestID(ctx), Address: trail.Address(ctx),
		Action: "user.sign-in", SubjectType: "user", SubjectID: u.ID, OccurredAt: s.now(),
	}
}
