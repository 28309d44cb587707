package rbac

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/telemetry"
	"omnirapeutic/platform/trail"
)

// Audit keeps who did what.
type Audit interface {
	// Record keeps the events if, and only if, the transaction of the context commits.
	Record(ctx context.Context, events []trail.Event) error
	// Note keeps events of what changes nothing. It needs no transaction, and returns
	// once they are committed.
	Note(ctx context.Context, events []trail.Event) error
	// Count counts a refused attempt of a caller without an organization, for the operator. It uses
	// no database and never fails.
	Count(action, reason, address string)
}

// grantedRoles are the After of a change to what somebody may do.
type grantedRoles struct {
	Roles []Role `json:"roles"`
}

// userTold is what the trail keeps of a change to a user: what decides what they may
// do, and of what they are called only that it was changed.
type userTold struct {
	Roles          []Role     `json:"roles"`
	Disabled       bool       `json:"disabled"`
	PractitionerID *uuid.UUID `json:"practitionerId"`
	Version        int        `json:"version"`
	Changed        []string   `json:"changed,omitempty"`
}

// recordChange keeps what a user was before the caller's change, and is after it.
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
	e.Before = userTold{before.Roles, before.Disabled, before.PractitionerID, before.Version, nil}
	e.After = userTold{after.Roles, after.Disabled, after.PractitionerID, after.Version, changed}
	return s.audit.Record(ctx, []trail.Event{e})
}

// invitedTo is what the trail keeps of an invitation: not to whom it went.
type invitedTo struct {
	Roles     []Role     `json:"roles"`
	ExpiresAt time.Time  `json:"expiresAt"`
	UserID    *uuid.UUID `json:"userId,omitempty"` // who it became
}

// recordInvitation keeps that the caller has made, revoked or accepted an invitation.
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

// setTold is what the trail keeps of a permission set: all of it.
type setTold struct {
	Role        Role                           `json:"role"`
	Shipped     bool                           `json:"shipped"`
	Version     int                            `json:"version"`
	Permissions map[identity.Permission]string `json:"permissions"` // scopes by name
}

// recordSet keeps what a role could do before the caller's change, and can after it.
func (s *Service) recordSet(ctx context.Context, before, after PermissionSet) error {
	caller, err := identity.From(ctx)
	if err != nil {
		return err
	}
	e := trail.By(caller)
	e.Action, e.SubjectType, e.SubjectID, e.OccurredAt = "permission-set.change", "organization", caller.OrganizationID, *after.ChangedAt
	e.Before = setTold{before.Role, before.Shipped, before.Version, before.Held.texts()}
	e.After = setTold{after.Role, after.Shipped, after.Version, after.Held.texts()}
	return s.audit.Record(ctx, []trail.Event{e})
}

// recordReach keeps who was given, or lost, the records of a patient.
func (s *Service) recordReach(ctx context.Context, about trail.Event) error {
	caller, err := identity.From(ctx)
	if err != nil {
		return err
	}
	e := trail.By(caller)
	e.Action, e.SubjectType, e.SubjectID, e.PatientID, e.OccurredAt = about.Action, about.SubjectType, about.SubjectID, about.PatientID, about.OccurredAt
	e.Before, e.After = about.Before, about.After
	return s.audit.Record(ctx, []trail.Event{e})
}

// recordUser keeps that a user was made, by the caller or, where nobody is signed
// in, by the program.
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

// grantedKey is the After of an API key that was made or revoked. Its name is left
// out: people write there what they like.
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

// refusedSignIn says why, to those who may read the trail.
type refusedSignIn struct {
	Reason string `json:"reason"`
}

// provenBy is the After of a sign-in with a second factor, or without one where the
// organization asks for it.
type provenBy struct {
	SecondFactor string `json:"secondFactor,omitempty"` // code, or recovery-code
	EnrolOnly    bool   `json:"enrolOnly,omitempty"`    // it can do nothing but set one up
}

// recordSignIn keeps, with the sign-in, that somebody has signed in, and by which
// second factor.
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
