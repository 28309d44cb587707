package directory

import (
	"context"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
)

// BillingIdentity returns the billing identity of the caller's organization: empty, with version 1,
// until it is set.
func (s *Service) BillingIdentity(ctx context.Context) (BillingIdentity, error) {
	return db.Snapshot(ctx, s.database, "billing-identity.get", func(ctx context.Context) (BillingIdentity, error) {
		return s.store.billingIdentity(ctx)
	})
}

// SetBillingIdentity replaces the billing identity of the caller's organization. Errors:
// [patch.ErrStale], [fault.ErrInvalid].
func (s *Service) SetBillingIdentity(ctx context.Context, c BillingIdentityChange) (BillingIdentity, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return BillingIdentity{}, err
	}
	after := c.identity()
	if fieldErrors := after.normalize(); len(fieldErrors) > 0 {
		return BillingIdentity{}, fault.InvalidFields(fieldErrors...)
	}
	now := s.now()
	// Without [db.ProvenBy]: the caller can repeat it after an unknown outcome.
	return db.Serializable(ctx, s.database, "billing-identity.set", func(ctx context.Context) (BillingIdentity, error) {
		before, err := s.store.billingIdentity(ctx)
		if err != nil {
			return BillingIdentity{}, err
		}
		if err := c.Match.Check(before.Version); err != nil {
			return BillingIdentity{}, err
		}
		after.OrganizationID, after.Version, after.UpdatedAt = caller.OrganizationID, before.Version+1, now
		if err := s.store.saveBillingIdentity(ctx, after); err != nil {
			return BillingIdentity{}, err
		}
		head := Record{ID: caller.OrganizationID, OrganizationID: caller.OrganizationID, Version: after.Version, UpdatedAt: now}
		return after, recordEvent(ctx, s, "billing-identity", nil, recordedBillingIdentity(before),
			recordedBillingIdentity(after), head)
	})
}
