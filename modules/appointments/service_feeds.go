package appointments

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/permission"
	"omnirapeutic/platform/record"
	"omnirapeutic/platform/scheduling"
	"omnirapeutic/platform/telemetry"
	"omnirapeutic/platform/trail"
)

// FeedService manages calendar feeds.
type FeedService struct {
	base
	feeds feedStore
}

// CreateFeed creates a feed of a practitioner's or a patient's appointments and returns it with its
// token: 256 random bits, of which only the hash is stored. Errors: [ErrNoOwner],
// [identity.ErrBeyondOwn].
func (s *FeedService) CreateFeed(ctx context.Context, practitioner, patient *uuid.UUID) (Feed, string, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return Feed{}, "", err
	}
	const bytes = 32
	secret := make([]byte, bytes)
	_, _ = rand.Read(secret) // never fails
	token := base64.RawURLEncoding.EncodeToString(secret)
	f := Feed{
		OrganizationID: caller.OrganizationID, ID: s.NewID(), PractitionerID: practitioner, PatientID: patient,
		TokenHash: hashOfToken(token), CreatedBy: caller.UserID, CreatedAt: s.now(),
	}
	f, err = db.Serializable(ctx, s.Database, "calendar.create", func(ctx context.Context) (Feed, error) {
		key := record.Of(f.OrganizationID, f.owner())
		q := scheduling.Query{Patients: []record.Key{key}}
		if practitioner != nil {
			q = scheduling.Query{Practitioners: []record.Key{key}}
		}
		rules, err := s.Directory.SchedulingRules(ctx, q)
		if err != nil {
			return Feed{}, err
		}
		_, isPatient := rules.Patients[key]
		_, isPractitioner := rules.Practitioners[key]
		if !isPatient && !isPractitioner {
			return Feed{}, ErrNoOwner
		}
		if err := f.mayShow(ctx, caller); err != nil {
			return Feed{}, err
		}
		if err := s.feeds.insertFeed(ctx, f); err != nil {
			return Feed{}, err
		}
		return f, s.Audit.Record(ctx, []trail.Event{feedEvent(caller, "calendar.create", f, f.CreatedAt)})
	})
	return f, token, err
}

// mayShow returns an error unless the caller may create the feed: [ErrNoOwner] if the feed's person
// is outside the caller's record scope, [identity.ErrBeyondOwn] if the caller may not read its
// appointments.
func (f Feed) mayShow(ctx context.Context, caller identity.Caller) error {
	managed, err := f.visibleTo(identity.With(ctx, caller.ActingUnder(permission.CalendarManage)))
	if err != nil {
		return err
	}
	if !managed {
		return ErrNoOwner
	}
	read, err := f.visibleTo(identity.With(ctx, caller.ActingUnder(permission.AppointmentRead)))
	if err != nil || read {
		return err
	}
	return identity.ErrBeyondOwn.With(identity.Excess{Exceeds: permission.AppointmentRead},
		"The link would show appointments. You need the permission %s for these appointments.", permission.AppointmentRead)
}

// reached reports whether the feed's person is within the caller's record scope.
func (f Feed) visibleTo(ctx context.Context) (bool, error) {
	sees, err := visibilityOf(ctx, []uuid.UUID{f.owner()}, []uuid.UUID{f.owner()})
	return sees.everything || f.PatientID != nil && sees.Patients[f.owner()] || f.PractitionerID != nil &&
		sees.Practitioners[f.owner()], err
}

