package appointments

import (
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/outbox"
	"omnirapeutic/platform/permission"
	"omnirapeutic/platform/scheduling"
)

// EventSigned is the type of the event that a session and its note were signed. Subscribers need
// [permission.SessionRead]. The data is a [SessionSigned].
const EventSigned = "session.signed"

// SessionSigned is a session after a signature. It leaves the system, so it has no clinical text and
// does not identify patients and caregivers.
type SessionSigned struct {
	SessionID       uuid.UUID   `json:"sessionId"`
	AppointmentID   uuid.UUID   `json:"appointmentId"`
	PractitionerIDs []uuid.UUID `json:"practitionerIds"` // The practitioners; the first one leads.
	SignatureID     uuid.UUID   `json:"signatureId"`
	// The role of the signer.
	Role scheduling.Signer `json:"role"`
	// The state of the note after the signature.
	State NoteState `json:"state"`
	// The required signatures that are still missing.
	MissingSigners []scheduling.Signer `json:"missingSigners"`
	SignedAt       time.Time           `json:"signedAt"` // The time of the signature.
	Version        int                 `json:"version"`  // The signed version of the session.
}

// signedMessage returns the event of a signature under a session, which has its status after it.
func signedMessage(s Session, g Signature) outbox.Message {
	return outbox.Message{
		OrganizationID: s.OrganizationID, Type: EventSigned, SubjectID: s.ID,
		Permission: permission.SessionRead, OccurredAt: g.SignedAt,
		Payload: SessionSigned{
			SessionID: s.ID, AppointmentID: s.AppointmentID, PractitionerIDs: s.Practitioners,
			SignatureID: g.ID, Role: g.Role, State: s.Note.State,
			MissingSigners: append([]scheduling.Signer{}, s.Note.MissingSigners...),
			SignedAt:       g.SignedAt, Version: g.SessionVersion,
		},
	}
}
