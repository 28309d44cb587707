package directory

import (
	"time"

	"github.com/google/uuid"
)

// Organization is a practice. All other records belong to one.
type Organization struct {
	ID                  uuid.UUID `gorm:"primaryKey"`
	Name                string
	TimeZone            string
	LateCancelHours     int     // before the start; from then on a cancellation is late
	NoShowConsumes      bool    // units stay used after a no-show
	EarlyStartMinutes   int     // before the booked start; from then on an appointment can be started
	ConfirmLengthFactor float64 // of actual and booked length; above it a session must be confirmed
	Disabled            bool    // its users, keys and links have no access
	Version             int
	CreatedAt           time.Time
	UpdatedAt           time.Time
}
