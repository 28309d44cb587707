package authorization

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/patch"
)

func (s *Service) impactRoutes() []httpx.Route {
	return []httpx.Route{{
		Method: http.MethodPost, Path: "/authorizations/:id/impact", Permission: PermissionRead, Limited: owners.Scopes(),
		ReadOnly: true, Reads: subject,
		Name: "previewAuthorizationChange", Summary: "List the bookings that a change would strand",
		Description: "Lists the SCHEDULED appointments that a change of the dates, the total or the status would strand: appointments " +
			"outside the new dates; all appointments from today on, if the authorization is cancelled; and, if the total is too " +
			"low, the latest appointments until the others fit. Nothing is written. Use `strandedBookings` in the change to cancel, " +
			"move or keep them.",
		Refusals: []*fault.Error{ErrNotFound},
		Endpoint: httpx.Handle(http.StatusOK, s.handleImpact),
	}}
}

type impactRequest struct {
	byID
	TotalUnits patch.Field[int]           `json:"totalUnits" validate:"omitempty,min=0,max=10000000"`
	StartDate  patch.Field[calendar.Date] `json:"startDate"`
	EndDate    patch.Field[calendar.Date] `json:"endDate"`
	Status     patch.Field[Status]        `json:"status" validate:"omitempty,oneof=PENDING ACTIVE CANCELLED"`
}

// strandedBookingBody is an appointment that the authorization would no longer cover.
type strandedBookingBody struct {
	AppointmentID   uuid.UUID     `json:"appointmentId"`
	StartTime       time.Time     `json:"startTime"`
	EndTime         time.Time     `json:"endTime"`
	ServiceDate     calendar.Date `json:"serviceDate"`
	Units           int           `json:"units"` // held on the authorization
	PractitionerIDs []uuid.UUID   `json:"practitionerIds"`
	Cause           Cause         `json:"cause"` // OUTSIDE_DATES, CANCELLED or UNITS
}

// impactBody is the effect of a change on booked appointments.
type impactBody struct {
	Bookings       []strandedBookingBody `json:"bookings"`       // the stranded bookings, sorted by start
	Units          int                   `json:"units"`          // held by the stranded bookings
	TotalUnits     int                   `json:"totalUnits"`     // after the change
	UsedUnits      int                   `json:"usedUnits"`      // before the change
	ScheduledUnits int                   `json:"scheduledUnits"` // before the change, including the stranded bookings
	MissingUnits   int                   `json:"missingUnits"`   // units that the total would lack even without the stranded bookings
	// Reservations outside the dates without a SCHEDULED appointment; settle these separately.
	OtherReservations int `json:"otherReservations"`
}

func (s *Service) handleImpact(ctx context.Context, in impactRequest) (impactBody, error) {
	i, err := s.Impact(ctx, in.ID, Change{TotalUnits: in.TotalUnits, StartDate: in.StartDate, EndDate: in.EndDate, Status: in.Status})
	b := impactBody{
		Bookings: i.bookings(), Units: i.Units, TotalUnits: i.Total, UsedUnits: i.Used, ScheduledUnits: i.Scheduled,
		MissingUnits: i.MissingUnits, OtherReservations: i.OtherOutside,
	}
	return b, err
}

func (i Impact) bookings() []strandedBookingBody {
	all := make([]strandedBookingBody, len(i.Bookings))
	for n, each := range i.Bookings {
		all[n] = strandedBookingBody{each.ID, each.Start, each.End, each.ServiceDate, each.Units, each.PractitionerIDs, each.Cause}
	}
	return all
}
