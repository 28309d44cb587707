package appointments

import (
	"context"
	"encoding/hex"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/authorization"
	"omnirapeutic/modules/directory"
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/outbox"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/permission"
	"omnirapeutic/platform/scheduling"
	"omnirapeutic/platform/trail"
)

// NoteService changes and signs the notes of sessions, and returns the worklists.
type NoteService struct{ base }

// noteReading reads what the states of notes and the conflicts of sessions depend on.
type noteReading struct {
	rules db.Reading[map[uuid.UUID][]scheduling.DatedNoteRule]
	pairs db.Reading[[]directory.ServicePair]
}

// readNotes returns a reading of the rules for notes and of the services that may run together.
func (s base) readNotes(ctx context.Context) (noteReading, error) {
	rules, err := s.Directory.NoteRules(ctx)
	if err != nil {
		return noteReading{}, err
	}
	pairs, err := s.Directory.PairsForConflicts(ctx)
	return noteReading{rules, pairs}, err
}

func (n noteReading) queries() []db.Query { return slices.Concat(n.rules.Queries, n.pairs.Queries) }

// arguments returns the arguments of the conditions of conflicts, without caps.
func (n noteReading) arguments(ctx context.Context, now time.Time) (conflictArguments, error) {
	a := conflictArguments{now: now}
	var err error
	if a.rules, err = n.rules.Value(ctx); err != nil {
		return a, err
	}
	a.pairs, err = n.pairs.Value(ctx)
	return a, err
}

// conflictArguments returns the arguments of the conditions of conflicts for sessions on the days, in one
// round trip.
func (s base) conflictArguments(ctx context.Context, days Days) (conflictArguments, error) {
	notes, err := s.readNotes(ctx)
	if err != nil {
		return conflictArguments{}, err
	}
	if days.Last.IsZero() {
		days.Last = calendar.Last
	}
	caps, err := s.Authorizations.ExceededCaps(ctx, nil, days.First, days.Last)
	if err != nil {
		return conflictArguments{}, err
	}
	if err := db.ReadAll(ctx, slices.Concat(notes.queries(), caps.Queries)...); err != nil {
		return conflictArguments{}, err
	}
	a, err := notes.arguments(ctx, s.now())
	if err != nil {
		return a, err
	}
	a.exceeded, err = caps.Value(ctx)
	return a, err
}

// withNotes returns the sessions that were read with their signatures, with the states of their notes.
func (r *sessionReading) withNotes(a conflictArguments) []Session {
	all, signatures, services := r.sessions(), r.signaturesBySession(), r.serviceOf()
	for i := range all {
		s := &all[i]
		s.Service = new(services[s.AppointmentID])
		s.Note = new(noteStatusOf(*s, ruleFor(*s, a.rules, services[s.AppointmentID]), signatures[s.ID], a.now))
	}
	return all
}

// withConflicts completes a reading of sessions: it reads the given queries, their conflicts and what these
// depend on in one round trip, and returns the sessions with notes and conflicts. It needs one more if
// a session could exceed a cap. Its transaction should only read: see [store.conflictsOf].
func (s base) withConflicts(
	ctx context.Context, r *sessionReading, a conflictArguments, others ...db.Query,
) ([]Session, error) {
	caps, err := s.Authorizations.ExceededCaps(ctx, r.authorizations(), calendar.Date{}, calendar.Last)
	if err != nil {
		return nil, err
	}
	overlaps, err := s.store.overlapping(r, a.pairs)
	if err != nil {
		return nil, err
	}
	if err := db.ReadAll(ctx, slices.Concat(others, caps.Queries, overlaps.Queries)...); err != nil {
		return nil, err
	}
	if a.exceeded, err = caps.Value(ctx); err != nil {
		return nil, err
	}
	overlapping, err := overlaps.Value(ctx)
	if err != nil {
		return nil, err
	}
	found := r.withNotes(a)
	var possible []uuid.UUID
	for _, each := range found {
		if each.VoidedAt == nil && mayExceed(each.ServiceDate, each.Patients, a.exceeded) {
			possible = append(possible, each.ID)
		}
	}
	exceeding, err := s.exceeding(ctx, r.organization, possible, a.exceeded)
	for i, each := range found {
		found[i].Note.Conflicts = each.conflicts(overlapping[each.ID], exceeding[each.ID])
	}
	return found, err
}

// exceeding returns the sessions with which the worked units exceed a cap. It reads nothing without sessions.
func (s base) exceeding(
	ctx context.Context, organization uuid.UUID, sessions []uuid.UUID, exceeded []authorization.ExceededCap,
) (map[uuid.UUID]bool, error) {
	if len(sessions) == 0 {
		return nil, nil
	}
	r, err := s.store.exceeding(organization, sessions, exceeded)
	if err != nil {
		return nil, err
	}
	return r.Read(ctx)
}

