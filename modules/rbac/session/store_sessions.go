package session

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/rbac/account"
	"omnirapeutic/modules/rbac/revocation"
	"omnirapeutic/platform/db"
)

// store reads and writes sessions and their refresh tokens, in the transaction of the context.
type store struct{}

// TableName names the table for gorm.
func (Session) TableName() string { return "sign_ins" }

// refreshRow is a row of refresh_tokens.
type refreshRow struct {
	OrganizationID uuid.UUID `gorm:"primaryKey"`
	Hash           []byte    `gorm:"primaryKey"`
	SignInID       uuid.UUID
	IssuedAt       time.Time
	UsedAt         *time.Time
	UsedFrom       *string // the network that used it
}

// TableName names the table for gorm.
func (refreshRow) TableName() string { return "refresh_tokens" }

// foundRefresh is a refresh token with its session and its user.
type foundRefresh struct {
	Found    account.Row `gorm:"embedded"`
	Session  Session     `gorm:"embedded;embeddedPrefix:in_"`
	UsedAt   *time.Time  // of the token
	UsedFrom *string     // the network that used the token; nil: stored by an earlier program
}

// refreshToken finds a token of any organization by its hash. The error is gorm's if there is none.
// Index: refresh_tokens_by_hash, and primary keys.
func (store) refreshToken(ctx context.Context, hash []byte) (foundRefresh, error) {
	return db.SelectOne[foundRefresh](ctx, `
		SELECT `+account.Columns+`, t.used_at, t.used_from,
			i.organization_id AS in_organization_id, i.id AS in_id, i.user_id AS in_user_id, i.epoch AS in_epoch,
			i.started_at AS in_started_at, i.used_at AS in_used_at, i.idle_until AS in_idle_until, i.ends_at AS in_ends_at,
			i.ended_at AS in_ended_at, i.address AS in_address, i.throttle_key AS in_throttle_key, i.by_provider AS in_by_provider,
			i.repeated_at AS in_repeated_at
		FROM refresh_tokens t
		JOIN sign_ins i ON i.organization_id = t.organization_id AND i.id = t.sign_in_id
		JOIN users u ON u.organization_id = i.organization_id AND u.id = i.user_id
		WHERE t.hash = ?`, hash)
}

// insert stores a session with its first refresh token.
func (store) insert(ctx context.Context, in Session, first refreshToken) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	if err := tx.Create(&in).Error; err != nil {
		return err
	}
	return tx.Create(&refreshRow{
		OrganizationID: in.OrganizationID, Hash: first.hash(), SignInID: in.ID, IssuedAt: in.StartedAt,
	}).Error
}

// rotate uses a token up, from a network, and stores its successor and the new end of the session.
// Index: primary keys.
func (store) rotate(ctx context.Context, in Session, used, next refreshToken, from string, now time.Time) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	rows, err := db.Exec(ctx, `
		UPDATE refresh_tokens SET used_at = ?, used_from = ? WHERE organization_id = ? AND hash = ? AND used_at IS NULL`,
		now, from, in.OrganizationID, used.hash())
	if err == nil && rows != 1 {
		err = fmt.Errorf("rbac: the use of one refresh token touched %d rows", rows)
	}
	if err != nil {
		return err
	}
	err = tx.Exec("UPDATE sign_ins SET used_at = ?, idle_until = ? WHERE organization_id = ? AND id = ?",
		in.UsedAt, in.IdleUntil, in.OrganizationID, in.ID).Error
	if err != nil {
		return err
	}
	return tx.Create(&refreshRow{
		OrganizationID: in.OrganizationID, Hash: next.hash(), SignInID: in.ID, IssuedAt: now,
	}).Error
}

// markRepeated stores that a used token of a session was answered again, at most once per
// [refreshGrace]. Otherwise simultaneous repetitions would all write the same row, and all but one
// of their transactions would fail. Index: the primary key.
func (store) markRepeated(ctx context.Context, in Session, now time.Time) error {
	if in.RepeatedAt != nil && now.Sub(*in.RepeatedAt) <= refreshGrace {
		return nil
	}
	_, err := db.Exec(ctx, "UPDATE sign_ins SET repeated_at = ? WHERE organization_id = ? AND id = ?",
		now, in.OrganizationID, in.ID)
	return err
}

