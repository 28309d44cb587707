package directory

import (
	"context"

	"github.com/google/uuid"
	"gorm.io/gorm/clause"

	"omnirapeutic/platform/db"
)

// billingIdentity returns the billing identity of the caller's organization. Index: the primary key.
func (store) billingIdentity(ctx context.Context) (BillingIdentity, error) {
	tx, organization, err := db.Tenant(ctx)
	if err != nil {
		return BillingIdentity{}, err
	}
	found, err := db.Find[BillingIdentity](ctx, tx)
	return presentIdentity(organization, found), err
}

// presentIdentity returns the stored identity of an organization, or the empty one.
func presentIdentity(organization uuid.UUID, stored []BillingIdentity) BillingIdentity {
	if len(stored) == 0 {
		return BillingIdentity{OrganizationID: organization, Version: 1}
	}
	stored[0].UpdatedAt = stored[0].UpdatedAt.UTC()
	return stored[0]
}

func (store) saveBillingIdentity(ctx context.Context, b BillingIdentity) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	return tx.Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "organization_id"}}, UpdateAll: true}).
		Create(&b).Error
}
