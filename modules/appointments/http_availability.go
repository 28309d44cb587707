package appointments

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/permission"
)

func (s *AvailabilityService) availabilityRoutes() []httpx.Route {
	const path = "/practitioners/:id/availability"
	return []httpx.Route{
		{
			Method: http.MethodGet, Path: path, Permission: permission.AvailabilityRead, RecordScopes: identity.Self,
			Name: "getAvailability", Summary: "Get a practitioner's availability",
			Description: "Returns the weekly hours, the exceptions for certain dates, and the buffers around appointments, in " +
				"wall-clock time of the organization's time zone. If no availability has been set, all lists are empty and " +
				"`version` is 0.",
			Refusals: []*fault.Error{ErrNoPractitioner},
			Endpoint: httpx.Handle(http.StatusOK, s.handleAvailability),
		},
		{
			Method: http.MethodPut, Path: path, Permission: permission.AvailabilityChange, RecordScopes: identity.Self,
			Name: "setAvailability", Summary: "Set a practitioner's availability",
			Description: "Replaces the practitioner's availability. Hours go from a time of day to a later one; split hours " +
				"that cross midnight into two days. An exception replaces the weekly hours of its dates by its own hours, or by " +
				"none. Availability determines openings and causes warnings. It never refuses a booking, and does not affect " +
				"existing appointments.",
			Refusals: []*fault.Error{ErrNoPractitioner},
			Endpoint: httpx.Handle(http.StatusOK, s.handleSetAvailability),
		},
		{
			Method: http.MethodGet, Path: "/practitioners/:id/openings",
			Permission: permission.AvailabilityRead, RecordScopes: identity.Self,
			Name: "listOpenings", Summary: "Find free times of a practitioner",
			Description: "Times of `minutes` on the days `from` to `to` (both included, at most 31) at which the practitioner " +
				"could be booked: within their hours, clear of their appointments and buffers, not in the past. They start on " +
				"these days at each multiple of `step` minutes since midnight, may end on the next day, and may overlap each " +
				"other. With `appointmentId` they are times to which that appointment could move; its own time is treated as " +
				"free. Nothing is reserved: another booking may take the time first.",
			Refusals: []*fault.Error{ErrNoPractitioner, ErrNotFound},
			Endpoint: httpx.Handle(http.StatusOK, s.handleOpenings),
		},
	}
}

// availabilityBody is a practitioner's availability in API responses.
type availabilityBody struct {
	PractitionerID uuid.UUID `json:"practitionerId"`
	Availability
	// The number of changes. It is 0 if no availability has been set.
	Version int `json:"version"`
	practitionerReference
}

// Revision returns the version, which the API sends as the ETag.
func (b availabilityBody) Revision() int { return b.Version }

func availabilityBodyOf(t Timetable) availabilityBody {
	b := availabilityBody{PractitionerID: t.PractitionerID, Availability: t.Availability, Version: t.Version}
	b.Weekly = append([]WeeklyHours{}, b.Weekly...)
	b.Exceptions = append([]Exception{}, b.Exceptions...)
	for i, e := range b.Exceptions {
		b.Exceptions[i].Hours = append([]Hours{}, e.Hours...)
	}
	return b
}

func (s *AvailabilityService) handleAvailability(ctx context.Context, in byID) (availabilityBody, error) {
	t, err := s.Availability(ctx, in.ID)
	return availabilityBodyOf(t), err
}

type availabilityRequest struct {
	byID
	matching
	Availability
}

func (s *AvailabilityService) handleSetAvailability(
	ctx context.Context, in availabilityRequest,
) (availabilityBody, error) {
	t, err := s.SetAvailability(ctx, in.ID, in.IfMatch, in.Availability)
	return availabilityBodyOf(t), err
}

type openingsRequest struct {
	byID
	From    calendar.Date `query:"from" validate:"required"`                   // The first day.
	To      calendar.Date `query:"to" validate:"required"`                     // The last day.
	Minutes int           `query:"minutes" validate:"required,min=1,max=1440"` // The length of an opening in minutes.
	// The distance of possible starts in minutes. The default is 15.
	Step int `query:"step" validate:"omitempty,min=5,max=1440"`
	// The appointment to move. Its own time is treated as free.
	AppointmentID uuid.UUID `query:"appointmentId"`
}

// openingBody is a free time.
type openingBody struct {
	StartTime time.Time `json:"startTime"`
	EndTime   time.Time `json:"endTime"`
}

// openingsBody is the free times of a practitioner.
type openingsBody struct {
	// Whether availability has been set for the practitioner. If not, there are no openings.
	AvailabilityKnown bool          `json:"availabilityKnown"`
	Data              []openingBody `json:"data"` // The openings, sorted by start.
}

const defaultStep = 15

func (s *AvailabilityService) handleOpenings(ctx context.Context, in openingsRequest) (openingsBody, error) {
	if in.Step == 0 {
		in.Step = defaultStep
	}
	found, err := s.Openings(ctx, OpeningsQuery{
		PractitionerID: in.ID, First: in.From, Last: in.To,
		Length: time.Duration(in.Minutes) * time.Minute, Step: time.Duration(in.Step) * time.Minute,
		AppointmentID: in.AppointmentID,
	})
	b := openingsBody{found.Known, []openingBody{}}
	for _, span := range found.Spans {
		b.Data = append(b.Data, openingBody{span.Start, span.End})
	}
	return b, err
}
