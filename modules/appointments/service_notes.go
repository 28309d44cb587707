package appointments

import (
	"context"
	"encoding/hex"

	"github.com/google/uuid"

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

// addNotes adds the states of the notes, without conflicts, to sessions of the caller's organization,
// in the transaction of the context.
func (s base) addNotes(ctx context.Context, found []Session) error {
	if len(found) == 0 {
		return nil
	}
	rules, err := s.Directory.NoteRules(ctx)
	if err != nil {
		return err
	}
	now, ids := s.now(), idsOf(found)
	services, err := s.store.services(ctx, ids)
	if err != nil {
		return err
	}
	signatures, err := s.store.signatures(ctx, ids)
	if err != nil {
		return err
	}
	for i, each := range found {
		status := noteStatusOf(each, ruleFor(each, rules, services[each.ID]), signatures[each.ID], now)
		found[i].Note = &status
	}
	return nil
}

// addConflicts adds their conflicts to sessions with notes. It works in the transaction of the context,
// which should only read: see conflictsOf.
func (s base) addConflicts(ctx context.Context, found []Session) error {
	if len(found) == 0 {
		return nil
	}
	a, err := s.conflictArguments(ctx, authorizationsOf(found), Days{})
	if err != nil {
		return err
	}
	conflicts, err := s.store.conflictsOf(ctx, idsOf(found), a)
	for i, each := range found {
		found[i].Note.Conflicts = conflicts[each.ID]
	}
	return err
}

// conflictArguments returns the arguments of the conditions of conflicts, for sessions on the
// authorizations or, with nil, on the days.
func (s base) conflictArguments(ctx context.Context, authorizations []uuid.UUID, days Days) (conflictArguments, error) {
	a := conflictArguments{now: s.now()}
	var err error
	if a.rules, err = s.Directory.NoteRules(ctx); err != nil {
		return a, err
	}
	together, err := s.Directory.ServicePairs(ctx)
	if err != nil {
		return a, err
	}
	a.pairs = together.Pairs
	if days.Last.IsZero() {
		days.Last = calendar.Last
	}
	a.exceeded, err = s.Authorizations.ExceededCaps(ctx, authorizations, days.First, days.Last)
	return a, err
}

// authorizationsOf returns the authorizations of sessions, with duplicates.
func authorizationsOf(sessions []Session) []uuid.UUID {
	all := []uuid.UUID{}
	for _, s := range sessions {
		for _, p := range s.Patients {
			all = append(all, p.AuthorizationID)
		}
	}
	return all
}

func idsOf(sessions []Session) []uuid.UUID {
	ids := make([]uuid.UUID, len(sessions))
	for i, each := range sessions {
		ids[i] = each.ID
	}
	return ids
}

// withNote returns a session within the caller's record scope, with the state of its note.
func (s base) withNote(ctx context.Context, id uuid.UUID) (Session, error) {
	found, err := s.store.session(ctx, id)
	if err != nil {
		return Session{}, err
	}
	all := []Session{found}
	err = s.addNotes(ctx, all)
	return all[0], err
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
		found, err := s.store.session(ctx, session)
		if err != nil {
			return nil, err
		}
		signatures, err := s.store.signatures(ctx, []uuid.UUID{session})
		if err != nil {
			return nil, err
		}
		texts, err := s.store.signedNotes(ctx, session)
		all := signatures[session]
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
		a, err := s.conflictArguments(ctx, nil, days)
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
