package rbac

import (
	"context"

	"gorm.io/gorm/clause"

	"omnirapeutic/platform/db"
)

// takePolicy returns the policy of the caller's organization, or the zero value. Index: the
// primary key.
func takePolicy(ctx context.Context) (found SignInPolicy, err error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return SignInPolicy{}, err
	}
	err = tx.Take(&found).Error
	found.UpdatedAt = inUTC(found.UpdatedAt)
	return found, ignoreNotFound(err)
}

func putPolicy(ctx context.Context, p SignInPolicy) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	return tx.Clauses(clause.OnConflict{UpdateAll: true}).Create(&p).Error
}
