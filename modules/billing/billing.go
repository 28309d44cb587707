// Package billing hands delivered sessions to payers: it computes claim lines, exports them as files,
// and reconciles them with the ledger of units.
//
// A line is computed from the present version of its session until it is exported. Exports are
// stored and never change. So the state of every line follows from the sessions and the exports, and
// other modules need not know this one.
package billing

import (
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
)

// State is the state of a claim line.
type State string

// The states.
const (
	Blocked    State = "BLOCKED"    // something is missing, or must be decided first
	Ready      State = "READY"      // the next export takes it
	Exported   State = "EXPORTED"   // it is in a file
	Superseded State = "SUPERSEDED" // exported, but its claim must be replaced or has been
	Retracted  State = "RETRACTED"  // exported, but the export was retracted
)

// Frequency is the claim frequency code of a claim (X12 005010X222A1, loop 2300, CLM05-3; code source
// 235, NUBC).
type Frequency string

// The frequency codes in use. A replacement replaces the whole claim.
const (
	Original    Frequency = "1"
	Replacement Frequency = "7"
	Void        Frequency = "8"
)

// Codes of reasons that block a line, in addition to the conflicts of sessions.
const (
	reasonMissing       = "missing"        // a field is missing
	reasonControlNumber = "control-number" // the payer's control number of the claim is missing
	reasonClaim         = "claim-blocked"  // another line of the same claim is blocked
)

// Reason is a reason that blocks a line.
type Reason struct {
	Code  string
	Field string // of a missing field, such as "practitioner.npi"
}

// Line is the service of one session for one patient, as it is billed.
type Line struct {
	ID              uuid.UUID
	SessionID       uuid.UUID
	SessionVersion  int
	PatientID       uuid.UUID
	AuthorizationID uuid.UUID
	InsuranceID     *uuid.UUID
	PayerID         *uuid.UUID
	ServiceDate     calendar.Date
	MemberNumber    string
	AuthNumber      string
	ServiceCodeID   uuid.UUID // zero for an exported line
	Code            string
	Modifiers       []string
	PlaceOfService  string
	Units           int
	CoveredUnits    int // the units that the ledger counts as consumed
	Minutes         int
	RenderingID     uuid.UUID
	SupervisingID   *uuid.UUID
	ChargeCents     int
	Diagnoses       []string // ICD-10 codes, the principal one first

	Frequency Frequency
	ClaimID   *uuid.UUID // the claim that it is in, or that it replaces or voids
	ExportID  *uuid.UUID // of an exported line
	State     State
	Reasons   []Reason // why it is blocked
}

// key identifies the service of a line in all versions of its session.
type key struct{ session, patient uuid.UUID }

func (l Line) key() key { return key{l.SessionID, l.PatientID} }

// Claim is a claim in an export. It has the lines of one authorization number.
type Claim struct {
	OrganizationID uuid.UUID
	ID             uuid.UUID
	ExportID       uuid.UUID
	Number         string // for the payer, unique in the organization (CLM01)
	PatientID      uuid.UUID
	InsuranceID    uuid.UUID
	AuthNumber     string
	Frequency      Frequency
	ReplacesID     *uuid.UUID // the claim that it replaces or voids
	ControlNumber  *string    // the payer's number of this claim, entered after the payer has accepted it
	ChargeCents    int

	Lines     []Line `gorm:"-"`
	PayerID   uuid.UUID
	Retracted bool   `gorm:"-"` // its export was retracted
	Replaces  string `gorm:"-"` // the payer's control number of the claim that it replaces or voids
}

// maxClaimLines is the maximum number of service lines of a claim (X12 005010X222A1, loop 2400, repeat
// 50).
const maxClaimLines = 50

// Export is a set of files for a payer. Only its retraction changes it.
type Export struct {
	OrganizationID uuid.UUID
	ID             uuid.UUID
	Number         int // of the organization, from 1; the control number of the interchange (ISA13)
	PayerID        uuid.UUID
	From           calendar.Date `gorm:"column:period_starts_on"`
	To             calendar.Date `gorm:"column:period_ends_on"`
	ClaimCount     int
	LineCount      int
	Units          int
	ChargeCents    int
	CreatedBy      uuid.UUID
	CreatedAt      time.Time
	RetractedBy    *uuid.UUID
	RetractedAt    *time.Time
	RetractReason  *string

	Files []File `gorm:"-"`
}

// Format is the format of a file.
type Format string

// The formats.
const (
	CSV  Format = "CSV"
	JSON Format = "JSON"
	X12  Format = "X12" // ASC X12 837 professional, 005010X222A1
)

// File is a file of an export.
type File struct {
	Format  Format
	Content string
	Hash    []byte // SHA-256 of the content
}
