package revocation

import (
	"context"
	"strconv"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

// notifyChannel is the notification channel for revocations.
const notifyChannel = "omnirapeutic_access"

// store reads and writes epochs and changes, in the transaction of the context.
type store struct{}

// raiseEpoch returns the user's next epoch. Index: the primary key.
func (store) raiseEpoch(ctx context.Context, organization, user uuid.UUID) (int64, error) {
	return db.SelectOne[int64](ctx, `
		UPDATE users SET token_epoch = token_epoch + 1 WHERE organization_id = ? AND id = ?
		RETURNING token_epoch`, organization, user)
}

// epochOf returns the epoch of the user's valid tokens. Index: the primary key.
func (store) epochOf(ctx context.Context, organization, user uuid.UUID) (int64, error) {
	return db.SelectOne[int64](ctx, "SELECT token_epoch FROM users WHERE organization_id = ? AND id = ?", organization, user)
}

// changeRow is a row of access_changes. The database sets its sequence and transaction.
type changeRow struct {
	OrganizationID uuid.UUID
	Kind           kind
	SubjectID      uuid.UUID
	Level          int64
	ChangedAt      time.Time
}

// TableName names the table for gorm.
func (changeRow) TableName() string { return "access_changes" }

// insert stores changes and notifies the other instances when the transaction commits.
func (store) insert(ctx context.Context, organization uuid.UUID, changes []change) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	rows := make([]changeRow, len(changes))
	for i, c := range changes {
		rows[i] = changeRow{organization, c.kind, c.id, c.level, c.at}
	}
	if err := tx.Create(&rows).Error; err != nil {
		return err
	}
	return db.Notify(ctx, notifyChannel)
}

// changesSince returns the changes since the mark of an earlier call, 0 for all, and the mark of this
// call: see [db.CommitOrder]. Index: access_changes_by_transaction.
func (store) changesSince(ctx context.Context, since uint64) (found []change, upTo uint64, err error) {
	type row struct {
		UpTo      string
		Kind      *kind
		SubjectID uuid.UUID
		Level     int64
		ChangedAt time.Time
	}
	order := db.CommitOrderOf(ctx)
	rows, err := db.Select[row](ctx, `
		SELECT now.up_to, c.kind, c.subject_id, c.level, c.changed_at
		FROM (SELECT `+order.Mark+` AS up_to) now
		LEFT JOIN access_changes c ON `+order.Since, strconv.FormatUint(since, 10))
	if err != nil {
		return nil, 0, err
	}
	for _, r := range rows { // at least one; without changes it has only up_to
		if r.Kind != nil {
			found = append(found, change{subject{*r.Kind, r.SubjectID}, r.Level, r.ChangedAt})
		}
	}
	upTo, err = strconv.ParseUint(rows[0].UpTo, 10, 64)
	return found, upTo, err
}