// markEnded ends a session that was not ended before. Index: the primary key.
func (store) markEnded(ctx context.Context, organization, id uuid.UUID, now time.Time) error {
	_, err := db.Exec(ctx, "UPDATE sign_ins SET ended_at = ? WHERE organization_id = ? AND id = ? AND ended_at IS NULL",
		now, organization, id)
	return err
}

// setEpoch moves a session to the user's new epoch. Index: the primary key.
func (store) setEpoch(ctx context.Context, in Session) error {
	_, err := db.Exec(ctx, "UPDATE sign_ins SET epoch = ? WHERE organization_id = ? AND id = ?",
		in.Epoch, in.OrganizationID, in.ID)
	return err
}

// endByProvider ends a user's sessions through an identity provider. If user is nil, it concerns all
// users of the caller's organization. It returns the sessions that were active or whose access tokens may still
// be valid. It reads all sessions of the organization, from the last weeks.
func (store) endByProvider(ctx context.Context, user *uuid.UUID, now time.Time) (ended []uuid.UUID, err error) {
	tx, organization, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	err = tx.Raw(`
		UPDATE sign_ins SET ended_at = $1
		WHERE organization_id = $2 AND by_provider AND ended_at IS NULL AND ($3::uuid IS NULL OR user_id = $3)
			AND (idle_until > $1 AND ends_at > $1 OR used_at > $4)
		RETURNING id`, now, organization, user, now.Add(-revocation.Keep)).Scan(&ended).Error
	return ended, err
}

// isActive is the condition for active sessions of a user.
const isActive = `i.ended_at IS NULL AND i.idle_until > ? AND i.ends_at > ? AND i.epoch = (
	SELECT u.token_epoch FROM users u WHERE u.organization_id = i.organization_id AND u.id = i.user_id)`

// active returns the active sessions of a user, the newest first. Index: sign_ins_by_user.
func (store) active(ctx context.Context, organization, user uuid.UUID, now time.Time) ([]Session, error) {
	return db.Select[Session](ctx, `
		SELECT i.* FROM sign_ins i
		WHERE i.organization_id = ? AND i.user_id = ? AND `+isActive+`
		ORDER BY i.started_at DESC, i.id DESC`, organization, user, now, now)
}

// one returns an active session of a user. The error is gorm's if there is none. Index: the primary
// key.
func (store) one(ctx context.Context, organization, user, id uuid.UUID, now time.Time) (Session, error) {
	return db.SelectOne[Session](ctx, `
		SELECT i.* FROM sign_ins i
		WHERE i.organization_id = ? AND i.user_id = ? AND i.id = ? AND `+isActive, organization, user, id, now, now)
}

// sessionEnd is the end of a session, in the form of the index sign_ins_by_end.
const sessionEnd = "least(ended_at, idle_until, ends_at)"

// Limits of one transaction that removes refresh tokens.
const (
	maxEndedSessions = 100
	maxRemovedTokens = 1000
)

// removeTokens removes refresh tokens of ended sessions, up to the limit. It returns their number,
// and the number of examined sessions that have no more tokens; these are not examined again.
// Indexes: sign_ins_by_end, refresh_tokens_by_sign_in.
func (store) removeTokens(ctx context.Context, now time.Time) (tokens, sessions int64, err error) {
	const ended = `
		WITH ended AS MATERIALIZED (
			SELECT organization_id, id FROM sign_ins
			WHERE has_refresh_tokens AND ` + sessionEnd + ` <= $1 ORDER BY ` + sessionEnd + ` LIMIT $2)`
	statement := db.ByRows(ended+" DELETE FROM refresh_tokens WHERE {rows}", db.Rows{
		Key: []string{"organization_id", "hash"},
		Query: `SELECT f.{row} FROM ended e CROSS JOIN LATERAL (
				SELECT t.{row} FROM refresh_tokens t
				WHERE t.organization_id = e.organization_id AND t.sign_in_id = e.id OFFSET 0) f
			LIMIT $3`,
	})
	tokens, err = db.Exec(ctx, statement.For(ctx), now, maxEndedSessions, maxRemovedTokens)
	if err != nil || tokens == maxRemovedTokens {
		return tokens, 0, err
	}
	sessions, err = db.Exec(ctx, ended+`
		UPDATE sign_ins i SET has_refresh_tokens = false FROM ended e
		WHERE i.organization_id = e.organization_id AND i.id = e.id AND `+sessionEnd+` <= $1`, now, maxEndedSessions)
	return tokens, sessions, err
}
