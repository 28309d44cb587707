package events

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/record"
)

// selectDeliveries selects deliveries with their events, for callers who may read these.
const selectDeliveries = `
	SELECT d.position, e.type, e.subject_id, e.occurred_at, d.state, d.attempts,
	       CASE WHEN d.state = 'PENDING' THEN d.next_attempt_at END AS next_attempt_at,
	       d.last_attempt_at, d.last_status, d.last_error
	FROM webhook_deliveries d JOIN events e USING (organization_id, position)
	WHERE d.organization_id = ? AND d.webhook_id = ? AND e.permission IN ?`

// deliveries lists deliveries of events that need one of the permissions, in the order of the
// primary key.
func (store) deliveries(
	ctx context.Context, webhook uuid.UUID, read []identity.Permission, state DeliveryState, after int64, limit int,
) ([]Delivery, error) {
	tx, organization, err := tenantHandle(ctx)
	if err != nil {
		return nil, err
	}
	var found []Delivery
	err = tx.Raw(selectDeliveries+` AND d.position > ? AND (? = '' OR d.state = ?) ORDER BY d.position LIMIT ?`,
		organization, webhook, read, after, state, state, limit).Scan(&found).Error
	return found, err
}

// redeliver resets a delivery. If its event needs none of the permissions, it is not found, and
// the transaction must not commit.
func (store) redeliver(
	ctx context.Context, webhook uuid.UUID, position int64, read []identity.Permission, now time.Time,
) (Delivery, error) {
	tx, organization, err := tenantHandle(ctx)
	if err != nil {
		return Delivery{}, err
	}
	err = tx.Exec(`
		UPDATE webhook_deliveries SET state = 'PENDING', attempts = 0, next_attempt_at = ?
		WHERE organization_id = ? AND webhook_id = ? AND position = ?`, now, organization, webhook, position).Error
	if err != nil {
		return Delivery{}, err
	}
	var found []Delivery
	err = tx.Raw(selectDeliveries+` AND d.position = ?`, organization, webhook, read, position).Scan(&found).Error
	switch {
	case err != nil:
		return Delivery{}, err
	case len(found) == 0:
		return Delivery{}, ErrDeliveryNotFound
	}
	return found[0], nil
}

// release makes all withheld deliveries of a webhook due again, and returns their number. Index:
// the primary key.
func (store) release(ctx context.Context, webhook uuid.UUID, now time.Time) (int64, error) {
	tx, organization, err := tenantHandle(ctx)
	if err != nil {
		return 0, err
	}
	result := tx.Exec(`
		UPDATE webhook_deliveries SET state = 'PENDING', attempts = 0, next_attempt_at = ?, last_error = NULL
		WHERE organization_id = ? AND webhook_id = ? AND state = 'WITHHELD'`, now, organization, webhook)
	return result.RowsAffected, result.Error
}

// organizationEnabled is the condition for sending to a webhook w: deliveries of a disabled
// organization wait. Index: the primary key.
const organizationEnabled = "NOT (SELECT o.disabled FROM organizations o WHERE o.id = w.organization_id)"

// dueWebhooks returns active webhooks of all organizations with deliveries that
// are due. Index: webhook_deliveries_due, once for each webhook.
func (store) dueWebhooks(ctx context.Context, now time.Time) ([]record.Key, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	var due []record.Key
	err = tx.Raw(`
		SELECT w.organization_id, w.id FROM webhooks w
		WHERE w.active AND `+organizationEnabled+` AND EXISTS (
			SELECT FROM webhook_deliveries d
			WHERE d.organization_id = w.organization_id AND d.webhook_id = w.id
			  AND d.state = 'PENDING' AND d.next_attempt_at <= ?)`, now).Scan(&due).Error
	return due, err
}

// claim is a delivery that this instance may attempt during the lease.
type claim struct {
	Position   int64
	Attempts   int // including this one
	Type       string
	SubjectID  uuid.UUID
	OccurredAt time.Time
	Payload    []byte
	URL        string
	Secret     secret
}

