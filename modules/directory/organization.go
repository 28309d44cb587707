package directory

import (
	"time"

	"github.com/google/uuid"
)

// Organization is a practice. All other records belong to one.
type Organization struct {
	ID       uuid.UUID `json:"id" gorm:"primaryKey"`
	Name     string    `json:"name"` // The name of the practice.
	TimeZone string    `json:"timeZone"`
	// The number of hours before the start from which a cancellation is late.
	LateCancelHours int `json:"lateCancelHours"`
	// Whether units stay used after a no-show, for payers that pay for it.
	NoShowConsumes bool `json:"noShowConsumes"`
	// The number of hours after its end during which a session can be changed. Later, only
	// addenda are possible.
	SessionEditHours int `json:"sessionEditHours"`
	// The number of minutes before its booked start from which an appointment can be started.
	EarlyStartMinutes int `json:"earlyStartMinutes"`
	// The factor between actual and booked length above which a session must be confirmed.
	ConfirmLengthFactor float64 `json:"confirmLengthFactor"`
	// Whether the organization is disabled. If so, its users, keys and links have no access.
	Disabled  bool      `json:"disabled"`
	Version   int       `json:"version"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
}

// Revision returns the version, which the API returns as ETag.
func (o Organization) Revision() int { return o.Version }
