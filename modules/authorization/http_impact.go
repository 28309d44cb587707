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
		Method: http.MethodPost, Path: "/authorizations/:id/impact", Permission: PermissionRead, Limited: owners.Scopes(), ReadOnly: true, Reads: subject,
		Name: "previewAuthorizationChange", Summary: "List the bookings that a change would strand",
		Description: "What a change of the dates, the total or the status would mean for SCHEDULED appointments on the authorization: those outside the new dates; from today on all of them, if it is cancelled; and where the total is not enough, the latest ones until the others fit. Nothing is written. `strandedBookings` of the change says what becomes of them.",
		Refusals:    []*fault.Error{ErrNotFound},
		Endpoint:    httpx.Handle(http.StatusOK, s.handleImpact),
	}}
}

type impactRequest struct {
	byID
	TotalUnits patch.Field[int]           `json:"totalUnits" validate:"omitempty,min=0,max=10000000"`
	StartDate  patch.Field[calendar.Date] `json:"startDate"`
	EndDate    patch.Field[calendar.Date] `json:"endDate"`
	Status     patch.Field[Status]        `json:"status" validate:"omitempty,oneof=PENDING ACTIVE CANCELLED"`
}

// strandedBookingBody is an appointment that would not be covered any more.
type strandedBookingBody struct {
	AppointmentID   uuid.UUID     `json:"appointmentId"`
	StartTime       time.Time     `json:"startTime"`
	EndTime         time.Time     `json:"endTime"`
	ServiceDate     calendar.Date `json:"serviceDate"`
	Units           int           `json:"units"` // which it holds of the authorization
	PractitionerIDs []uuid.UUID   `json:"practitionerIds"`
	Cause           Cause         `json:"cause"` // OUTSIDE_DATES, CANCELLED or UNITS
}

// impactBody is what a change would mean for what is booked.
type impactBody struct {
	Bookings          []strandedBookingBody `json:"bookings"`          // those that would be stranded, in the order of their times
	Units             int                   `json:"units"`             // which they hold
	TotalUnits        int                   `json:"totalUnits"`        // as it would be
	UsedUnits         int                   `json:"usedUnits"`         // as it is
	ScheduledUnits    int                   `json:"scheduledUnits"`    // as it is, those bookings included
	MissingUnits      int                   `json:"missingUnits"`      // which the total would lack even without those bookings
	OtherReservations int                   `json:"otherReservations"` // outside the dates, and of no appointment that is still to take place: to be settled by themselves
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
