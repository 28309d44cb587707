package events

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"omnirapeutic/platform/db"
)

// errSecret says that a webhook's secret was encrypted with a secret of the configuration
// that is not configured any more.
var errSecret = errors.New("the secret of the webhook cannot be decrypted: make a new one (rotate-secret)")

// about is what the seal of a webhook's secret is about: no other webhook can be given it.
func about(organization, webhook uuid.UUID) []byte {
	return append(organization[:len(organization):len(organization)], webhook[:]...)
}

// sealSecret returns a webhook's secret as it is stored.
func (s *Service) sealSecret(plain secret, organization, webhook uuid.UUID) secret {
	return secret{s.secrets.Seal(plain.bytes, about(organization, webhook))}
}

// openSecret returns the secret that is stored of a webhook, and whether it must be sealed
// again: because a former key has sealed it, or because it comes from a program that did
// not encrypt it. The error is errSecret.
func (s *Service) openSecret(stored secret, organization, webhook uuid.UUID) (plain secret, stale bool, err error) {
	if len(stored.bytes) == secretLength { // what is sealed is longer
		return stored, true, nil
	}
	opened, stale, err := s.secrets.OpenStale(stored.bytes, about(organization, webhook))
	if err != nil {
		return secret{}, false, errSecret
	}
	return secret{opened}, stale, nil
}

// SealSecrets encrypts the secrets of webhooks that are not encrypted yet, or with a
// former key, and returns how many those were. Any number of instances may do so at once.
func (s *Service) SealSecrets(ctx context.Context) (sealed int, err error) {
	return db.ReadCommitted(ctx, s.database, "webhook.seal-secrets", func(ctx context.Context) (int, error) {
		sealed := 0
		found, err := s.store.webhookSecrets(ctx)
		for _, w := range found {
			plain, stale, openErr := s.openSecret(w.Secret, w.OrganizationID, w.ID)
			if err != nil || openErr != nil || !stale {
				continue
			}
			err = s.store.replaceSecret(ctx, w, s.sealSecret(plain, w.OrganizationID, w.ID))
			sealed++
		}
		return sealed, err
	}, db.AllOrganizations())
}

func (s *Service) sealSecrets(ctx context.Context) {
	if _, err := s.SealSecrets(ctx); err != nil && ctx.Err() == nil {
		s.logger.WithFields(logrus.Fields{"event": "webhook_secrets_not_sealed", "error": err}).
			Warn("secrets of webhooks could not be encrypted; the next start tries again")
	}
}
