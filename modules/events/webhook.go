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

// Webhook is an address of another system that gets an organization's events.
type Webhook struct {
	OrganizationID uuid.UUID `json:"organizationId" gorm:"primaryKey"`
	ID             uuid.UUID `json:"id" gorm:"primaryKey"`
	URL            string    `json:"url"`
	Types          textList  `json:"types"`  // of events, in order; none: all
	Active         bool      `json:"active"` // inactive: what happens meanwhile is not sent, not even later
	Version        int       `json:"version"`
	CreatedAt      time.Time `json:"createdAt"`
	UpdatedAt      time.Time `json:"updatedAt"`
	// AnsweredBy is the user who has entered it, or last said where it goes, what it gets
	// or that it is active: it is sent what they may read at that moment, for as long as
	// they could enter it anew. null: nobody is known, and nothing is sent.
	AnsweredBy *uuid.UUID `json:"answeredBy"`
	Secret     secret     `json:"-"` // encrypted: see openSecret
}

// Revision returns the version, which the API gives as ETag.
func (w Webhook) Revision() int { return w.Version }

// Location is where the webhook can be read.
func (w Webhook) Location() string { return "/api/v1/admin/webhooks/" + w.ID.String() }

// WebhookWithSecret is a webhook whose secret has just been made: it is not shown again.
type WebhookWithSecret struct {
	Webhook
	// Revealed is null where the request is repeated with its Idempotency-Key, since
	// no answer is kept with it: then have another made (rotate-secret).
	Revealed httpx.Secret `json:"secret"`
}

// NewWebhook is what a person enters of a webhook.
type NewWebhook struct {
	URL    string   `json:"url" validate:"required,max=2000"`
	Types  []string `json:"types" validate:"max=50"`
	Active *bool    `json:"active"` // nil: true
}

// WebhookChange changes what is given of a webhook. Types are replaced as a whole.
type WebhookChange struct {
	ID     uuid.UUID             `param:"id"`
	Match  patch.Match           `header:"If-Match"`
	URL    patch.Field[string]   `json:"url" validate:"omitempty,max=2000"`
	Types  patch.Field[[]string] `json:"types" validate:"omitempty,max=50"`
	Active patch.Field[bool]     `json:"active"`
}

// CreateWebhook enters a webhook, with a secret. Errors: [fault.ErrInvalid] where a
// field does not fit, [identity.ErrBeyondOwn] where it would get events that the
// caller may not read, [ErrTooManyWebhooks].
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
	there := func(ctx context.Context) (bool, error) { return s.store.webhookExists(ctx, w.ID) }
	return db.Serializable(ctx, s.database, "webhook.create", func(ctx context.Context) (WebhookWithSecret, error) {
		created := WebhookWithSecret{w, httpx.Secret(plain.reveal())}
		if db.InDoubt(ctx) { // an attempt before this one may have done it: see db.ProvenBy
			if done, err := there(ctx); done || err != nil {
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
	}, db.ProvenBy(there))
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
		"An organization can have at most %d webhooks. Delete one that is no longer needed, or ask your operator to raise the limit.",
		s.limits.Webhooks)
}

// Webhook returns a webhook. The error is [ErrWebhookNotFound] where there is none.
func (s *Service) Webhook(ctx context.Context, id uuid.UUID) (Webhook, error) {
	return db.Snapshot(ctx, s.database, "webhook.get", func(ctx context.Context) (Webhook, error) {
		return s.store.webhook(ctx, id)
	})
}

// Webhooks lists webhooks in the order in which they were made, those after an id.
func (s *Service) Webhooks(ctx context.Context, after uuid.UUID, limit int) ([]Webhook, error) {
	return db.Snapshot(ctx, s.database, "webhook.list", func(ctx context.Context) ([]Webhook, error) {
		return s.store.webhooks(ctx, after, limit)
	})
}

// ChangeWebhook changes a webhook. Whoever says where it goes, what it gets, or that it
// is active (also where it is so already) answers for it from now on; with the last of
// these what was withheld is sent. Errors: [ErrWebhookNotFound], [patch.ErrStale],
// [fault.ErrInvalid], [identity.ErrBeyondOwn] where they may not read what it gets.
func (s *Service) ChangeWebhook(ctx context.Context, c WebhookChange) (Webhook, error) {
	return s.changeWebhook(ctx, "webhook.change", c.ID, c.Match, c.Active.Given && c.Active.Value, func(w *Webhook) {
		c.URL.Apply(&w.URL)
		c.Active.Apply(&w.Active)
		if c.Types.Given {
			w.Types = sorted(c.Types.Value)
		}
	})
}

// RotateSecret gives a webhook a new secret, with which everything is signed from
// now on, and returns it: it is not shown again. Who has it can speak to the receiver as
// the organization does. Errors: [ErrWebhookNotFound], [patch.ErrStale],
// [identity.ErrBeyondOwn] where the caller may not read what the webhook gets.
func (s *Service) RotateSecret(ctx context.Context, id uuid.UUID, match patch.Match) (WebhookWithSecret, error) {
	made := newSecret()
	w, err := s.changeWebhook(ctx, "webhook.rotate", id, match, false, func(w *Webhook) {
		w.Secret = s.sealSecret(made, w.OrganizationID, w.ID)
	})
	return WebhookWithSecret{w, httpx.Secret(made.reveal())}, err
}

// changeWebhook applies a change; active says that it confirms that the webhook is
// active. Without [db.ProvenBy]: it can be sent again when
// nobody knows whether it was committed.
func (s *Service) changeWebhook(ctx context.Context, operation string, id uuid.UUID, match patch.Match, active bool, apply func(*Webhook)) (Webhook, error) {
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

// release has what was withheld from a webhook sent, and returns how many events that is.
func (s *Service) release(ctx context.Context, id uuid.UUID) (int64, error) {
	if err := db.AfterCommit(ctx, func(context.Context) { signal(s.due) }); err != nil {
		return 0, err
	}
	return s.store.release(ctx, id, s.now())
}

// DeleteWebhook removes a webhook with its deliveries. Errors:
// [ErrWebhookNotFound], [patch.ErrStale].
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

// requireTypes returns [identity.ErrBeyondOwn] unless the caller may read all events
// of the types (none: of all types): what a webhook is sent, whoever manages it has.
// For the whole organization, as an event says nothing of whose it is.
func (s *Service) requireTypes(caller identity.Caller, types []string) error {
	for _, t := range s.types {
		if len(types) > 0 && !slices.Contains(types, t.Name) || caller.Scope(t.Permission).Has(identity.Organization) {
			continue
		}
		return identity.ErrBeyondOwn.With(identity.Excess{Exceeds: t.Permission},
			"The webhook would get %s, which needs the permission %s, which you do not hold yourself, or not for the whole organization.", t.Name, t.Permission)
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
		return "must have neither a user nor a fragment"
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
