package appointments

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/permission"
)

func (s *ScheduleService) scheduleRoutes() []httpx.Route {
	return []httpx.Route{
		{
			Method: http.MethodGet, Path: "/appointments",
			Permission: permission.AppointmentRead, RecordScopes: appointmentOwners.Scopes(),
			Reads: subjectAppointment,
			Name:  "listAppointments", Summary: "List appointments",
			Description: "Appointments sorted by start, on the days `from` to `to` (both included, in the organization's time " +
				"zone). An appointment that crosses midnight is on both of its days. Several values of a " +
				"filter mean any of them.",
			Eventual: true, Endpoint: httpx.Handle(http.StatusOK, s.handleList),
		},
		{
			Method: http.MethodGet, Path: "/appointments/:id",
			Permission: permission.AppointmentRead, RecordScopes: appointmentOwners.Scopes(),
			Reads: subjectAppointment,
			Name:  "getAppointment", Summary: "Get an appointment",
			Description: "Returns one appointment with its participants and the units that it holds. A cancelled " +
				"appointment or a no-show has its `missedTime`: the make-ups, and the time left to make up.",
			Refusals: []*fault.Error{ErrNotFound},
			Endpoint: httpx.Handle(http.StatusOK, s.handleGet),
		},
	}
}

// within has the days of a list.
type within struct {
	From calendar.Date `query:"from"`                                  // The first day.
	To   calendar.Date `query:"to" validate:"omitempty,gtefield=From"` // The last day.
}

func (w within) days() Days { return Days{w.From, w.To} }

// participantsQuery has the participants of a list, one of each kind or several.
type participantsQuery struct {
	PatientID       []uuid.UUID `query:"patientId" validate:"max=200"`       // One of these patients takes part.
	PractitionerID  []uuid.UUID `query:"practitionerId" validate:"max=200"`  // One of these practitioners takes part.
	AuthorizationID []uuid.UUID `query:"authorizationId" validate:"max=200"` // One of these authorizations is used.
}

func (q participantsQuery) participants() Participants {
	return Participants{q.PatientID, q.PractitionerID, q.AuthorizationID}
}

type listRequest struct {
	httpx.PageQuery
	within
	participantsQuery
	Sort string `query:"sort" validate:"omitempty,oneof=startTime -startTime"`
	// The services of the appointments.
	ServiceCodeID []uuid.UUID `query:"serviceCodeId" validate:"max=200"`
	// The locations of the appointments.
	LocationID []uuid.UUID `query:"locationId" validate:"max=200"`
	// The series of the appointments.
	SeriesID uuid.UUID `query:"seriesId"`
	// The statuses of the appointments.
	Status []string `query:"status" validate:"dive,oneof=SCHEDULED IN_PROGRESS COMPLETED CANCELLED NO_SHOW"`
}

// byStart returns the page of a list that is sorted by start.
func byStart(q httpx.PageQuery, sort string) (db.Keyset, error) {
	page := db.Keyset{
		Column: "starts_at", Expression: "CAST(%s AS timestamptz)", Descending: sort == "-startTime",
		Limit: q.Size() + 1,
	}
	return page, q.DecodeCursor(&page.After)
}

func positionOf(start time.Time, id uuid.UUID) any {
	return db.Position{Value: start.UTC().Format(time.RFC3339Nano), ID: id}
}

func (s *ScheduleService) handleList(ctx context.Context, in listRequest) (httpx.Page[appointmentBody], error) {
	page, err := byStart(in.PageQuery, in.Sort)
	if err != nil {
		return httpx.Page[appointmentBody]{}, err
	}
	f := Filter{
		Participants: in.participants(), ServiceCodes: in.ServiceCodeID, Locations: in.LocationID,
		SeriesID: in.SeriesID, Days: in.days(), Page: page,
	}
	for _, status := range in.Status {
		f.Statuses = append(f.Statuses, Status(status))
	}
	found, err := s.List(ctx, f)
	return httpx.PageOf(in.PageQuery, found, bodyOf, func(a Appointment) any { return positionOf(a.Start, a.ID) }), err
}

func (s *ScheduleService) handleGet(ctx context.Context, in byID) (appointmentBody, error) {
	a, err := s.Get(ctx, in.ID)
	b := bodyOf(a)
	b.MissedTime = missedTimeBodyOf(a)
	return b, err
}
