package idempotency

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
)

// keyOnce is the constraint that makes keys unique.
const keyOnce = "idempotency_keys_pkey"

// row is one request and its answer.
type row struct {
	OrganizationID uuid.UUID `gorm:"primaryKey"`
	UserID         uuid.UUID `gorm:"primaryKey"`
	Key            string    `gorm:"primaryKey"`
	Call           uuid.UUID // distinguishes this attempt from others with the same key
	Fingerprint    []byte
	Status         int
	Headers        map[string]string `gorm:"serializer:json"`
	Body           []byte
	Refusal        *fault.Frozen `gorm:"serializer:json"`
	CreatedAt      time.Time
}

// TableName names the table for gorm.
func (row) TableName() string { return "idempotency_keys" }

// find returns the stored row with the same key, or nil. Index: the primary key.
func find(ctx context.Context, like row) (*row, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	var found row
	err = tx.Where("user_id = ? AND key = ?", like.UserID, like.Key).Take(&found).Error
	if db.IsNotFound(err) {
		return nil, nil
	}
	return &found, err
}

func insert(ctx context.Context, r row) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	return tx.Create(&r).Error
}

// settle stores the answer in the row.
func settle(ctx context.Context, r row) error {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	return tx.Model(&row{}).Where("user_id = ? AND key = ?", r.UserID, r.Key).
		Select("Status", "Headers", "Body").Updates(&r).Error
}
