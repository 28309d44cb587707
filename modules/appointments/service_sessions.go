package appointments

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/record"
	"omnirapeutic/platform/scheduling"
	"omnirapeutic/platform/trail"
)

// SessionService returns sessions, and changes their narratives and addenda.
type SessionService struct{ base }

// SessionFilter narrows a list of sessions. Zero values do not filter.
type SessionFilter struct {
	PatientID      uuid.UUID
	PractitionerID uuid.UUID
	AppointmentID  uuid.UUID
	Voided         *bool // true: only voided sessions; false: only the others
	Unauthorized   *bool // true: only sessions with units that no authorization covers; false: only the others
	Days           Days
	Page           db.Keyset // sorted by start
}

// Session returns a session. The error is [ErrSessionNotFound].
func (s *SessionService) Session(ctx context.Context, id uuid.UUID) (Session, error) {
	return db.Snapshot(ctx, s.Database, "sessions.get", func(ctx context.Context) (Session, error) {
		found, err := s.store.session(ctx, id)
		if err != nil {
			return Session{}, err
		}
		found, err = visibleSession(ctx, found)
		showSessions(ctx, found)
		return found, err
	})
}

// Sessions returns the sessions that match the filter.
func (s *SessionService) Sessions(ctx context.Context, f SessionFilter) ([]Session, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return nil, err
	}
	zone, err := s.Directory.TimeZone(ctx, caller.OrganizationID)
	if err != nil {
		return nil, err
	}
	return db.Snapshot(ctx, s.Database, "sessions.list", func(ctx context.Context) ([]Session, error) {
		found, err := s.store.sessions(ctx, f, f.Days.in(zone))
		if err != nil {
			return nil, err
		}
		found, err = visibleSessions(ctx, found)
		showSessions(ctx, found...)
		return found, err
	})
}

// ChangeSession replaces a session's narrative, within the hours that the organization allows.
// Errors: [ErrSessionNotFound], [patch.ErrStale], [ErrSessionLocked].
func (s *SessionService) ChangeSession(
	ctx context.Context, id uuid.UUID, match patch.Match, narrative patch.Clearable[string],
) (Session, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return Session{}, err
	}
	now := s.now()
	return db.Serializable(ctx, s.Database, "sessions.change", func(ctx context.Context) (Session, error) {
		found, err := s.store.session(ctx, id)
		if err != nil {
			return Session{}, err
		}
		if err := match.Check(found.Version); err != nil {
			return Session{}, err
		}
		before := found
		narrative.Apply(&found.Narrative)
		if equal(found.Narrative, before.Narrative) {
			return visibleSession(ctx, found)
		}
		if found.ExportedAt != nil {
			return Session{}, ErrSessionExported
		}
		if err := s.checkUnlocked(ctx, found, now); err != nil {
			return Session{}, err
		}
		found.Version++
		found.ChangedBy, found.UpdatedAt = &caller.UserID, now
		if err := s.store.saveNarrative(ctx, found); err != nil {
			return Session{}, err
		}
		events := sessionEvents(caller, found, "session.change", now, trail.Fields{Changed: []string{"narrative"}})
		if err := s.Audit.Record(ctx, events); err != nil {
			return Session{}, err
		}
		return visibleSession(ctx, found)
	})
}

// checkUnlocked returns [ErrSessionLocked] if the session can no longer be changed.
func (s *SessionService) checkUnlocked(ctx context.Context, found Session, now time.Time) error {
	key := record.Of(found.OrganizationID, found.Patients[0].PatientID)
	rules, err := s.Directory.SchedulingRules(ctx, scheduling.Question{Patients: []record.Key{key}})
	if err != nil {
		return err
	}
	locked := found.CreatedAt.Add(time.Duration(rules.Organizations[found.OrganizationID].SessionEditHours) * time.Hour)
	if now.Before(locked) {
		return nil
	}
	zone, err := s.Directory.TimeZone(ctx, found.OrganizationID)
	if err != nil {
		return err
	}
	return ErrSessionLocked.With(Locked{locked.UTC()}, "The session could be changed until %s. Add an addendum instead.",
		localTime(locked, zone))
}

// AddAddendum adds a text to a session, signed by the caller. It is possible at any time, and the
// text can never be changed. The error is [ErrSessionNotFound].
func (s *SessionService) AddAddendum(ctx context.Context, session uuid.UUID, text string) (Session, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return Session{}, err
	}
	a := Addendum{ID: s.NewID(), Text: text, SignedBy: caller.UserID, SignedAt: s.now()}
	a.Hash = a.hashOf(session)
	return db.Serializable(ctx, s.Database, "sessions.addendum", func(ctx context.Context) (Session, error) {
		found, err := s.store.session(ctx, session)
		if err != nil {
			return Session{}, err
		}
		for _, existing := range found.Addenda { // written by an earlier attempt
			if existing.ID == a.ID {
				return visibleSession(ctx, found)
			}
		}
		if err := s.store.insertAddendum(ctx, found, a); err != nil {
			return Session{}, err
		}
		found.Addenda = append(found.Addenda, a)
		if err := s.Audit.Record(ctx, sessionEvents(caller, found, "session.addendum", a.SignedAt,
			signed{a.ID})); err != nil {
			return Session{}, err
		}
		return visibleSession(ctx, found)
	}, db.ProvenBy(func(ctx context.Context) (bool, error) { return s.store.hasAddendum(ctx, session, a.ID) }))
}

// signed is the audit trail's record of an addendum.
type signed struct {
	AddendumID uuid.UUID `json:"addendumId"`
}

// hashOf returns the SHA-256 of the session, the signer, the time in microseconds and the text, one
// per line. Only the last can contain line breaks.
func (a Addendum) hashOf(session uuid.UUID) []byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%d\n%s\n", session, a.SignedBy, a.SignedAt.UnixMicro(), a.Text))
	return sum[:]
}

// sessionEvents returns the audit events of a session, one for each patient.
func sessionEvents(caller identity.Caller, s Session, action string, at time.Time, after any) []trail.Event {
	events := make([]trail.Event, len(s.Patients))
	for i, p := range s.Patients {
		e := trail.By(caller)
		e.Action, e.SubjectType, e.SubjectID = action, subjectSession, s.ID
		e.PatientID, e.After, e.OccurredAt = &p.PatientID, after, at
		events[i] = e
	}
	return events
}
