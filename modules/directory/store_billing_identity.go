package directory

import (
	"context"

	"gorm.io/gorm/clause"

	"omnirapeutic/platform/db"
)

// billingIdentity returns the billing identity of the caller's organization. Index: the primary key.
func (store) billingIdentity(ctx context.Context) (BillingIdentity, error) {
	tx, organization, err := db.Tenant(ctx)
	if err != nil {
		return BillingIdentity{}, err
	}
	found := []BillingIdentity{}
	if err := tx.Find(&found).Error; err != nil {
		return BillingIdentity{}, err
	}
	if len(found) == 0 {
		return BillingIdentity{OrganizationID: organization, Version: 1}, nil
	}
	found[0].UpdatedAt = found[0].UpdatedAt.UTC()
	return found[0], nil
}

func (store) saveBillingIdentity(ctx context.Context, b BillingIdentity) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	return tx.Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "organization_id"}}, UpdateAll: true}).
		Create(&b).Error
}
