package events

import (
	"context"
	"net/url"
	"reflect"
	"slices"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/patch"
)

// CreateWebhook creates a webhook with a secret. Errors: [fault.ErrInvalid],
// [identity.ErrBeyondOwn] if the caller may not read all of its events, [ErrTooManyWebhooks].
func (s *Service) CreateWebhook(ctx context.Context, n NewWebhook) (WebhookWithSecret, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return WebhookWithSecret{}, err
	}
	now, plain := s.now(), newSecret()
	w := Webhook{
		OrganizationID: caller.OrganizationID, ID: s.newID(), URL: n.URL, Types: sortedTypes(n.Types),
		Active: n.Active == nil || *n.Active, Version: 1, CreatedAt: now, UpdatedAt: now, AnsweredBy: &caller.UserID,
	}
	w.Secret = s.sealSecret(plain, w.OrganizationID, w.ID)
	if err := s.checkWebhook(w); err != nil {
		return WebhookWithSecret{}, err
	}
	if err := s.requirePermissions(caller, w.Types); err != nil {
		return WebhookWithSecret{}, err
	}
	stored := func(ctx context.Context) (bool, error) { return s.store.webhookExists(ctx, w.ID) }
	return db.Serializable(ctx, s.database, "webhook.create", func(ctx context.Context) (WebhookWithSecret, error) {
		created := WebhookWithSecret{w, httpx.Secret(plain.reveal())}
		if db.InDoubt(ctx) { // an earlier attempt may have committed: see db.ProvenBy
			if exists, err := stored(ctx); exists || err != nil {
				return created, err
			}
		}
		if err := s.checkWebhookLimit(ctx); err != nil {
			return WebhookWithSecret{}, err
		}
		if err := s.store.insertWebhook(ctx, w); err != nil {
			return WebhookWithSecret{}, err
		}
		return created, s.recordWebhook(ctx, "webhook.create", nil, &w, now)
	}, db.ProvenBy(stored))
}

// checkWebhookLimit returns [ErrTooManyWebhooks] if the caller's organization has the maximum
// number of webhooks. The serializable transaction of the context keeps concurrent
// creations within the limit.
func (s *Service) checkWebhookLimit(ctx context.Context) error {
	count, err := s.store.countWebhooks(ctx)
	if err != nil || count < int64(s.limits.Webhooks) {
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
			w.Types = sortedTypes(c.Types.Value)
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
		takesResponsibility := active || after.URL != before.URL || !slices.Equal(after.Types, before.Types)
		if takesResponsibility || !slices.Equal(after.Secret.bytes, before.Secret.bytes) {
			if err := s.requirePermissions(caller, after.Types); err != nil {
				return Webhook{}, err
			}
		}
		if takesResponsibility {
			after.AnsweredBy = &caller.UserID
		}
		released := int64(0)
		if active {
			if released, err = s.releaseWithheld(ctx, id); err != nil {
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

// releaseWithheld makes the withheld events of a webhook due, and returns their number.
func (s *Service) releaseWithheld(ctx context.Context, id uuid.UUID) (int64, error) {
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
	if message := s.checkURL(w.URL); message != "" {
		return fault.InvalidFields(fault.Field{Field: "url", Code: "url", Message: message})
	}
	return s.checkTypes(w.Types)
}

// requirePermissions returns [identity.ErrBeyondOwn] unless the caller may read all events of the types
// (none: of all types), because a webhook gives its manager these events. The permissions must be
// held for the whole organization, because an event does not name its owner.
func (s *Service) requirePermissions(caller identity.Caller, types []string) error {
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

func (s *Service) checkURL(text string) string {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return "must be a URL that begins with https://"
	case u.Scheme == "http" && !s.anyAddress:
		return "must begin with https://"
	case u.User != nil || u.Fragment != "":
		return "must contain neither a user name nor a fragment"
	}
	return ""
}
