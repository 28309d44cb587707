package appointments

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/trail"
)

// SessionService returns sessions, and adds addenda to them.
type SessionService struct{ base }

// SessionFilter narrows a list of sessions. Zero values do not filter.
type SessionFilter struct {
	Participants
	ServiceCodes  []uuid.UUID
	Locations     []uuid.UUID
	AppointmentID uuid.UUID
	Voided        *bool          // true: only voided sessions; false: only the others
	Unauthorized  *bool          // true: only sessions with units that no authorization covers; false: only the others
	Conflicts     []ConflictKind // only sessions with a conflict of one of the kinds
	Awaiting      *bool          // true: only sessions that lack nothing but signatures, among them the caller's; false: only the others
	Days          Days
	Page          db.Keyset // sorted by start
}

// Session returns a session. The error is [ErrSessionNotFound].
func (s *SessionService) Session(ctx context.Context, id uuid.UUID) (Session, error) {
	return db.Snapshot(ctx, s.Database, "sessions.get", func(ctx context.Context) (Session, error) {
		r, err := s.store.readSession(ctx, id)
		if err != nil {
			return Session{}, err
		}
		notes, err := s.readNotes(ctx)
		if err != nil {
			return Session{}, err
		}
		if err := db.ReadAll(ctx, slices.Concat(r.queries, notes.queries())...); err != nil {
			return Session{}, err
		}
		if len(r.rows) == 0 {
			return Session{}, ErrSessionNotFound
		}
		a, err := notes.arguments(ctx, s.now())
		if err != nil {
			return Session{}, err
		}
		found, err := s.withConflicts(ctx, r, a)
		if err != nil {
			return Session{}, err
		}
		found, err = visibleSessions(ctx, found)
		showSessions(ctx, found...)
		return found[0], err
	})
}

// Sessions returns the sessions that match the filter. With conflicts, or with a missing signature of
// the caller, it covers the last [worklistDays] unless the filter has a first day.
func (s *SessionService) Sessions(ctx context.Context, f SessionFilter) ([]Session, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return nil, err
	}
	zone, err := s.Directory.TimeZone(ctx, caller.OrganizationID)
	if err != nil {
		return nil, err
	}
	if len(f.Conflicts) > 0 || f.Awaiting != nil {
		f.Days = f.Days.ofWorklist(calendar.DateIn(s.now(), zone))
	}
	return db.Snapshot(ctx, s.Database, "sessions.list", func(ctx context.Context) ([]Session, error) {
		found, err := s.list(ctx, caller, f, f.Days.in(zone))
		if err != nil {
			return nil, err
		}
		found, err = visibleSessions(ctx, found)
		showSessions(ctx, found...)
		return found, err
	})
}

// list returns the sessions that match the filter, with notes and conflicts, in two round trips. A worklist
// needs two more.
func (s *SessionService) list(
	ctx context.Context, caller identity.Caller, f SessionFilter, within Span,
) ([]Session, error) {
	narrow, err := s.narrowByNotes(ctx, caller, f)
	if err != nil {
		return nil, err
	}
	r, err := s.store.readSessions(ctx, f, within, narrow)
	if err != nil {
		return nil, err
	}
	if narrow.isWorklist() {
		if err := db.ReadAll(ctx, r.queries...); err != nil || len(r.rows) == 0 {
			return nil, err
		}
		if err := db.Read(ctx, r.patientsOf(r.ids())); err != nil {
			return nil, err
		}
		return s.withListedParts(ctx, r, narrow.arguments)
	}
	notes, err := s.readNotes(ctx)
	if err != nil {
		return nil, err
	}
	if err := db.ReadAll(ctx, slices.Concat(r.queries, notes.queries())...); err != nil || len(r.rows) == 0 {
		return nil, err
	}
	a, err := notes.arguments(ctx, s.now())
	if err != nil {
		return nil, err
	}
	return s.withListedParts(ctx, r, a)
}

// withListedParts completes a reading of a list like [base.withConflicts].
func (s *SessionService) withListedParts(
	ctx context.Context, r *sessionReading, a conflictArguments,
) ([]Session, error) {
	return s.withConflicts(ctx, r, a, append(r.parts(), r.signaturesOf(r.ids()), r.servicesOf())...)
}

// narrowByNotes returns a function that limits a query to the sessions with the filter's conflicts.
func (s *SessionService) narrowByNotes(ctx context.Context, caller identity.Caller, f SessionFilter) (narrowing, error) {
	if len(f.Conflicts) == 0 && f.Awaiting == nil {
		return narrowing{}, nil
	}
	a, err := s.conflictArguments(ctx, f.Days)
	if err != nil {
		return narrowing{}, err
	}
	n := narrowing{conflicts: f.Conflicts, awaiting: f.Awaiting, arguments: a}
	if f.Awaiting != nil {
		n.own, err = ownPractitioner(ctx)
		n.beyondOwn = n.own != uuid.Nil && beyondOwn(caller)
	}
	return n, err
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
