package directory

import (
	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
)

// Rate is the price of a unit of a service for a payer. It applies until the next rate begins.
type Rate struct {
	Record
	PayerID       uuid.UUID
	ServiceCodeID uuid.UUID
	StartsOn      calendar.Date // the first day
	CentsPerUnit  int           // in US cents
}

// RateFilter narrows a list of rates. Zero values match every rate.
type RateFilter struct {
	Page
	PayerID uuid.UUID
}
