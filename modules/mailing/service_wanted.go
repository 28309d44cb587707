package mailing

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/mail"
)

// QueueReminders queues the messages whose recipients have asked for reminders of appointments, in the
// transaction of the context. It omits the others.
func (s *Service) QueueReminders(ctx context.Context, messages []mail.Message) error {
	if s.Sender == nil || len(messages) == 0 {
		return nil
	}
	users := make([]uuid.UUID, len(messages))
	for i, m := range messages {
		users[i] = m.UserID
	}
	found, err := s.store.reminded(ctx, users)
	if err != nil {
		return err
	}
	wanted := map[uuid.UUID]bool{}
	for _, user := range found {
		wanted[user] = true
	}
	var queued []mail.Message
	for _, m := range messages {
		if wanted[m.UserID] {
			queued = append(queued, m)
		}
	}
	return s.Queue(ctx, queued...)
}

// Alerts counts open alerts. The app connects it to users and authorizations.
type Alerts interface {
	// Open returns the user, and the number of open alerts that the user may see now. The result is nil
	// if the user may not sign in or may see none.
	Open(ctx context.Context, organization, user uuid.UUID) (*OpenAlerts, error)
}

// OpenAlerts are the alerts of a user.
type OpenAlerts struct {
	Email string
	Name  string
	Count int
}

// digestHour is the hour from which digests are sent, in the practice's zone.
const digestHour = 7

// dueDigest is a user who has asked for digests.
type dueDigest struct {
	OrganizationID uuid.UUID
	UserID         uuid.UUID
	DigestOn       *time.Time // the day of the last one
}

// SendDigests queues the digests of alerts that are due, and returns their number: one for each user
// and day, from seven in the morning on, if there are alerts.
func (s *Service) SendDigests(ctx context.Context, alerts Alerts) (queued int64, err error) {
	if s.Sender == nil {
		return 0, nil
	}
	now := s.now()
	type candidates struct {
		digests []dueDigest
		zones   map[uuid.UUID]*time.Location
	}
	found, err := db.Snapshot(ctx, s.Database, "mail.due-digests", func(ctx context.Context) (candidates, error) {
		c := candidates{zones: map[uuid.UUID]*time.Location{}}
		digests, err := s.store.digests(ctx, now)
		if err != nil || len(digests) == 0 {
			return c, err
		}
		c.digests = digests
		var ids []uuid.UUID
		for _, d := range digests {
			ids = append(ids, d.OrganizationID)
		}
		organizations, err := s.Directory.Organizations(ctx, ids)
		for _, o := range organizations {
			if !o.Disabled {
				c.zones[o.ID] = o.Location
			}
		}
		return c, err
	}, db.AllOrganizations())
	for _, d := range found.digests {
		zone := found.zones[d.OrganizationID]
		if err != nil || zone == nil || !isDigestDue(d, now.In(zone)) {
			continue
		}
		var sent bool
		if sent, err = s.sendDigest(ctx, d, now.In(zone), alerts); sent {
			queued++
		}
	}
	return queued, err
}

// isDigestDue reports whether the user gets a digest on the local day.
func isDigestDue(d dueDigest, local time.Time) bool {
	return local.Hour() >= digestHour && (d.DigestOn == nil || d.DigestOn.Format(time.DateOnly) < local.Format(time.DateOnly))
}

// sendDigest queues the digest of a user, and reports whether there was one to send. A concurrent call
// for the same day sends none.
func (s *Service) sendDigest(ctx context.Context, d dueDigest, local time.Time, alerts Alerts) (bool, error) {
	open, err := alerts.Open(ctx, d.OrganizationID, d.UserID)
	if err != nil {
		return false, err
	}
	ctx = identity.With(ctx, identity.System(d.OrganizationID))
	return db.Serializable(ctx, s.Database, "mail.digest", func(ctx context.Context) (bool, error) {
		taken, err := s.store.takeDigest(ctx, d, local.Format(time.DateOnly))
		if err != nil || !taken || open == nil || open.Count == 0 {
			return false, err
		}
		return true, s.Queue(ctx, mail.Message{
			OrganizationID: d.OrganizationID, UserID: d.UserID, To: open.Email, Kind: mail.AlertDigest,
			Values: mail.Values{Name: open.Name, Count: open.Count},
		})
	})
}
