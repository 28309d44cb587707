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
	"omnirapeutic/platform/permission"
)

func (s *SessionService) sessionRoutes() []httpx.Route {
	return []httpx.Route{
		{
			Method: http.MethodGet, Path: "/sessions",
			Permission: permission.SessionRead, RecordScopes: sessionOwners.Scopes(), Reads: subjectSession,
			Name: "listSessions", Summary: "List sessions",
			Description: "Sessions that took place, sorted by actual start, on the days `from` to `to` (both included). A " +
				"session that crosses midnight is on both of its days, and counts on its `serviceDate`. With `unauthorized=true` " +
				"it is the exceptions list: sessions with units that no authorization covers. With `conflict` it is the worklist " +
				"of sessions that cannot be billed, which end by themselves: `missing-note`, `unsigned`, `late`, " +
				"`unauthorized`, `overlap`, `cap` (more units than a cap of the authorization) and `duration` (too short for a " +
				"unit). With `awaitingMySignature=true` it has the complete notes that lack the caller's signature. Both worklists " +
				"have the last 366 days unless `from` is given.",
			Eventual: true, Endpoint: httpx.Handle(http.StatusOK, s.handleSessions),
		},
		{
			Method: http.MethodGet, Path: "/sessions/:id",
			Permission: permission.SessionRead, RecordScopes: sessionOwners.Scopes(), Reads: subjectSession,
			Name: "getSession", Summary: "Get a session",
			Description: "Returns one session with its actual time, units, narrative and addenda.",
			Refusals:    []*fault.Error{ErrSessionNotFound},
			Endpoint:    httpx.Handle(http.StatusOK, s.handleSession),
		},
		{
			Method: http.MethodPost, Path: "/sessions/:id/addenda",
			Permission: permission.SessionChange, RecordScopes: sessionOwners.Scopes(),
			Name: "addAddendum", Summary: "Add a signed addendum to a session",
			Description: "Adds a text that is signed by the caller and can never be changed. Possible at any time. Its hash " +
				"is the SHA-256 of the session's id, the signer's id, the time in microseconds since 1970 and the text, each " +
				"followed by a line break.",
			Refusals: []*fault.Error{ErrSessionNotFound},
			Endpoint: httpx.Handle(http.StatusCreated, s.handleAddendum),
		},
	}
}

// sessionPatientBody is a patient's part in a session.
type sessionPatientBody struct {
	PatientID       uuid.UUID `json:"patientId"`
	AuthorizationID uuid.UUID `json:"authorizationId"`
	Minutes         int       `json:"minutes"` // The minutes of the actual time.
	Units           int       `json:"units"`   // The units of the actual time.
	// The number of units that the authorization did not cover.
	UnauthorizedUnits int          `json:"unauthorizedUnits"`
	UnitMinutes       int          `json:"unitMinutes"` // The length of a unit in minutes.
	Rounding          roundingBody `json:"rounding"`    // The rounding rule that was used.
	// The sequence number of the authorization's ledger entry that consumed the units. Null if none was
	// consumed.
	LedgerEntry *int64 `json:"ledgerEntry"`
	// The modifiers of the claim line, in their order.
	Modifiers []string `json:"modifiers"`
	Attended  bool     `json:"attended"` // Whether the patient came.
	// The time at which the patient came. Null if the patient was absent.
	StartTime *time.Time `json:"startTime"`
	// The time at which the patient left. Null if the patient was absent.
	EndTime *time.Time `json:"endTime"`
	participantReferences
}

// addendumBody is a signed addendum to a session.
type addendumBody struct {
	ID       uuid.UUID `json:"id"`
	Text     *string   `json:"text" needs:"session:read-narrative"` // The text of the addendum.
	SignedBy uuid.UUID `json:"signedBy"`                            // The user who signed the addendum.
	SignedAt time.Time `json:"signedAt"`                            // The time of the signature.
	// The hash over the session, the signer, the time and the text.
	Hash string `json:"hash"`
}

// sessionBody is a session in API responses.
type sessionBody struct {
	ID             uuid.UUID `json:"id"`
	OrganizationID uuid.UUID `json:"organizationId"`
	AppointmentID  uuid.UUID `json:"appointmentId"`
	// The service of the appointment. Only in answers of reads.
	ServiceCodeID  *uuid.UUID `json:"serviceCodeId,omitempty"`
	PatientID      uuid.UUID  `json:"patientId"`      // The first of the patients.
	PractitionerID uuid.UUID  `json:"practitionerId"` // The first of the practitioners.
	Units          int        `json:"units"`          // The units of the first patient.
	// The number of units of all patients that no authorization covers.
	UnauthorizedUnits int                  `json:"unauthorizedUnits"`
	StartTime         time.Time            `json:"startTime"`
	EndTime           time.Time            `json:"endTime"`
	ServiceDate       calendar.Date        `json:"serviceDate"`
	Patients          []sessionPatientBody `json:"patients"` // The patients with their units.
	// The practitioners. The first one leads.
	PractitionerIDs []uuid.UUID `json:"practitionerIds"`
	Narrative       *string     `json:"narrative" needs:"session:read-narrative"` // The narrative of the session.
	// The texts of the sections of the note. Null if it has none.
	NoteSections *noteSectionsBody `json:"noteSections" needs:"session:read-narrative"`
	// The state of the note. Only in answers of reads.
	Note *noteStatusBody `json:"note,omitempty"`
	// The conflicts that keep the session from being billed. Only in answers of reads.
	Conflicts []ConflictKind `json:"conflicts,omitempty"`
	Addenda   []addendumBody `json:"addenda"` // The signed addenda, oldest first.
	CreatedBy uuid.UUID      `json:"createdBy"`
	// The change that made this version.
	Change SessionChange `json:"change"`
	// The user who made this version.
	ChangedBy    uuid.UUID `json:"changedBy"`
	ChangeReason *string   `json:"changeReason" needs:"session:read-narrative"` // The reason of a correction or a void.
	// The time at which the session was voided. A voided session has no units.
	VoidedAt *time.Time `json:"voidedAt"`
	// The reason why an overlap with another session was accepted. Null if there was none.
	OverlapReason *string   `json:"overlapReason" needs:"session:read-narrative"`
	Version       int       `json:"version"`
	CreatedAt     time.Time `json:"createdAt"`
	UpdatedAt     time.Time `json:"updatedAt"`
	placeBody
	sessionReferences
}

