package mailing

import (
	"context"
	"time"

	"omnirapeutic/platform/db"
)

// store reads and writes mail and refused addresses, in the transaction of the context.
type store struct{}

// insert adds mail to the queue.
func (store) insert(ctx context.Context, mails []queuedMail) error {
	for _, m := range mails {
		_, err := db.Exec(ctx, `
			INSERT INTO mails (organization_id, id, user_id, address, kind, content, created_at, expires_at, next_attempt_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			m.OrganizationID, m.ID, m.UserID, m.Address, m.Kind, m.Content, m.CreatedAt, m.ExpiresAt, m.NextAttemptAt)
		if err != nil {
			return err
		}
	}
	return nil
}

// claim claims due mail. Until the lease ends no other instance claims it; afterwards it is due again.
// Mail of disabled organizations waits. Index: mails_due.
func (store) claim(ctx context.Context, now, leaseEnd time.Time, limit int) ([]queuedMail, error) {
	return db.Select[queuedMail](ctx, `
		WITH due AS (
			SELECT m.organization_id, m.id
			FROM mails m
			WHERE m.state = 'QUEUED' AND m.next_attempt_at <= ?
			  AND NOT (SELECT o.disabled FROM organizations o WHERE o.id = m.organization_id)
			ORDER BY m.next_attempt_at
			LIMIT ?
			FOR UPDATE OF m SKIP LOCKED
		)
		UPDATE mails m SET attempts = m.attempts + 1, next_attempt_at = ?
		FROM due WHERE (m.organization_id, m.id) = (due.organization_id, due.id)
		RETURNING m.organization_id, m.id, m.user_id, m.address, m.kind, m.content, m.attempts, m.created_at, m.expires_at,
			m.next_attempt_at, EXISTS (
				SELECT FROM refused_addresses r WHERE (r.organization_id, r.address) = (m.organization_id, m.address)
			) AS is_refused, coalesce(
				(SELECT p.language FROM mail_preferences p WHERE (p.organization_id, p.user_id) = (m.organization_id, m.user_id)),
				(SELECT s.language FROM mail_settings s WHERE s.organization_id = m.organization_id), 'en') AS language,
			coalesce((SELECT s.names_practice FROM mail_settings s WHERE s.organization_id = m.organization_id), false)
				AS names_practice`,
		now, limit, leaseEnd)
}

// settle stores the result of an attempt, unless its lease has expired and another attempt has begun.
// Mail that is done loses its content. Index: the primary key.
func (store) settle(ctx context.Context, m queuedMail, r attemptResult, now time.Time) error {
	var reply *string
	if r.reply != "" {
		reply = &r.reply
	}
	if r.state == Queued {
		_, err := db.Exec(ctx, `
			UPDATE mails SET next_attempt_at = ?, last_reply = ?
			WHERE organization_id = ? AND id = ? AND state = 'QUEUED' AND attempts = ?`,
			r.next, reply, m.OrganizationID, m.ID, m.Attempts)
		return err
	}
	_, err := db.Exec(ctx, `
		UPDATE mails SET state = ?, done_at = ?, last_reply = coalesce(?, last_reply), content = NULL
		WHERE organization_id = ? AND id = ? AND state = 'QUEUED' AND attempts = ?`,
		r.state, now, reply, m.OrganizationID, m.ID, m.Attempts)
	return err
}
