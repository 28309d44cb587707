package appointments

import (
	"time"

	"github.com/google/uuid"
)

// CalendarEntry is time of practitioners without a patient. It is not billed.
type CalendarEntry struct {
	OrganizationID uuid.UUID
	ID             uuid.UUID
	Kind           EntryKind
	Title          *string
	Span           `gorm:"embedded"`
	LocationID     *uuid.UUID // of a drive: its destination
	Miles          *float64   // of a drive
	CreatedBy      uuid.UUID
	CreatedAt      time.Time

	Practitioners []uuid.UUID `gorm:"-"` // in the order in which they were named
}

// EntryKind is the kind of a calendar entry.
type EntryKind string

// The kinds.
const (
	EntryMeeting       EntryKind = "MEETING"
	EntryTraining      EntryKind = "TRAINING"
	EntryDrive         EntryKind = "DRIVE"
	EntryDocumentation EntryKind = "DOCUMENTATION"
	EntryLunch         EntryKind = "LUNCH"
	EntryOther         EntryKind = "OTHER"
)

// entryNames has the words for the kinds in texts and calendars.
var entryNames = map[EntryKind]string{
	EntryMeeting: "Meeting", EntryTraining: "Training", EntryDrive: "Drive", EntryDocumentation: "Documentation",
	EntryLunch: "Lunch", EntryOther: "Other time",
}

// EntryFilter narrows a list of calendar entries. Zero values do not filter.
type EntryFilter struct {
	Practitioners []uuid.UUID
	Kinds         []EntryKind
	Days          Days
}
