package appointments

import (
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
)

// Delivered is a session as billing sees it: without clinical text.
type Delivered struct {
	ID            uuid.UUID
	AppointmentID uuid.UUID
	ServiceCodeID uuid.UUID
	Version       int
	Span          `gorm:"embedded"`
	ServiceDate   calendar.Date
	VoidedAt      *time.Time
	ExportedAt    *time.Time // set while a payer has a claim for it
	OverlapReason *string    // why it was accepted although it overlaps another session

	Practitioners  []uuid.UUID      `gorm:"-"` // the first one renders the service
	SupervisorID   *uuid.UUID       `gorm:"-"`
	PlaceOfService string           `gorm:"-"` // empty: unknown
	Modifiers      []string         `gorm:"-"`
	Patients       []SessionPatient `gorm:"-"`
	Conflicts      []string         `gorm:"-"` // the reasons that keep it from being billed
}

// CoveredUnits are the units of a version of a session that an authorization covers.
type CoveredUnits struct {
	OrganizationID  uuid.UUID
	AuthorizationID uuid.UUID
	SessionID       uuid.UUID
	Version         int
	Units           int
}

// The conflicts that keep a session from being billed.
const (
	conflictUnauthorized = "unauthorized" // units that no authorization covers
	conflictOverlap      = "overlap"      // it overlaps another session
)

// conflictsOf returns the reasons that keep a session from being billed.
func conflictsOf(d Delivered) []string {
	var conflicts []string
	if d.OverlapReason != nil {
		conflicts = append(conflicts, conflictOverlap)
	}
	for _, p := range d.Patients {
		if p.UnauthorizedUnits > 0 {
			return append(conflicts, conflictUnauthorized)
		}
	}
	return conflicts
}