// Location returns the path of the session.
func (b sessionBody) Location() string { return "/api/v1/sessions/" + b.ID.String() }

// Revision returns the version, which the API sends as the ETag.
func (b sessionBody) Revision() int { return b.Version }

func sessionBodyOf(s Session) sessionBody {
	b := sessionBody{
		ID: s.ID, OrganizationID: s.OrganizationID, AppointmentID: s.AppointmentID, UnauthorizedUnits: s.UnauthorizedUnits,
		StartTime: s.Start, EndTime: s.End, ServiceDate: s.ServiceDate, PractitionerIDs: s.Practitioners,
		Narrative: s.Narrative, NoteSections: noteSectionsBodyOf(s.NoteSections),
		Addenda: []addendumBody{}, CreatedBy: s.CreatedBy, Version: s.Version, CreatedAt: s.CreatedAt, UpdatedAt: s.UpdatedAt,
		Change: s.Change, ChangedBy: s.CreatedBy, ChangeReason: s.ChangeReason, VoidedAt: s.VoidedAt,
		OverlapReason: s.OverlapReason, ServiceCodeID: s.Service,
		placeBody: placeBodyOf(s.Place),
	}
	if s.ChangedBy != nil {
		b.ChangedBy = *s.ChangedBy
	}
	if s.Note != nil {
		b.Note, b.Conflicts = new(noteStatusBodyOf(s)), s.Note.Conflicts
	}
	for _, p := range s.Patients {
		part := sessionPatientBody{
			PatientID: p.PatientID, AuthorizationID: p.AuthorizationID, Minutes: p.Minutes, Units: p.Units,
			UnauthorizedUnits: p.UnauthorizedUnits, UnitMinutes: p.UnitMinutes, Rounding: roundingBodyOf(p.Rounding),
			LedgerEntry: p.Consumption, Attended: p.Attended, Modifiers: p.Modifiers.List(),
		}
		if p.Attended {
			own := s.Span
			if p.Own != nil {
				own = *p.Own
			}
			part.StartTime, part.EndTime = &own.Start, &own.End
		}
		b.Patients = append(b.Patients, part)
	}
	for _, a := range s.Addenda {
		b.Addenda = append(b.Addenda, addendumBody{a.ID, &a.Text, a.SignedBy, a.SignedAt, hex.EncodeToString(a.Hash)})
	}
	if len(b.Patients) > 0 { // it has no patients if the request failed
		b.PatientID, b.PractitionerID, b.Units = b.Patients[0].PatientID, b.PractitionerIDs[0], b.Patients[0].Units
	}
	return b
}

type sessionsRequest struct {
	httpx.PageQuery
	within
	participantsQuery
	Sort string `query:"sort" validate:"omitempty,oneof=startTime -startTime"`
	// The services of the sessions.
	ServiceCodeID []uuid.UUID `query:"serviceCodeId" validate:"max=200"`
	// The locations of the sessions.
	LocationID    []uuid.UUID `query:"locationId" validate:"max=200"`
	AppointmentID uuid.UUID   `query:"appointmentId"`
	// Whether the sessions have units that no authorization covers.
	Unauthorized *bool `query:"unauthorized"`
	// Whether the sessions are voided.
	Voided *bool `query:"voided"`
	// The kinds of conflicts of which the sessions have at least one.
	Conflict []ConflictKind `query:"conflict" validate:"dive,oneof=cap duration late missing-note overlap unauthorized unsigned"`
	// Whether the sessions lack only signatures, among them the caller's.
	AwaitingMySignature *bool `query:"awaitingMySignature"`
}

func (s *SessionService) handleSessions(ctx context.Context, in sessionsRequest) (httpx.Page[sessionBody], error) {
	page, err := byStart(in.PageQuery, in.Sort)
	if err != nil {
		return httpx.Page[sessionBody]{}, err
	}
	found, err := s.Sessions(ctx, SessionFilter{
		Participants: in.participants(), ServiceCodes: in.ServiceCodeID, Locations: in.LocationID,
		AppointmentID: in.AppointmentID,
		Unauthorized:  in.Unauthorized, Voided: in.Voided, Conflicts: in.Conflict,
		Awaiting: in.AwaitingMySignature, Days: in.days(), Page: page,
	})
	return httpx.PageOf(in.PageQuery, found, sessionBodyOf, func(s Session) any { return positionOf(s.Start, s.ID) }), err
}

func (s *SessionService) handleSession(ctx context.Context, in byID) (sessionBody, error) {
	found, err := s.Session(ctx, in.ID)
	return sessionBodyOf(found), err
}

type addendumRequest struct {
	byID
	Text string `json:"text" validate:"required,max=20000"` // The text of the addendum.
}

func (s *SessionService) handleAddendum(ctx context.Context, in addendumRequest) (sessionBody, error) {
	found, err := s.AddAddendum(ctx, in.ID, in.Text)
	return sessionBodyOf(found), err
}