func hashOfToken(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

func feedEvent(caller identity.Caller, action string, f Feed, at time.Time) trail.Event {
	e := trail.By(caller)
	e.Action, e.SubjectType, e.SubjectID, e.PatientID, e.OccurredAt = action, subjectFeed, f.ID, f.PatientID, at
	return e
}

// Feeds returns the feeds within the caller's record scope, oldest first.
func (s *FeedService) Feeds(ctx context.Context) ([]Feed, error) {
	if _, err := identity.From(ctx); err != nil {
		return nil, err
	}
	return db.Snapshot(ctx, s.Database, "calendar.list", func(ctx context.Context) ([]Feed, error) {
		found, err := s.feeds.feeds(ctx)
		for _, f := range found {
			if f.PatientID != nil {
				trail.Show(ctx, trail.Subject{Type: subjectFeed, ID: f.ID, PatientID: *f.PatientID})
			}
		}
		return found, err
	})
}

// RevokeFeed revokes the feed; its link stops working immediately. The error is [ErrFeedNotFound].
func (s *FeedService) RevokeFeed(ctx context.Context, id uuid.UUID) error {
	caller, err := identity.From(ctx)
	if err != nil {
		return err
	}
	_, err = db.Serializable(ctx, s.Database, "calendar.revoke", func(ctx context.Context) (struct{}, error) {
		f, err := s.feeds.deleteFeed(ctx, id)
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, s.Audit.Record(ctx, []trail.Event{feedEvent(caller, "calendar.revoke", f, s.now())})
	})
	return err
}

// feedRead is the result of reading a feed: its text, or that it is closed.
type feedRead struct {
	feed    Feed
	closed  bool
	found   []Appointment
	entries []CalendarEntry
}

// Calendar returns the feed with the token as iCalendar; see [calendarOf]. It needs no caller: the
// token grants access while the feed's creator could still create it. Each read is recorded in the
// audit trail before the response. Errors: [ErrFeedNotFound] if the feed does not exist, was
// revoked or is closed; [trail.ErrNotRecorded].
func (s *FeedService) Calendar(ctx context.Context, token string) (string, error) {
	read, err := db.Snapshot(ctx, s.Database, "calendar.read", func(ctx context.Context) (feedRead, error) {
		f, err := s.feeds.feedOf(ctx, hashOfToken(token))
		if err != nil {
			return feedRead{}, err
		}
		closed, err := s.closed(ctx, f)
		if err != nil || closed {
			return feedRead{feed: f, closed: closed}, err
		}
		found, err := s.feeds.calendar(ctx, f, feedWindow(s.now()))
		if err != nil {
			return feedRead{}, err
		}
		entries, err := s.feeds.entriesOf(ctx, f, feedWindow(s.now()))
		return feedRead{feed: f, found: found, entries: entries}, err
	}, db.AllOrganizations())
	if err != nil {
		return "", err
	}
	if err := s.noteFeed(ctx, read); err != nil {
		return "", err
	}
	if read.closed {
		return "", ErrFeedNotFound
	}
	return calendarOf(read.found, read.entries...)
}

// closed reports whether the feed's creator could no longer create it: the user or the organization
// is disabled, or the user has lost a role, a caseload or a child. Feeds that were once created with
// an API key are closed too.
func (s *FeedService) closed(ctx context.Context, f Feed) (bool, error) {
	maker, err := s.Callers.CurrentCaller(ctx, f.OrganizationID, f.CreatedBy)
	if errors.Is(err, identity.ErrUnauthenticated) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	err = f.mayShow(ctx, maker)
	if errors.Is(err, ErrNoOwner) || errors.Is(err, identity.ErrBeyondOwn) {
		return true, nil
	}
	return false, err
}

// feedShown is the After value of the audit event of a feed read.
type feedShown struct {
	CreatedBy uuid.UUID `json:"createdBy"` // the user who created the feed
}

// noteFeed records that a feed was read. The event has no actor: anyone with the link can read the
// feed.
func (s *FeedService) noteFeed(ctx context.Context, read feedRead) error {
	e := trail.Event{
		OrganizationID: read.feed.OrganizationID, RequestID: telemetry.RequestID(ctx), Address: trail.Address(ctx),
		Action: "calendar.read", SubjectType: subjectFeed, SubjectID: read.feed.ID, PatientID: read.feed.PatientID,
		After: feedShown{read.feed.CreatedBy}, OccurredAt: s.now(),
	}
	if read.closed {
		e.Outcome = trail.Denied
	}
	return s.Audit.Note(ctx, []trail.Event{e})
}
