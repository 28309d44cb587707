package rbac

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/permission"
	"omnirapeutic/platform/trail"
)

// SignInPolicy is what an organization requires of sign-ins with a password. The zero value is
// the default policy.
type SignInPolicy struct {
	OrganizationID uuid.UUID `json:"-" gorm:"primaryKey"`
	// SecondFactorRequired: users without a second factor who sign in with a password can only set
	// one up. Sign-ins through the identity provider are exempt.
	SecondFactorRequired bool       `json:"secondFactorRequired"`
	Version              int        `json:"version"`   // counts every change; 0: never changed
	UpdatedAt            *time.Time `json:"updatedAt"` // null: never changed
}

// TableName names the table for gorm.
func (SignInPolicy) TableName() string { return "sign_in_policies" }

// Revision returns the version, which the API returns as ETag.
func (p SignInPolicy) Revision() int { return p.Version }

// SignInPolicyChange replaces the sign-in policy.
type SignInPolicyChange struct {
	Match                patch.Match `header:"If-Match"`
	SecondFactorRequired *bool       `json:"secondFactorRequired" validate:"required"`
}

// SignInPolicy returns the policy of the caller's organization.
func (s *Service) SignInPolicy(ctx context.Context) (SignInPolicy, error) {
	return db.Snapshot(ctx, s.database, "sign-in-policy.get", takePolicy)
}

// SetSignInPolicy sets the policy of the caller's organization, from the next sign-in or refresh
// on. Issued access tokens stay valid until they expire, so the change interrupts no user. The
// error is [patch.ErrStale].
func (s *Service) SetSignInPolicy(ctx context.Context, c SignInPolicyChange) (SignInPolicy, error) {
	caller, err := person(ctx)
	if err != nil {
		return SignInPolicy{}, err
	}
	const action = "sign-in-policy.set"
	now := s.now()
	// Without [db.ProvenBy]: the caller can repeat it after an unknown outcome.
	return db.Serializable(ctx, s.database, action, func(ctx context.Context) (SignInPolicy, error) {
		if _, err := s.callerHolds(ctx, permission.SignInPolicyManage); err != nil {
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

// recordedPolicy is a policy in the audit trail.
type recordedPolicy struct {
	SecondFactorRequired bool `json:"secondFactorRequired"`
	Version              int  `json:"version"`
}

func (s *Service) recordPolicy(ctx context.Context, caller identity.Caller, action string, before, after SignInPolicy) error {
	e := trail.By(caller)
	e.Action, e.SubjectType, e.SubjectID, e.OccurredAt = action, "organization", after.OrganizationID, *after.UpdatedAt
	e.Before, e.After = recordedPolicy{before.SecondFactorRequired, before.Version}, recordedPolicy{after.SecondFactorRequired, after.Version}
	return s.audit.Record(ctx, []trail.Event{e})
}
