package events

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

// errSecret is returned if a webhook's secret was encrypted with a secret that is no longer
// configured.
var errSecret = errors.New("the secret of the webhook cannot be decrypted; create a new one (rotate-secret)")

// additionalData returns the additional data of a webhook's encrypted secret, which binds it to the
// webhook.
func additionalData(organization, webhook uuid.UUID) []byte {
	return append(organization[:len(organization):len(organization)], webhook[:]...)
}

// sealSecret returns a webhook's secret in its stored form.
func (s *Service) sealSecret(plain secret, organization, webhook uuid.UUID) secret {
	return secret{s.secrets.Seal(plain.bytes, additionalData(organization, webhook))}
}

// openSecret returns the plain secret of a webhook. stale reports that it must be encrypted
// again, because it uses a former key or an earlier program stored it in plain text. The error is
// errSecret.
func (s *Service) openSecret(stored secret, organization, webhook uuid.UUID) (plain secret, stale bool, err error) {
	if len(stored.bytes) == secretLength { // encrypted secrets are longer
		return stored, true, nil
	}
	opened, stale, err := s.secrets.OpenStale(stored.bytes, additionalData(organization, webhook))
	if err != nil {
		return secret{}, false, errSecret
	}
	return secret{opened}, stale, nil
}

// EncryptSecrets encrypts the secrets of webhooks that are in plain text or use a former key, and
// returns their number. Any number of instances may run it at once.
func (s *Service) EncryptSecrets(ctx context.Context) (encrypted int64, err error) {
	return db.ReadCommitted(ctx, s.database, "webhook.seal-secrets", func(ctx context.Context) (int64, error) {
		encrypted := int64(0)
		found, err := s.store.webhookSecrets(ctx)
		for _, w := range found {
			plain, stale, openErr := s.openSecret(w.Secret, w.OrganizationID, w.ID)
			if err != nil || openErr != nil || !stale {
				continue
			}
			err = s.store.replaceSecret(ctx, w, s.sealSecret(plain, w.OrganizationID, w.ID))
			encrypted++
		}
		return encrypted, err
	}, db.AllOrganizations())
}