// answeredBy returns the responsible user of a webhook, nil if there is none or the webhook was
// deleted. Index: the primary key.
func (store) answeredBy(ctx context.Context, w record.Key) (*uuid.UUID, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	var found []*uuid.UUID
	err = tx.Raw(`SELECT answered_by FROM webhooks WHERE organization_id = ? AND id = ?`, w.OrganizationID,
		w.ID).Scan(&found).Error
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return found[0], nil
}

// permissionArray converts permissions for the database.
func permissionArray(permissions []identity.Permission) textArray {
	list := make(textArray, len(permissions))
	for i, p := range permissions {
		list[i] = string(p)
	}
	return list
}

// withheldReason is the reason of withheld deliveries.
const withheldReason = "the user responsible for the webhook can no longer read this event or manage webhooks"

// withhold withholds the due deliveries of a webhook that need none of the permissions, and
// returns their number. Deliveries of a disabled organization wait. Index:
// webhook_deliveries_due.
func (store) withhold(ctx context.Context, w record.Key, read []identity.Permission, now time.Time) (int64, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return 0, err
	}
	result := tx.Exec(`
		WITH due AS (
			SELECT d.organization_id, d.webhook_id, d.position
			FROM webhook_deliveries d JOIN events e USING (organization_id, position)
			JOIN webhooks w ON (w.organization_id, w.id) = (d.organization_id, d.webhook_id)
			WHERE d.organization_id = ? AND d.webhook_id = ? AND d.state = 'PENDING' AND d.next_attempt_at <= ?
			  AND e.permission <> ALL (CAST(? AS text[])) AND w.active AND `+organizationEnabled+`
			FOR UPDATE OF d SKIP LOCKED
		)
		UPDATE webhook_deliveries d SET state = 'WITHHELD', last_error = ?
		FROM due WHERE (d.organization_id, d.webhook_id, d.position) = (due.organization_id, due.webhook_id, due.position)`,
		w.OrganizationID, w.ID, now, permissionArray(read), withheldReason)
	return result.RowsAffected, result.Error
}

// claim claims some due deliveries of a webhook that need one of the permissions. Until the lease
// ends no other instance claims them; afterwards they are due again. Index:
// webhook_deliveries_due.
func (store) claim(
	ctx context.Context, w record.Key, read []identity.Permission, now, leaseEnd time.Time, limit int,
) ([]claim, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	var claims []claim
	err = tx.Raw(`
		WITH due AS (
			SELECT d.organization_id, d.webhook_id, d.position
			FROM webhook_deliveries d JOIN events e USING (organization_id, position)
			WHERE d.organization_id = ? AND d.webhook_id = ? AND d.state = 'PENDING' AND d.next_attempt_at <= ?
			  AND e.permission = ANY (CAST(? AS text[]))
			ORDER BY d.next_attempt_at
			LIMIT ?
			FOR UPDATE OF d SKIP LOCKED
		)
		UPDATE webhook_deliveries d
		SET attempts = d.attempts + 1, last_attempt_at = ?, next_attempt_at = ?
		FROM due JOIN events e USING (organization_id, position)
		JOIN webhooks w ON (w.organization_id, w.id) = (due.organization_id, due.webhook_id)
		WHERE (d.organization_id, d.webhook_id, d.position) = (due.organization_id, due.webhook_id, due.position)
		  AND w.active AND `+organizationEnabled+`
		RETURNING d.position, d.attempts, e.type, e.subject_id, e.occurred_at, e.payload, w.url, w.secret`,
		w.OrganizationID, w.ID, now, permissionArray(read), limit, now, leaseEnd).Scan(&claims).Error
	return claims, err
}

// attemptResult is the result of an attempt.
type attemptResult struct {
	state  DeliveryState
	next   time.Time // the next attempt, if the state is pending
	status *int
	err    *string
}

// settle stores the result of an attempt, unless its lease has expired and another attempt has
// begun, or the delivery was reset.
func (store) settle(ctx context.Context, w record.Key, c claim, r attemptResult) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	return tx.Exec(`
		UPDATE webhook_deliveries SET state = ?, next_attempt_at = ?, last_status = ?, last_error = ?
		WHERE organization_id = ? AND webhook_id = ? AND position = ? AND state = 'PENDING' AND attempts = ?`,
		r.state, r.next, r.status, r.err, w.OrganizationID, w.ID, c.Position, c.Attempts).Error
}
