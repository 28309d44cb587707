package events

import (
	"context"
	"net/url"
	"reflect"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/patch"
)

// Webhook is an address of another system that receives an organization's events.
type Webhook struct {
	OrganizationID uuid.UUID `json:"organizationId" gorm:"primaryKey"`
	ID             uuid.UUID `json:"id" gorm:"primaryKey"`
	URL            string    `json:"url"` // The address that receives the events.
	// The types of the events, sorted. If it is empty, all types are sent.
	Types textList `json:"types"`
	// Whether events are sent. An inactive webhook does not store events for later.
	Active    bool      `json:"active"`
	Version   int       `json:"version"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
	// The user who created the webhook, last set its URL or types, or last confirmed it. The
	// webhook receives the events that this user may currently read, as long as the user could
	// create it. Null if there is no such user; then nothing is sent.
	AnsweredBy *uuid.UUID `json:"answeredBy"`
	Secret     secret     `json:"-"` // encrypted: see openSecret
}

// Revision returns the version, which the API returns as ETag.
func (w Webhook) Revision() int { return w.Version }

// Location returns the path of the webhook.
func (w Webhook) Location() string { return "/api/v1/admin/webhooks/" + w.ID.String() }

// WebhookWithSecret is a webhook with its new secret, which is shown only once.
type WebhookWithSecret struct {
	Webhook
	// The secret that signs the requests. Null in the response to a retry with the same
	// Idempotency-Key, because the secret is not stored. In that case rotate the secret.
	Revealed httpx.Secret `json:"secret"`
}

// NewWebhook is the request for a webhook.
type NewWebhook struct {
	URL string `json:"url" validate:"required,max=2000"` // The address that receives the events.
	// The types of the events. If it is empty, all types are sent.
	Types  []string `json:"types" validate:"max=50"`
	Active *bool    `json:"active"` // Whether events are sent. The default is true.
}

// WebhookChange changes the given fields of a webhook. Types are replaced as a whole.
type WebhookChange struct {
	ID    uuid.UUID   `param:"id"`
	Match patch.Match `header:"If-Match"`
	// The address that receives the events.
	URL patch.Field[string] `json:"url" validate:"omitempty,max=2000"`
	// The types of the events. They replace the previous ones.
	Types  patch.Field[[]string] `json:"types" validate:"omitempty,max=50"`
	Active patch.Field[bool]     `json:"active"` // Whether events are sent.
}

// CreateWebhook creates a webhook with a secret. Errors: [fault.ErrInvalid],
// [identity.ErrBeyondOwn] if the caller may not read all of its events, [ErrTooManyWebhooks].
func (s *Service) CreateWebhook(ctx context.Context, n NewWebhook) (WebhookWithSecret, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return WebhookWithSecret{}, err
	}
	now, plain := s.now(), newSecret()
	w := Webhook{
		OrganizationID: caller.OrganizationID, ID: s.newID(), URL: n.URL, Types: sorted(n.Types),
		Active: n.Active == nil || *n.Active, Version: 1, CreatedAt: now, UpdatedAt: now, AnsweredBy: &caller.UserID,
	}
	w.Secret = s.sealSecret(plain, w.OrganizationID, w.ID)
	if err := s.checkWebhook(w); err != nil {
		return WebhookWithSecret{}, err
	}
	if err := s.requireTypes(caller, w.Types); err != nil {
		return WebhookWithSecret{}, err
	}
	stored := func(ctx context.Context) (bool, error) { return s.store.webhookExists(ctx, w.ID) }
	return db.Serializable(ctx, s.database, "webhook.create", func(ctx context.Context) (WebhookWithSecret, error) {
		created := WebhookWithSecret{w, httpx.Secret(plain.reveal())}
		if db.InDoubt(ctx) { // an earlier attempt may have committed: see db.ProvenBy
			if done, err := stored(ctx); done || err != nil {
				return created, err
			}
		}
		if err := s.requireRoom(ctx); err != nil {
			return WebhookWithSecret{}, err
		}
		if err := s.store.insertWebhook(ctx, w); err != nil {
			return WebhookWithSecret{}, err
		}
		return created, s.recordWebhook(ctx, "webhook.create", nil, &w, now)
	}, db.ProvenBy(stored))
}

// requireRoom returns [ErrTooManyWebhooks] if the caller's organization has the maximum
// number of webhooks. The serializable transaction of the context keeps concurrent
// creations within the limit.
func (s *Service) requireRoom(ctx context.Context) error {
	exist, err := s.store.countWebhooks(ctx)
	if err != nil || exist < int64(s.limits.Webhooks) {
		return err
	}
	return ErrTooManyWebhooks.With(WebhookLimit{s.limits.Webhooks},
		"An organization can have at most %d webhooks. Delete one that is no longer needed, or ask your operator to raise "+
			"the limit.",
		s.limits.Webhooks)
}

// Webhook returns a webhook. The error is [ErrWebhookNotFound].
func (s *Service) Webhook(ctx context.Context, id uuid.UUID) (Webhook, error) {
	return db.Snapshot(ctx, s.database, "webhook.get", func(ctx context.Context) (Webhook, error) {
		return s.store.webhook(ctx, id)
	})
}

// Webhooks lists webhooks after an id in the order of their creation.
func (s *Service) Webhooks(ctx context.Context, after uuid.UUID, limit int) ([]Webhook, error) {
	return db.Snapshot(ctx, s.database, "webhook.list", func(ctx context.Context) ([]Webhook, error) {
		return s.store.webhooks(ctx, after, limit)
	})
}

// ChangeWebhook changes a webhook. A caller who sets its URL or types, or confirms that it is
// active, becomes responsible for it. Confirming that it is active also sends withheld events.
// Errors: [ErrWebhookNotFound], [patch.ErrStale], [fault.ErrInvalid], [identity.ErrBeyondOwn] if
// the caller may not read its events.
func (s *Service) ChangeWebhook(ctx context.Context, c WebhookChange) (Webhook, error) {
	return s.changeWebhook(ctx, "webhook.change", c.ID, c.Match, c.Active.Given && c.Active.Value, func(w *Webhook) {
		c.URL.Apply(&w.URL)
		c.Active.Apply(&w.Active)
		if c.Types.Given {
			w.Types = sorted(c.Types.Value)
		}
	})
}

// RotateSecret replaces the secret of a webhook and returns the new one, which is shown only
// once. The permission check is needed because the secret allows requests to the receiver in the
// organization's name. Errors: [ErrWebhookNotFound], [patch.ErrStale], [identity.ErrBeyondOwn] if
// the caller may not read the webhook's events.
func (s *Service) RotateSecret(ctx context.Context, id uuid.UUID, match patch.Match) (WebhookWithSecret, error) {
	fresh := newSecret()
	w, err := s.changeWebhook(ctx, "webhook.rotate", id, match, false, func(w *Webhook) {
		w.Secret = s.sealSecret(fresh, w.OrganizationID, w.ID)
	})
	return WebhookWithSecret{w, httpx.Secret(fresh.reveal())}, err
}

// changeWebhook applies a change. active reports that the change confirms that the webhook is
// active. It works without [db.ProvenBy]: the caller can repeat it after an unknown outcome.
func (s *Service) changeWebhook(
	ctx context.Context, operation string, id uuid.UUID, match patch.Match, active bool, apply func(*Webhook),
) (Webhook, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return Webhook{}, err
	}
	return db.Serializable(ctx, s.database, operation, func(ctx context.Context) (Webhook, error) {
		before, err := s.store.webhook(ctx, id)
		if err != nil {
			return Webhook{}, err
		}
		if err := match.Check(before.Version); err != nil {
			return Webhook{}, err
		}
		after := before
		apply(&after)
		if err := s.checkWebhook(after); err != nil {
			return Webhook{}, err
		}
		answers := active || after.URL != before.URL || !slices.Equal(after.Types, before.Types)
		if answers || !slices.Equal(after.Secret.bytes, before.Secret.bytes) {
			if err := s.requireTypes(caller, after.Types); err != nil {
				return Webhook{}, err
			}
		}
		if answers {
			after.AnsweredBy = &caller.UserID
		}
		released := int64(0)
		if active {
			if released, err = s.release(ctx, id); err != nil {
				return Webhook{}, err
			}
		}
		if reflect.DeepEqual(before, after) && released == 0 {
			return before, nil
		}
		after.Version++
		after.UpdatedAt = s.now()
		if err := s.store.updateWebhook(ctx, after); err != nil {
			return Webhook{}, err
		}
		return after, s.recordWebhook(ctx, operation, &before, &after, after.UpdatedAt)
	})
}

// release makes the withheld events of a webhook due, and returns their number.
func (s *Service) release(ctx context.Context, id uuid.UUID) (int64, error) {
	if err := db.AfterCommit(ctx, func(context.Context) { signal(s.due) }); err != nil {
		return 0, err
	}
	return s.store.release(ctx, id, s.now())
}

// DeleteWebhook deletes a webhook with its deliveries. Errors: [ErrWebhookNotFound],
// [patch.ErrStale].
func (s *Service) DeleteWebhook(ctx context.Context, id uuid.UUID, match patch.Match) error {
	_, err := db.Serializable(ctx, s.database, "webhook.delete", func(ctx context.Context) (struct{}, error) {
		w, err := s.store.webhook(ctx, id)
		if err != nil {
			return struct{}{}, err
		}
		if err := match.Check(w.Version); err != nil {
			return struct{}{}, err
		}
		if err := s.store.deleteWebhook(ctx, id); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, s.recordWebhook(ctx, "webhook.delete", &w, nil, s.now())
	}, db.ProvenBy(func(ctx context.Context) (bool, error) {
		exists, err := s.store.webhookExists(ctx, id)
		return !exists, err
	}))
	return err
}

func (s *Service) checkWebhook(w Webhook) error {
	if message := s.wrongURL(w.URL); message != "" {
		return fault.InvalidFields(fault.Field{Field: "url", Code: "url", Message: message})
	}
	return s.checkTypes(w.Types)
}

// requireTypes returns [identity.ErrBeyondOwn] unless the caller may read all events of the types
// (none: of all types), because a webhook gives its manager these events. The permissions must be
// held for the whole organization, because an event does not name its owner.
func (s *Service) requireTypes(caller identity.Caller, types []string) error {
	for _, t := range s.types {
		if len(types) > 0 && !slices.Contains(types, t.Name) || caller.Scope(t.Permission).Has(identity.Organization) {
			continue
		}
		return identity.ErrBeyondOwn.With(identity.Excess{Exceeds: t.Permission},
			"The webhook would receive %s. This requires the permission %s for the whole organization, which you do not "+
				"hold.", t.Name, t.Permission)
	}
	return nil
}

func (s *Service) wrongURL(text string) string {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return "must be a URL that begins with https://"
	case u.Scheme == "http" && !s.open:
		return "must begin with https://"
	case u.User != nil || u.Fragment != "":
		return "must contain neither a user name nor a fragment"
	}
	return ""
}

// sorted returns a sorted copy without repetitions, never nil, so that equal lists
// compare as equal.
func sorted(list []string) []string {
	list = append([]string{}, list...)
	slices.Sort(list)
	return slices.Compact(list)
}
