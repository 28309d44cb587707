package events

import (
	"context"
	"database/sql/driver"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

// textList is a text[] of names, none of which needs quoting.
type textList []string

// Value writes the list to the database.
func (l textList) Value() (driver.Value, error) { return "{" + strings.Join(l, ",") + "}", nil }

// Scan reads the list from the database.
func (l *textList) Scan(value any) error {
	text, ok := value.(string)
	if !ok {
		return fmt.Errorf("events: a list of texts is %T", value)
	}
	*l = textList{}
	if text = strings.Trim(text, "{}"); text != "" {
		*l = strings.Split(text, ",")
	}
	return nil
}

func (store) insertWebhook(ctx context.Context, w Webhook) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	return tx.Create(&w).Error
}

func (store) webhookExists(ctx context.Context, id uuid.UUID) (bool, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return false, err
	}
	var found int64
	err = tx.Model(&Webhook{}).Where("id = ?", id).Count(&found).Error
	return found == 1, err
}

func (store) webhook(ctx context.Context, id uuid.UUID) (Webhook, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return Webhook{}, err
	}
	var w Webhook
	err = tx.Where("id = ?", id).Take(&w).Error
	if db.IsNotFound(err) {
		return Webhook{}, ErrWebhookNotFound
	}
	return w, err
}

// webhooks lists in the order of the primary key.
func (store) webhooks(ctx context.Context, after uuid.UUID, limit int) ([]Webhook, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	var found []Webhook
	err = tx.Where("id > ?", after).Order("id").Limit(limit).Find(&found).Error
	return found, err
}

func (store) updateWebhook(ctx context.Context, w Webhook) error {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	return tx.Model(&Webhook{}).Where("id = ?", w.ID).
		Select("url", "secret", "types", "active", "version", "updated_at").UpdateColumns(&w).Error
}

func (store) deleteWebhook(ctx context.Context, id uuid.UUID) error {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	return tx.Where("id = ?", id).Delete(&Webhook{}).Error
}

// selectDeliveries shows a delivery with what it tells of.
const selectDeliveries = `
	SELECT d.position, e.type, e.subject_id, e.occurred_at, d.state, d.attempts,
	       CASE WHEN d.state = 'PENDING' THEN d.next_attempt_at END AS next_attempt_at,
	       d.last_attempt_at, d.last_status, d.last_error
	FROM webhook_deliveries d JOIN events e USING (organization_id, position)
	WHERE d.organization_id = ? AND d.webhook_id = ?`

// deliveries lists in the order of the primary key.
func (store) deliveries(ctx context.Context, webhook uuid.UUID, state DeliveryState, after int64, limit int) ([]Delivery, error) {
	tx, organization, err := handle(ctx)
	if err != nil {
		return nil, err
	}
	var found []Delivery
	err = tx.Raw(selectDeliveries+` AND d.position > ? AND (? = '' OR d.state = ?) ORDER BY d.position LIMIT ?`,
		organization, webhook, after, state, state, limit).Scan(&found).Error
	return found, err
}

// redeliver puts a delivery back to its beginning.
func (store) redeliver(ctx context.Context, webhook uuid.UUID, position int64, now time.Time) (Delivery, error) {
	tx, organization, err := handle(ctx)
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
	err = tx.Raw(selectDeliveries+` AND d.position = ?`, organization, webhook, position).Scan(&found).Error
	switch {
	case err != nil:
		return Delivery{}, err
	case len(found) == 0:
		return Delivery{}, ErrDeliveryNotFound
	}
	return found[0], nil
}

// dueWebhook is a webhook that has something to be sent to.
type dueWebhook struct {
	OrganizationID uuid.UUID
	ID             uuid.UUID
}

// organizationOpen is the condition under which a webhook w is sent to: of a disabled
// organization deliveries wait. Index: the primary key.
const organizationOpen = "NOT (SELECT o.disabled FROM organizations o WHERE o.id = w.organization_id)"

// dueWebhooks returns active webhooks of all organizations with deliveries that
// are due. Index: webhook_deliveries_due, once for each webhook.
func (store) dueWebhooks(ctx context.Context, now time.Time) ([]dueWebhook, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	var due []dueWebhook
	err = tx.Raw(`
		SELECT w.organization_id, w.id FROM webhooks w
		WHERE w.active AND `+organizationOpen+` AND EXISTS (
			SELECT FROM webhook_deliveries d
			WHERE d.organization_id = w.organization_id AND d.webhook_id = w.id
			  AND d.state = 'PENDING' AND d.next_attempt_at <= ?)`, now).Scan(&due).Error
	return due, err
}

// claim is a delivery that this instance may attempt until its lease ends.
type claim struct {
	Position   int64
	Attempts   int // this one included
	Type       string
	SubjectID  uuid.UUID
	OccurredAt time.Time
	Payload    []byte
	URL        string
	Secret     secret
}

// claim takes some deliveries of a webhook that are due, for as long as the lease:
// until then nobody else takes them, and after it they are due again.
// Index: webhook_deliveries_due.
func (store) claim(ctx context.Context, w dueWebhook, now, leaseEnd time.Time, limit int) ([]claim, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	var claims []claim
	err = tx.Raw(`
		WITH due AS (
			SELECT organization_id, webhook_id, position FROM webhook_deliveries
			WHERE organization_id = ? AND webhook_id = ? AND state = 'PENDING' AND next_attempt_at <= ?
			ORDER BY next_attempt_at
			LIMIT ?
			FOR UPDATE SKIP LOCKED
		)
		UPDATE webhook_deliveries d
		SET attempts = d.attempts + 1, last_attempt_at = ?, next_attempt_at = ?
		FROM due JOIN events e USING (organization_id, position) JOIN webhooks w ON (w.organization_id, w.id) = (due.organization_id, due.webhook_id)
		WHERE (d.organization_id, d.webhook_id, d.position) = (due.organization_id, due.webhook_id, due.position) AND w.active AND `+organizationOpen+`
		RETURNING d.position, d.attempts, e.type, e.subject_id, e.occurred_at, e.payload, w.url, w.secret`,
		w.OrganizationID, w.ID, now, limit, now, leaseEnd).Scan(&claims).Error
	return claims, err
}

// result is what an attempt came to.
type result struct {
	state  DeliveryState
	next   time.Time // of the next attempt, where the state is pending
	status *int
	err    *string
}

// settle notes what an attempt came to, unless it lasted longer than its lease
// and somebody else has begun another, or the event is to be sent anew.
func (store) settle(ctx context.Context, w dueWebhook, c claim, r result) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	return tx.Exec(`
		UPDATE webhook_deliveries SET state = ?, next_attempt_at = ?, last_status = ?, last_error = ?
		WHERE organization_id = ? AND webhook_id = ? AND position = ? AND state = 'PENDING' AND attempts = ?`,
		r.state, r.next, r.status, r.err, w.OrganizationID, w.ID, c.Position, c.Attempts).Error
}
