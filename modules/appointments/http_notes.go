package appointments

import (
	"context"
	"encoding/hex"
	"net/http"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/permission"
	"omnirapeutic/platform/scheduling"
)

func (s *NoteService) noteRoutes() []httpx.Route {
	return []httpx.Route{
		{
			Method: http.MethodGet, Path: "/sessions/:id/note",
			Permission: permission.SessionRead, RecordScopes: sessionOwners.Scopes(), Reads: subjectSession,
			Name: "getNote", Summary: "Get the note of a session",
			Description: "The text of the note, its `textHash` for signing, and its state. The `ETag` is the version of the " +
				"text, not of the session.",
			Refusals: []*fault.Error{ErrSessionNotFound},
			Endpoint: httpx.Handle(http.StatusOK, s.handleNote),
		},
		{
			Method: http.MethodPut, Path: "/sessions/:id/note", Keyed: true,
			Permission: permission.SessionChange, RecordScopes: sessionOwners.Scopes(),
			Name: "writeNote", Summary: "Write the note of a session",
			Description: "Replaces the whole text. For drafts that are saved while the user types, send the `ETag` of the " +
				"previous answer as `If-Match`. A draft from a device without connection can be sent later, and again with the " +
				"same `Idempotency-Key`. Possible until the first signature; later changes are addenda. Needs " +
				"`session:read-narrative`. The answer does not repeat the text.",
			Refusals: []*fault.Error{ErrSessionNotFound, ErrSessionVoided, ErrNoteClosed, ErrSessionExported},
			Endpoint: httpx.Handle(http.StatusOK, s.handleWriteNote),
		},
		{
			Method: http.MethodPost, Path: "/sessions/:id/signatures",
			Permission: permission.SessionChange, RecordScopes: sessionOwners.Scopes(),
			Name: "signSession", Summary: "Sign a session",
			Description: "Binds the signer, the time, the IP address, the version of the session and the hash of the text. " +
				"`If-Match` is the version of the session. The first signature closes the text. After a correction the session " +
				"needs new signatures; a recount of its visit needs none. `TECHNICIAN` is a practitioner of the session, " +
				"`SUPERVISOR` another practitioner with access to the sessions of others. A `CAREGIVER` signs on the device of " +
				"the caller with `name` and `mark`.",
			Refusals: []*fault.Error{
				ErrSessionNotFound, ErrSessionVoided, ErrNoteChanged, ErrNoteIncomplete, ErrAlreadySigned, ErrNotSigner,
				identity.ErrPeopleOnly,
			},
			Endpoint: httpx.Handle(http.StatusCreated, s.handleSign),
		},
		{
			Method: http.MethodGet, Path: "/sessions/:id/signatures",
			Permission: permission.SessionRead, RecordScopes: sessionOwners.Scopes(), Reads: subjectSession,
			Name: "listSignatures", Summary: "List the signatures of a session",
			Description: "All signatures with the signed texts as evidence, oldest first. `counts` is false for invalid ones.",
			Refusals:    []*fault.Error{ErrSessionNotFound},
			Endpoint:    httpx.Handle(http.StatusOK, s.handleSignatures),
		},
		{
			Method: http.MethodGet, Path: "/sessions/conflicts",
			Permission: permission.SessionRead, RecordScopes: sessionOwners.Scopes(),
			Name: "countConflicts", Summary: "Count the sessions that cannot be billed",
			Description: "The numbers of sessions with a conflict, by kind and leading practitioner, with the oldest service " +
				"date. A session with several conflicts counts in each. Without `from`, sessions of the last 366 days count. " +
				"`GET /sessions?conflict=…` lists them.",
			Eventual: true, Endpoint: httpx.Handle(http.StatusOK, s.handleConflicts),
		},
	}
}

// noteSectionsBody are the texts of a note's sections.
type noteSectionsBody struct {
	Goals         *string `json:"goals" validate:"omitempty,max=20000"`         // The goals that were worked on.
	Interventions *string `json:"interventions" validate:"omitempty,max=20000"` // The interventions that were used.
	Response      *string `json:"response" validate:"omitempty,max=20000"`      // The response of the patient.
	Plan          *string `json:"plan" validate:"omitempty,max=20000"`          // The plan for the next sessions.
}

// sections returns the texts by name.
func (b *noteSectionsBody) sections() NoteSections {
	texts := NoteSections{}
	if b == nil {
		return texts
	}
	for name, text := range map[scheduling.NoteSection]*string{
		scheduling.Goals: b.Goals, scheduling.Interventions: b.Interventions, scheduling.Response: b.Response,
		scheduling.Plan: b.Plan,
	} {
		if text != nil {
			texts[name] = *text
		}
	}
	return texts
}