// withNote returns a session within the caller's record scope, with the state of its note, in one round
// trip.
func (s base) withNote(ctx context.Context, id uuid.UUID) (Session, error) {
	r, err := s.store.readSession(ctx, id)
	if err != nil {
		return Session{}, err
	}
	rules, err := s.Directory.NoteRules(ctx)
	if err != nil {
		return Session{}, err
	}
	if err := db.ReadAll(ctx, slices.Concat(r.queries, rules.Queries)...); err != nil {
		return Session{}, err
	}
	a := conflictArguments{now: s.now()}
	if a.rules, err = rules.Value(ctx); err != nil {
		return Session{}, err
	}
	if len(r.rows) == 0 {
		return Session{}, ErrSessionNotFound
	}
	return r.withNotes(a)[0], nil
}

// Note returns a session with its note. The error is [ErrSessionNotFound].
func (s *NoteService) Note(ctx context.Context, session uuid.UUID) (Session, error) {
	return db.Snapshot(ctx, s.Database, "notes.get", func(ctx context.Context) (Session, error) {
		found, err := s.withNote(ctx, session)
		if err != nil {
			return Session{}, err
		}
		found, err = visibleSession(ctx, found)
		showSessions(ctx, found)
		return found, err
	})
}

// WriteNote replaces the text of a session's note. A repetition with the text that the note already
// has changes nothing and succeeds, also with an old version (RFC 9110, section 13.1.1). Errors:
// [ErrSessionNotFound], [patch.ErrStale], [ErrSessionVoided], [ErrNoteClosed],
// [identity.ErrForbidden] for callers who may not read clinical text.
func (s *NoteService) WriteNote(
	ctx context.Context, session uuid.UUID, match patch.Match, text NoteText,
) (Session, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return Session{}, err
	}
	if !caller.MaySee(permission.SessionNarrative) {
		return Session{}, identity.ErrForbidden.With(identity.Denial{Permission: permission.SessionNarrative},
			"This requires the permission %s.", permission.SessionNarrative)
	}
	text, now := text.normalized(), s.now()
	return db.Serializable(ctx, s.Database, "notes.write", func(ctx context.Context) (Session, error) {
		found, err := s.withNote(ctx, session)
		if err != nil {
			return Session{}, err
		}
		before := found.noteText()
		if before.equal(text) {
			return found, nil
		}
		if err := match.Check(found.NoteVersion); err != nil {
			return Session{}, err
		}
		if found.VoidedAt != nil {
			return Session{}, ErrSessionVoided
		}
		if found.ExportedAt != nil {
			return Session{}, ErrSessionExported
		}
		if refusal := found.Note.refuseText(); refusal != nil {
			return Session{}, refusal
		}
		found.Narrative, found.NoteSections = text.Narrative, text.Sections
		found.NoteVersion++
		found.NoteChangedAt, found.NoteChangedBy = &now, &caller.UserID
		if err := s.store.saveNote(ctx, found); err != nil {
			return Session{}, err
		}
		var changed []string
		if !equal(before.Narrative, text.Narrative) {
			changed = append(changed, "narrative")
		}
		for _, name := range []scheduling.NoteSection{
			scheduling.Goals, scheduling.Interventions, scheduling.Response, scheduling.Plan,
		} {
			if before.Sections[name] != text.Sections[name] {
				changed = append(changed, string(name))
			}
		}
		if err := s.Audit.Record(ctx, sessionEvents(caller, found, "session.note", now,
			trail.Fields{Changed: changed})); err != nil {
			return Session{}, err
		}
		return s.withNote(ctx, session)
	})
}

