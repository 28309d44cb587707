package appointments

import (
	"time"

	"github.com/google/uuid"
)

// Feed is a link from which calendar programs read the appointments of one person.
type Feed struct {
	OrganizationID uuid.UUID
	ID             uuid.UUID
	PractitionerID *uuid.UUID // nil: a patient's feed
	PatientID      *uuid.UUID // nil: a practitioner's feed
	TokenHash      []byte
	CreatedBy      uuid.UUID
	CreatedAt      time.Time
}

// owner returns the person whose appointments the feed has.
func (f Feed) owner() uuid.UUID {
	if f.PractitionerID != nil {
		return *f.PractitionerID
	}
	return *f.PatientID
}