// noteSectionsBodyOf returns nil for a note without sections.
func noteSectionsBodyOf(s NoteSections) *noteSectionsBody {
	if len(s) == 0 {
		return nil
	}
	text := func(name scheduling.NoteSection) *string {
		if t, exists := s[name]; exists {
			return &t
		}
		return nil
	}
	return &noteSectionsBody{
		text(scheduling.Goals), text(scheduling.Interventions), text(scheduling.Response), text(scheduling.Plan),
	}
}

// signatureBody is a signature under a session and its note.
type signatureBody struct {
	ID   uuid.UUID         `json:"id"`
	Role scheduling.Signer `json:"role"` // The role of the signer.
	// The user who signed, or on whose device a caregiver signed.
	SignedBy uuid.UUID `json:"signedBy"`
	// The practitioner of that user. Null for a caregiver.
	PractitionerID *uuid.UUID `json:"practitionerId"`
	Name           *string    `json:"name"`           // The name of a caregiver.
	SignedAt       time.Time  `json:"signedAt"`       // The time of the signature.
	SessionVersion int        `json:"sessionVersion"` // The version of the session that was signed.
	TextHash       string     `json:"textHash"`       // The hash of the text that was signed.
	// Whether the signed text and version are the present ones.
	Counts bool `json:"counts"`
	practitionerReference
}

func signatureBodyOf(g Signature) signatureBody {
	return signatureBody{
		ID: g.ID, Role: g.Role, SignedBy: g.SignedBy, PractitionerID: g.PractitionerID, Name: g.Name, SignedAt: g.SignedAt,
		SessionVersion: g.SessionVersion, TextHash: hex.EncodeToString(g.TextHash), Counts: g.Counts,
	}
}

// noteStatusBody is the state of a session's note, without its text.
type noteStatusBody struct {
	State NoteState `json:"state"` // The state of the note.
	// Whether the service requires a note.
	Required bool       `json:"required"`
	DueAt    *time.Time `json:"dueAt"`  // The time until which the note must be complete. Null if there is none.
	Length   int        `json:"length"` // The characters of the narrative and all sections.
	// The required number of characters.
	MinLength       int                      `json:"minLength"`
	MissingSections []scheduling.NoteSection `json:"missingSections"` // The required sections without a text.
	MissingSigners  []scheduling.Signer      `json:"missingSigners"`  // The roles that still have to sign.
	Signatures      []signatureBody          `json:"signatures"`      // The signatures, oldest first.
	// The hash of the present text: the SHA-256 of the narrative, then of the name and the text of each
	// section in the order of the names. The length of each part in bytes and a line break precede it,
	// and a line break follows.
	TextHash string `json:"textHash"`
	// The version of the text.
	Version   int       `json:"version"`
	ChangedAt time.Time `json:"changedAt"` // The time of the last change of the text.
	ChangedBy uuid.UUID `json:"changedBy"` // The user who wrote the text.
}

// Location returns the path of the note.
func (b noteStatusAnswer) Location() string {
	return "/api/v1/sessions/" + b.SessionID.String() + "/note"
}

// Revision returns the version of the text, which the API sends as the ETag.
func (b noteStatusAnswer) Revision() int { return b.Version }

func noteStatusBodyOf(s Session) noteStatusBody {
	b := noteStatusBody{
		MissingSections: []scheduling.NoteSection{}, MissingSigners: []scheduling.Signer{}, Signatures: []signatureBody{},
		TextHash: hex.EncodeToString(s.TextHash()), Version: s.NoteVersion, ChangedAt: s.CreatedAt,
		ChangedBy: s.CreatedBy,
	}
	if s.NoteChangedAt != nil {
		b.ChangedAt, b.ChangedBy = s.NoteChangedAt.UTC(), *s.NoteChangedBy
	}
	if n := s.Note; n != nil { // nil if the request failed
		b.State, b.Required, b.DueAt, b.Length = n.State, n.Rule != nil, n.DueAt, n.Length
		b.MinLength = n.minLength()
		b.MissingSections = append(b.MissingSections, n.MissingSections...)
		b.MissingSigners = append(b.MissingSigners, n.MissingSigners...)
		for _, g := range n.Signatures {
			b.Signatures = append(b.Signatures, signatureBodyOf(g))
		}
	}
	return b
}

// noteStatusAnswer is the state of a note after a change.
type noteStatusAnswer struct {
	SessionID uuid.UUID `json:"sessionId"`
	noteStatusBody
}

// noteBody is the note of a session.
type noteBody struct {
	noteStatusAnswer
	Narrative *string           `json:"narrative" needs:"session:read-narrative"` // The narrative of the session.
	Sections  *noteSectionsBody `json:"sections" needs:"session:read-narrative"`  // The texts of the sections.
}