// Sign adds a signature to a session and its note. The first signature closes the text. Errors:
// [ErrSessionNotFound], [patch.ErrStale] for another version of the session, [ErrSessionVoided],
// [ErrNoteChanged], [ErrNoteIncomplete], [ErrAlreadySigned], [ErrNotSigner],
// [identity.ErrPeopleOnly], [fault.ErrInvalid].
func (s *NoteService) Sign(
	ctx context.Context, session uuid.UUID, match patch.Match, g Signature,
) (Session, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return Session{}, err
	}
	if err := caller.RequirePerson(); err != nil {
		return Session{}, err
	}
	if err := g.checkSigner(); err != nil {
		return Session{}, err
	}
	g.ID, g.SignedBy, g.SignedAt, g.Address = s.NewID(), caller.UserID, s.now(), caller.Address
	return db.Serializable(ctx, s.Database, "notes.sign", func(ctx context.Context) (Session, error) {
		found, err := s.withNote(ctx, session)
		if err != nil {
			return Session{}, err
		}
		for _, existing := range found.Note.Signatures { // written by an earlier attempt
			if existing.ID == g.ID {
				return found, nil
			}
		}
		if err := match.Check(found.Version); err != nil {
			return Session{}, err
		}
		g.SessionVersion = found.Version
		if g.PractitionerID, err = signerOf(ctx, g.Role); err != nil {
			return Session{}, err
		}
		if refusal := found.Note.refuseSignature(found, g, beyondOwn(caller)); refusal != nil {
			return Session{}, refusal
		}
		g.Hash = g.hashOf(session)
		if err := s.store.insertSignature(ctx, found, g); err != nil {
			return Session{}, err
		}
		if err := s.Audit.Record(ctx, sessionEvents(caller, found, "session.sign", g.SignedAt, signedAs{
			g.ID, g.Role, g.SessionVersion, hex.EncodeToString(g.TextHash),
		})); err != nil {
			return Session{}, err
		}
		if found, err = s.withNote(ctx, session); err != nil {
			return Session{}, err
		}
		return found, s.Events.Publish(ctx, []outbox.Message{signedMessage(found, g)})
	}, db.ProvenBy(func(ctx context.Context) (bool, error) { return s.store.hasSignature(ctx, session, g.ID) }))
}

// signerOf returns the caller's practitioner, or nil for a caregiver, who signs on the caller's
// device.
func signerOf(ctx context.Context, role scheduling.Signer) (*uuid.UUID, error) {
	if role == scheduling.CaregiverSigns {
		return nil, nil
	}
	own, err := ownPractitioner(ctx)
	if err != nil || own == uuid.Nil {
		return nil, err
	}
	return &own, nil
}

// ownPractitioner returns the caller's practitioner, or a zero id.
func ownPractitioner(ctx context.Context) (uuid.UUID, error) {
	scope, err := db.RecordScopeOf(ctx)
	if err != nil {
		return uuid.Nil, err
	}
	return scope.OwnPractitioner(ctx)
}

// beyondOwn reports whether the caller may change sessions of others, as supervisors can.
func beyondOwn(caller identity.Caller) bool {
	scope := caller.Scope(permission.SessionChange)
	return scope.Has(identity.Organization) || scope.Has(identity.Caseload)
}

// signedAs is the audit trail's record of a signature.
type signedAs struct {
	SignatureID    uuid.UUID         `json:"signatureId"`
	Role           scheduling.Signer `json:"role"`
	SessionVersion int               `json:"sessionVersion"`
	TextHash       string            `json:"textHash"`
}

// Signatures returns all signatures of a session with the signed texts, oldest first. The error is
// [ErrSessionNotFound].
func (s *NoteService) Signatures(ctx context.Context, session uuid.UUID) ([]Signature, error) {
	return db.Snapshot(ctx, s.Database, "notes.signatures", func(ctx context.Context) ([]Signature, error) {
		r, err := s.store.readSession(ctx, session)
		if err != nil {
			return nil, err
		}
		notes := s.store.signedNotes(r.organization, session)
		if err := db.ReadAll(ctx, slices.Concat(r.queries, notes.Queries)...); err != nil {
			return nil, err
		}
		found, err := r.session()
		if err != nil {
			return nil, err
		}
		texts, err := notes.Value(ctx)
		all := r.signaturesBySession()[session]
		for i, g := range all {
			all[i].Text = texts[string(g.TextHash)]
		}
		visible, visibleErr := visibleSession(ctx, found)
		if visibleErr != nil {
			return nil, visibleErr
		}
		showSessions(ctx, visible)
		return all, err
	})
}

// ConflictCounts returns the numbers of sessions that conflicts keep from being billed, by kind and
// leading practitioner. Without a first day it covers the last [worklistDays].
func (s *NoteService) ConflictCounts(ctx context.Context, days Days) ([]ConflictCount, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return nil, err
	}
	zone, err := s.Directory.TimeZone(ctx, caller.OrganizationID)
	if err != nil {
		return nil, err
	}
	days = days.ofWorklist(calendar.DateIn(s.now(), zone))
	return db.Snapshot(ctx, s.Database, "notes.conflicts", func(ctx context.Context) ([]ConflictCount, error) {
		a, err := s.conflictArguments(ctx, days)
		if err != nil {
			return nil, err
		}
		return s.store.conflictCounts(ctx, days.in(zone), a)
	})
}

// refusalOfSignatures returns [ErrSessionSigned] if the session has a signature that counts, or nil.
func (s base) refusalOfSignatures(ctx context.Context, session uuid.UUID) (*fault.Error, error) {
	found, err := db.Snapshot(ctx, s.Database, "notes.signed", func(ctx context.Context) (Session, error) {
		return s.withNote(ctx, session)
	})
	if err != nil {
		return nil, err
	}
	return found.Note.refuseSigned(), nil
}
