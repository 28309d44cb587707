package appointments

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/command"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/permission"
)

// devicePositionBody is a point on Earth (WGS 84).
type devicePositionBody struct {
	Latitude  float64 `json:"latitude" validate:"min=-90,max=90"`    // The latitude in degrees, from -90 to 90.
	Longitude float64 `json:"longitude" validate:"min=-180,max=180"` // The longitude in degrees, from -180 to 180.
}

func (b *devicePositionBody) point() *Coordinates {
	if b == nil {
		return nil
	}
	return new(Coordinates(*b))
}

type clockOutRequest struct {
	byID
	command.Keyed
	// The coordinates of the device.
	Coordinates *devicePositionBody `json:"coordinates"`
}

func (s *BookingService) handleClockOut(ctx context.Context, in clockOutRequest) (appointmentBody, error) {
	return answerOf(s.ClockOut(ctx, in.ID, in.Coordinates.point(), in.Key))
}

func (s *SessionService) visitRoutes() []httpx.Route {
	return []httpx.Route{{
		Method: http.MethodGet, Path: "/reports/visits",
		Permission: permission.SessionRead, RecordScopes: sessionOwners.Scopes(), Reads: subjectSession,
		Name: "exportVisits", Summary: "Export visits for electronic visit verification",
		Description: "Returns one row per session and patient with the six facts of section 12006 of the 21st Century Cures " +
			"Act: service, client, date, place, provider, and start and end. The clock-in and the clock-out are added if " +
			"there were any. Voided sessions and absent patients are left out. Sorted by start. A page has `limit` sessions. " +
			"JSON, or CSV with `Accept: text/csv` or `format=csv`.",
		Eventual: true, Endpoint: httpx.HandleTable(s.handleVisits),
	}}
}

// visitBody is a visit: a session with one of its patients.
type visitBody struct {
	SessionID   uuid.UUID     `json:"sessionId"`
	ServiceCode string        `json:"serviceCode"` // The code of the service.
	PatientID   uuid.UUID     `json:"patientId"`
	ServiceDate calendar.Date `json:"serviceDate"`
	// The place-of-service code of CMS. Null: not known.
	PlaceOfService *string `json:"placeOfService"`
	// The location. Null: none.
	LocationID *uuid.UUID `json:"locationId"`
	// The practitioner who rendered the service.
	PractitionerID uuid.UUID `json:"practitionerId"`
	StartTime      time.Time `json:"startTime"` // The time at which the service began for the patient.
	EndTime        time.Time `json:"endTime"`   // The time at which the service ended for the patient.
	// The time of the clock-in. Null: there was none.
	ClockedInAt *time.Time `json:"clockedInAt"`
	// The latitude of the clock-in in degrees.
	ClockInLatitude *float64 `json:"clockInLatitude"`
	// The longitude of the clock-in in degrees.
	ClockInLongitude *float64 `json:"clockInLongitude"`
	// The time of the clock-out. Null: there was none.
	ClockedOutAt *time.Time `json:"clockedOutAt"`
	// The latitude of the clock-out in degrees.
	ClockOutLatitude *float64 `json:"clockOutLatitude"`
	// The longitude of the clock-out in degrees.
	ClockOutLongitude *float64 `json:"clockOutLongitude"`
	visitReferences
}

func visitBodyOf(v Visit) visitBody {
	span := v.Span
	if v.Patient.Own != nil {
		span = *v.Patient.Own
	}
	return visitBody{
		SessionID: v.ID, ServiceCode: v.Code, PatientID: v.Patient.PatientID, ServiceDate: v.ServiceDate,
		PlaceOfService: v.PlaceOfService, LocationID: v.LocationID, PractitionerID: v.Practitioners[0],
		StartTime: span.Start, EndTime: span.End, ClockedInAt: v.ClockedInAt, ClockInLatitude: v.ClockInLatitude,
		ClockInLongitude: v.ClockInLongitude, ClockedOutAt: v.ClockedOutAt, ClockOutLatitude: v.ClockOutLatitude,
		ClockOutLongitude: v.ClockOutLongitude,
	}
}

type visitsRequest struct {
	httpx.TableQuery
	within
	participantsQuery
}

func (s *SessionService) handleVisits(ctx context.Context, in visitsRequest) (httpx.Page[visitBody], error) {
	page, err := byStart(in.PageQuery, "")
	if err != nil {
		return httpx.Page[visitBody]{}, err
	}
	sessions, visits, err := s.Visits(ctx, SessionFilter{
		Participants: in.participants(), Voided: new(false), Days: in.days(), Page: page,
	})
	if err != nil {
		return httpx.Page[visitBody]{}, err
	}
	ids := httpx.PageOf(in.PageQuery, sessions, func(s Session) uuid.UUID { return s.ID },
		func(s Session) any { return positionOf(s.Start, s.ID) })
	rows := httpx.Page[visitBody]{NextCursor: ids.NextCursor}
	for _, id := range ids.Data {
		rows.Data = append(rows.Data, httpx.Bodies(visits[id], visitBodyOf)...)
	}
	return rows, nil
}