func (s *NoteService) handleNote(ctx context.Context, in byID) (noteBody, error) {
	found, err := s.Note(ctx, in.ID)
	return noteBody{
		noteStatusAnswer{found.ID, noteStatusBodyOf(found)}, found.Narrative, noteSectionsBodyOf(found.NoteSections),
	}, err
}

type writeNoteRequest struct {
	byID
	matching
	// The narrative of the session. Without it the note has none.
	Narrative *string           `json:"narrative" validate:"omitempty,max=20000"`
	Sections  *noteSectionsBody `json:"sections"` // The texts of the sections. Without it the note has none.
}

func (s *NoteService) handleWriteNote(ctx context.Context, in writeNoteRequest) (noteStatusAnswer, error) {
	changed, err := s.WriteNote(ctx, in.ID, in.IfMatch, NoteText{in.Narrative, in.Sections.sections()})
	return noteStatusAnswer{changed.ID, noteStatusBodyOf(changed)}, err
}

type signRequest struct {
	byID
	matching
	// The role of the signer.
	Role scheduling.Signer `json:"role" validate:"required,oneof=TECHNICIAN SUPERVISOR CAREGIVER"`
	// The `textHash` of the note that was shown to the signer.
	TextHash string `json:"textHash" validate:"required,len=64"`
	// The name of a caregiver.
	Name *string `json:"name" validate:"omitempty,max=200,text"`
	// The mark of a caregiver: a typed text of at most 200 characters, or a drawing as a PNG image in a
	// data URL.
	Mark *string `json:"mark" validate:"omitempty,min=1,max=200000"`
}

func (s *NoteService) handleSign(ctx context.Context, in signRequest) (noteStatusAnswer, error) {
	hash, err := hex.DecodeString(in.TextHash)
	if err != nil {
		return noteStatusAnswer{}, fault.InvalidFields(fault.Field{
			Field: "textHash", Code: "hash", Message: "must be 64 hexadecimal digits",
		})
	}
	signed, err := s.Sign(ctx, in.ID, in.IfMatch, Signature{Role: in.Role, TextHash: hash, Name: in.Name, Mark: in.Mark})
	return noteStatusAnswer{signed.ID, noteStatusBodyOf(signed)}, err
}

// evidenceBody is a signature with all that it binds.
type evidenceBody struct {
	signatureBody
	Address string `json:"address"` // The IP address from which it was signed.
	// The mark of a caregiver: a typed text, or a PNG image as a data URL.
	Mark      *string           `json:"mark" needs:"session:read-narrative"`
	Narrative *string           `json:"narrative" needs:"session:read-narrative"` // The signed narrative.
	Sections  *noteSectionsBody `json:"sections" needs:"session:read-narrative"`  // The signed texts of the sections.
}

// signaturesBody has all signatures of a session.
type signaturesBody struct {
	Signatures []evidenceBody `json:"signatures"` // The signatures, oldest first.
}

func (s *NoteService) handleSignatures(ctx context.Context, in byID) (signaturesBody, error) {
	found, err := s.Signatures(ctx, in.ID)
	b := signaturesBody{Signatures: []evidenceBody{}}
	for _, g := range found {
		b.Signatures = append(b.Signatures, evidenceBody{
			signatureBodyOf(g), g.Address, g.Mark, g.Text.Narrative, noteSectionsBodyOf(g.Text.Sections),
		})
	}
	return b, err
}

type conflictsRequest struct{ within }

// conflictCountBody is the number of sessions of a practitioner with one kind of conflict.
type conflictCountBody struct {
	Kind           ConflictKind  `json:"kind"`           // The kind of conflict.
	PractitionerID uuid.UUID     `json:"practitionerId"` // The leading practitioner.
	Sessions       int           `json:"sessions"`       // The number of sessions.
	Oldest         calendar.Date `json:"oldest"`         // The service date of the oldest of them.
	practitionerReference
}

// conflictCountsBody has the numbers of sessions with conflicts.
type conflictCountsBody struct {
	Conflicts []conflictCountBody `json:"conflicts"` // The numbers, by kind and practitioner.
}

func (s *NoteService) handleConflicts(ctx context.Context, in conflictsRequest) (conflictCountsBody, error) {
	found, err := s.ConflictCounts(ctx, in.days())
	b := conflictCountsBody{Conflicts: []conflictCountBody{}}
	for _, c := range found {
		b.Conflicts = append(b.Conflicts, conflictCountBody{
			Kind: c.Kind, PractitionerID: c.PractitionerID, Sessions: c.Sessions, Oldest: c.Oldest,
		})
	}
	return b, err
}
