package events

import (
	"context"
	"database/sql/driver"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

// textArray is a text[] of names, none of which needs quoting.
type textArray []string

// Value writes the list to the database.
func (l textArray) Value() (driver.Value, error) { return "{" + strings.Join(l, ",") + "}", nil }

// Scan reads the list from the database.
func (l *textArray) Scan(value any) error {
	text, ok := value.(string)
	if !ok {
		return fmt.Errorf("events: cannot read a list of texts from %T", value)
	}
	*l = textArray{}
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

// countWebhooks returns how many webhooks the organization has. Index: the primary key.
func (store) countWebhooks(ctx context.Context) (count int64, err error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return 0, err
	}
	err = tx.Model(&Webhook{}).Count(&count).Error
	return count, err
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

// webhooks lists webhooks in the order of the primary key.
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
		Select("url", "secret", "types", "active", "version", "updated_at", "answered_by").UpdateColumns(&w).Error
}

func (store) deleteWebhook(ctx context.Context, id uuid.UUID) error {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	return tx.Where("id = ?", id).Delete(&Webhook{}).Error
}

// webhookSecrets returns the webhooks of all organizations with their secrets only.
func (store) webhookSecrets(ctx context.Context) ([]Webhook, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	var found []Webhook
	err = tx.Model(&Webhook{}).Select("organization_id", "id", "secret").Order("organization_id, id").Find(&found).Error
	return found, err
}

// replaceSecret replaces the secret of a webhook, unless it has changed since it was read. Index:
// the primary key.
func (store) replaceSecret(ctx context.Context, read Webhook, sealed secret) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	return tx.Exec("UPDATE webhooks SET secret = ? WHERE organization_id = ? AND id = ? AND secret = ?",
		sealed, read.OrganizationID, read.ID, read.Secret).Error
}
