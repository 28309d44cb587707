package rbac

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/trail"
)

// SignInPolicy is what an organization asks of those who sign in with a password. The
// zero value is what holds where nobody has decided anything.
type SignInPolicy struct {
	OrganizationID uuid.UUID `json:"-" gorm:"primaryKey"`
	// SecondFactorRequired: a sign-in by password of somebody who has no second factor
	// can do nothing but set one up. Who comes from the identity provider is not asked.
	SecondFactorRequired bool       `json:"secondFactorRequired"`
	Version              int        `json:"version"`   // counts every change; 0: none was made
	UpdatedAt            *time.Time `json:"updatedAt"` // null: none was made
}

// TableName names the table for gorm.
func (SignInPolicy) TableName() string { return "sign_in_policies" }

// Revision returns the version, which the API gives as ETag.
func (p SignInPolicy) Revision() int { return p.Version }

// SignInPolicyChange replaces what an organization asks for.
type SignInPolicyChange struct {
	Match                patch.Match `header:"If-Match"`
	SecondFactorRequired *bool       `json:"secondFactorRequired" validate:"required"`
}

// SignInPolicy returns that of the caller's organization.
func (s *Service) SignInPolicy(ctx context.Context) (SignInPolicy, error) {
	return db.Snapshot(ctx, s.database, "sign-in-policy.get", takePolicy)
}

// SetSignInPolicy says what the caller's organization asks for, from the next sign-in
// and the next refresh on. An access token that was issued before holds for as long as
// it lives: nobody is thrown out of what they are doing. Errors: [patch.ErrStale].
func (s *Service) SetSignInPolicy(ctx context.Context, c SignInPolicyChange) (SignInPolicy, error) {
	caller, err := person(ctx)
	if err != nil {
		return SignInPolicy{}, err
	}
	const action = "sign-in-policy.set"
	now := s.now()
	// Without [db.ProvenBy]: it can be asked again when nobody knows whether it was committed.
	return db.Serializable(ctx, s.database, action, func(ctx context.Context) (SignInPolicy, error) {
		if _, err := s.callerHolds(ctx, signInPolicyManage); err != nil {
			return SignInPolicy{}, err
		}
		before, err := takePolicy(ctx)
		if err != nil {
			return SignInPolicy{}, err
		}
		if err := c.Match.Check(before.Version); err != nil {
			return SignInPolicy{}, err
		}
		after := before
		after.SecondFactorRequired = c.SecondFactorRequired != nil && *c.SecondFactorRequired
		if after == before {
			return before, nil
		}
		after.OrganizationID, after.Version, after.UpdatedAt = caller.OrganizationID, before.Version+1, &now
		if err := putPolicy(ctx, after); err != nil {
			return SignInPolicy{}, err
		}
		return after, s.recordPolicy(ctx, caller, action, before, after)
	})
}

// policyTold is what the trail keeps of a policy: all of it.
type policyTold struct {
	SecondFactorRequired bool `json:"secondFactorRequired"`
	Version              int  `json:"version"`
}

func (s *Service) recordPolicy(ctx context.Context, caller identity.Caller, action string, before, after SignInPolicy) error {
	e := trail.By(caller)
	e.Action, e.SubjectType, e.SubjectID, e.OccurredAt = action, "organization", after.OrganizationID, *after.UpdatedAt
	e.Before, e.After = policyTold{before.SecondFactorRequired, before.Version}, policyTold{after.SecondFactorRequired, after.Version}
	return s.audit.Record(ctx, []trail.Event{e})
}
