package mailing

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/mail"
)

// usualLifetime is how long a message without an expiry is tried: as long as the retries take.
const usualLifetime = 24 * time.Hour

// errNotConfigured is returned for a message although mail is not configured.
var errNotConfigured = errors.New("mailing: no mail server is configured")

// Enabled reports whether mail is configured.
func (s *Service) Enabled() bool { return s.Sender != nil }

// CanReach reports whether mail to the address can be sent, in the transaction of the context: mail is
// configured, and the address has not refused mail of the caller's organization. Index:
// refused_addresses_once.
func (s *Service) CanReach(ctx context.Context, address string) (bool, error) {
	if s.Sender == nil {
		return false, nil
	}
	refused, err := s.store.isRefused(ctx, address)
	return !refused && err == nil, err
}

// Queue queues messages in the transaction of the context. Each is sent at least once if the
// transaction commits, and never otherwise. The transaction must admit their organizations. Mail must
// be configured.
func (s *Service) Queue(ctx context.Context, messages ...mail.Message) error {
	if len(messages) == 0 {
		return nil
	}
	if s.Sender == nil {
		return errNotConfigured
	}
	now := s.now()
	mails := make([]queuedMail, len(messages))
	for i, m := range messages {
		content, err := json.Marshal(m.Values)
		if err != nil {
			return err
		}
		q := queuedMail{
			OrganizationID: m.OrganizationID, ID: s.NewID(), Address: m.To, Kind: m.Kind,
			CreatedAt: now, ExpiresAt: m.ExpiresAt, NextAttemptAt: now,
		}
		if m.UserID != uuid.Nil {
			q.UserID = &m.UserID
		}
		if q.ExpiresAt.IsZero() {
			q.ExpiresAt = now.Add(usualLifetime)
		}
		q.Content = s.sealer.Seal(content, q.additionalData())
		mails[i] = q
	}
	if err := db.AfterCommit(ctx, func(context.Context) { s.signal() }); err != nil {
		return err
	}
	return s.store.insert(ctx, mails)
}

// additionalData binds the encrypted content to the row and its address, so that it cannot be sent
// elsewhere.
func (m queuedMail) additionalData() []byte {
	return append(append(m.OrganizationID[:len(m.OrganizationID):len(m.OrganizationID)], m.ID[:]...), m.Address...)
}

// signal wakes the sending without blocking.
func (s *Service) signal() {
	select {
	case s.due <- struct{}{}:
	default: // a signal is already pending
	}
}
