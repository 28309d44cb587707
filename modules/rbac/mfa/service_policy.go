package mfa

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/rbac/account"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/permission"
	"omnirapeutic/platform/trail"
)

// Policy is what an organization requires of sign-ins with a password. The zero value is the
// default policy.
type Policy struct {
	OrganizationID uuid.UUID `gorm:"primaryKey"`
	// SecondFactorRequired: users without a second factor who sign in with a password can only set
	// one up. Sign-ins through the identity provider are exempt.
	SecondFactorRequired bool
	Version              int        // counts every change; 0: never changed
	UpdatedAt            *time.Time // nil: never changed
}

// TableName names the table for gorm.
func (Policy) TableName() string { return "sign_in_policies" }

// PolicyChange replaces the policy.
type PolicyChange struct {
	Match                patch.Match
	SecondFactorRequired bool
}

// Policy returns the policy of the caller's organization.
func (s *Service) Policy(ctx context.Context) (Policy, error) {
	return db.Snapshot(ctx, s.Database, "sign-in-policy.get", s.store.policy)
}

// SetPolicy sets the policy of the caller's organization, from the next sign-in or refresh on.
// Issued access tokens stay valid until they expire, so the change interrupts no user. The error is
// [patch.ErrStale].
func (s *Service) SetPolicy(ctx context.Context, c PolicyChange) (Policy, error) {
	caller, err := account.Person(ctx)
	if err != nil {
		return Policy{}, err
	}
	const action = "sign-in-policy.set"
	now := s.Clock.Now()
	// Without [db.ProvenBy]: the caller can repeat it after an unknown outcome.
	return db.Serializable(ctx, s.Database, action, func(ctx context.Context) (Policy, error) {
		if _, err := s.Accounts.CallerHolds(ctx, permission.SignInPolicyManage); err != nil {
			return Policy{}, err
		}
		before, err := s.store.policy(ctx)
		if err != nil {
			return Policy{}, err
		}
		if err := c.Match.Check(before.Version); err != nil {
			return Policy{}, err
		}
		if before.SecondFactorRequired == c.SecondFactorRequired {
			return before, nil
		}
		after := Policy{caller.OrganizationID, c.SecondFactorRequired, before.Version + 1, &now}
		if err := s.store.putPolicy(ctx, after); err != nil {
			return Policy{}, err
		}
		return after, trail.RecordBy(ctx, s.Audit, trail.Event{
			Action: action, SubjectType: "organization", SubjectID: after.OrganizationID, OccurredAt: now,
			Before: recordedPolicy{before.SecondFactorRequired, before.Version},
			After:  recordedPolicy{after.SecondFactorRequired, after.Version},
		})
	})
}

// recordedPolicy is a policy in the audit trail.
type recordedPolicy struct {
	SecondFactorRequired bool `json:"secondFactorRequired"`
	Version              int  `json:"version"`
}
