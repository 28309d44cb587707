package mailing

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/encryption"
	"omnirapeutic/platform/mail"
	"omnirapeutic/platform/smtp"
	"omnirapeutic/platform/tracing"
)

const (
	maxClaims = 20 // mails of one connection
	// sendFor is how long one connection is used for further mail.
	sendFor = time.Minute
	// lease is how long a claim belongs to an instance. It ends well after sendFor and one more mail.
	lease = 5 * time.Minute
)

// Due signals that a mail was queued.
func (s *Service) Due() <-chan struct{} { return s.due }

// Send sends due mail and returns the number of mails that were tried. Any number of instances may run
// it at once: an instance claims mail by a lease. It returns when no mail is due or the server cannot
// be used.
func (s *Service) Send(ctx context.Context) (tried int64, err error) {
	if s.Sender == nil {
		return 0, nil
	}
	for ctx.Err() == nil {
		batch, err := s.claim(ctx)
		if err != nil || len(batch.mails) == 0 {
			return tried, err
		}
		results, connected := s.attempt(ctx, batch)
		tried += int64(len(results))
		if err := s.settle(context.WithoutCancel(ctx), batch.mails, results); err != nil || !connected {
			return tried, err
		}
	}
	return tried, nil
}

// batch is claimed mail, with the organizations in whose name it is sent.
type batch struct {
	mails         []queuedMail
	organizations map[uuid.UUID]Organization
}

// claim claims some due mail.
func (s *Service) claim(ctx context.Context) (batch, error) {
	now := s.now()
	return db.ReadCommitted(ctx, s.Database, "mail.claim", func(ctx context.Context) (batch, error) {
		mails, err := s.store.claim(ctx, now, now.Add(lease), maxClaims)
		if err != nil || len(mails) == 0 {
			return batch{}, err
		}
		var ids []uuid.UUID
		for _, m := range mails {
			ids = append(ids, m.OrganizationID)
		}
		found, err := s.Directory.Organizations(ctx, slices.Compact(ids))
		organizations := make(map[uuid.UUID]Organization, len(found))
		for _, o := range found {
			organizations[o.ID] = o
		}
		return batch{mails, organizations}, err
	}, db.AllOrganizations())
}

// attempt sends claimed mail over one connection. It returns a result for each mail that it has tried,
// and whether the server could be used.
func (s *Service) attempt(ctx context.Context, b batch) (results map[uuid.UUID]attemptResult, connected bool) {
	results = map[uuid.UUID]attemptResult{}
	var connection *smtp.Connection
	var unusable error // the server
	began := s.now()
	for _, m := range b.mails {
		if done, ok := resultBefore(m, s.now()); ok {
			results[m.ID] = done
			s.tried.count(done.state)
			continue
		}
		if s.now().Sub(began) > sendFor || ctx.Err() != nil {
			break // the rest is due again when its lease ends
		}
		if connection == nil && unusable == nil {
			if connection, unusable = s.Sender.Connect(ctx); unusable == nil {
				defer connection.Close()
			} else if ctx.Err() != nil {
				break
			}
		}
		err := unusable
		_, span := tracing.Start(ctx, "send mail")
		if err == nil {
			err = s.send(connection, m, b.organizations[m.OrganizationID])
		}
		results[m.ID] = resultOf(m, err, s.now(), rand.Float64)
		endMail(span, m, results[m.ID])
		s.tried.count(results[m.ID].state)
		s.log(m, results[m.ID], err)
	}
	if unusable != nil {
		s.Logger.WithFields(logrus.Fields{"event": "mail_server_unusable", "error": rootOf(unusable)}).
			Warn("the mail server cannot be used; mail waits")
	}
	return results, unusable == nil
}

// endMail ends the span of a mail.
func endMail(span tracing.Span, m queuedMail, r attemptResult) {
	span.Set(tracing.Peer, tracing.PeerMail)
	span.Set(tracing.MailKind, string(m.Kind))
	span.Set(tracing.Result, string(r.state))
	if r.state != Sent {
		span.Fail("not-sent")
	}
	span.End()
}

// rootOf returns the cause of a failed connection, in which no recipient occurs.
func rootOf(err error) error {
	return cmp.Or(errors.Unwrap(err), err)
}

// send renders a mail and sends it.
func (s *Service) send(connection *smtp.Connection, m queuedMail, from Organization) error {
	content, err := s.sealer.Open(m.Content, m.additionalData())
	if err != nil {
		return err
	}
	var values mail.Values
	if err := json.Unmarshal(content, &values); err != nil {
		return err
	}
	letter, err := render(m, values, from)
	if err != nil {
		return err
	}
	letter.ID, letter.To, letter.Date = m.ID.String(), m.Address, m.CreatedAt
	return connection.Send(letter)
}

// log logs the result of an attempt, without address, name or link.
func (s *Service) log(m queuedMail, r attemptResult, err error) {
	line := s.Logger.WithFields(logrus.Fields{
		"event": "mail_tried", "mail_id": m.ID, "organization_id": m.OrganizationID, "kind": m.Kind, "state": r.state,
		"attempts": m.Attempts, "reply": r.reply,
	})
	switch {
	case errors.Is(err, encryption.ErrSeal):
		line.Error("a mail cannot be decrypted: a former secret of the encryption is missing")
	case r.state == Sent:
		line.Info("mail sent")
	default:
		line.Warn("mail not sent")
	}
}

// settle stores the results. An address that was refused gets no more mail.
func (s *Service) settle(ctx context.Context, mails []queuedMail, results map[uuid.UUID]attemptResult) error {
	now := s.now()
	_, err := db.ReadCommitted(ctx, s.Database, "mail.settle", func(ctx context.Context) (struct{}, error) {
		for _, m := range mails {
			r, ok := results[m.ID]
			if !ok {
				continue
			}
			if err := db.Admit(ctx, m.OrganizationID); err != nil {
				return struct{}{}, err
			}
			if err := s.store.settle(ctx, m, r, now); err != nil {
				return struct{}{}, err
			}
			if r.state != Refused {
				continue
			}
			err := s.store.mark(ctx, RefusedAddress{
				m.OrganizationID, s.NewID(), m.Address, m.UserID, m.Kind, r.reply, now,
			})
			if err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, nil
	})
	return err
}

// kept is how long mail that is done is kept, without its content, for operators.
const kept = 30 * 24 * time.Hour

// RemoveOld removes old mail that is done, and returns the number of rows.
func (s *Service) RemoveOld(ctx context.Context) (int64, error) {
	return db.RemoveOld(ctx, s.Database, db.Removal{
		Operation: "mail.remove", Table: "mails", Key: []string{"organization_id", "id"},
		Time: "done_at", Where: "state <> 'QUEUED'", Before: s.now().Add(-kept),
	})
}
