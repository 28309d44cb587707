package appointments

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/command"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/permission"
)

func (s *EntryService) entryRoutes() []httpx.Route {
	return []httpx.Route{
		{
			Method: http.MethodPost, Path: "/calendar-entries", Permission: permission.AppointmentBook,
			Name: "createCalendarEntry", Summary: "Enter time without a patient",
			Description: "Enters a meeting, a training, a drive, documentation, lunch or other time of one or more " +
				"practitioners. It is not billed. During that time they cannot be booked, and have no openings. A drive can " +
				"have its `miles`. If a practitioner is not free, `reasons` has each conflict.",
			Refusals: []*fault.Error{ErrPractitionerOverlap, ErrPractitionerBusy},
			Endpoint: httpx.Handle(http.StatusCreated, s.handleCreateEntry),
		},
		{
			Method: http.MethodGet, Path: "/calendar-entries", Permission: permission.AppointmentRead,
			RecordScopes: entryOwners.Scopes(),
			Name:         "listCalendarEntries", Summary: "List time without a patient",
			Description: "Sorted by start. `from` and `to` are days, both included.",
			Eventual:    true, Endpoint: httpx.Handle(http.StatusOK, s.handleEntries),
		},
		{
			Method: http.MethodGet, Path: "/calendar-entries/:id", Permission: permission.AppointmentRead,
			RecordScopes: entryOwners.Scopes(),
			Name:         "getCalendarEntry", Summary: "Get time without a patient",
			Description: "One calendar entry.", Refusals: []*fault.Error{ErrEntryNotFound},
			Endpoint: httpx.Handle(http.StatusOK, s.handleEntry),
		},
		{
			Method: http.MethodDelete, Path: "/calendar-entries/:id", Permission: permission.AppointmentCancel,
			Name: "deleteCalendarEntry", Summary: "Delete time without a patient",
			Description: "Deletes a calendar entry. Its practitioners can be booked again.",
			Refusals:    []*fault.Error{ErrEntryNotFound},
			Endpoint:    httpx.Handle(http.StatusNoContent, s.handleDeleteEntry),
		},
	}
}

type createEntryRequest struct {
	command.Keyed
	// The kind of time.
	Kind EntryKind `json:"kind" validate:"required,oneof=MEETING TRAINING DRIVE DOCUMENTATION LUNCH OTHER"`
	// The title. Calendar programs do not show it.
	Title           *string     `json:"title" validate:"omitempty,min=1,max=200,text"`
	PractitionerIDs []uuid.UUID `json:"practitionerIds" validate:"required,min=1,max=10"` // The practitioners.
	StartTime       time.Time   `json:"startTime" validate:"required"`                    // The start, a whole minute.
	// The end, a whole minute and at most 24 hours later.
	EndTime time.Time `json:"endTime" validate:"required"`
	// The location. Of a drive: the destination.
	LocationID *uuid.UUID `json:"locationId"`
	Miles      *float64   `json:"miles" validate:"omitempty,min=0,max=10000"` // The miles of a drive.
}

// calendarEntryBody is a time of practitioners without a patient.
type calendarEntryBody struct {
	ID              uuid.UUID   `json:"id"`
	OrganizationID  uuid.UUID   `json:"organizationId"`
	Kind            EntryKind   `json:"kind"`            // The kind of time.
	Title           *string     `json:"title"`           // The title.
	PractitionerIDs []uuid.UUID `json:"practitionerIds"` // The practitioners.
	StartTime       time.Time   `json:"startTime"`
	EndTime         time.Time   `json:"endTime"`
	// The location. Of a drive: the destination.
	LocationID *uuid.UUID `json:"locationId"`
	Miles      *float64   `json:"miles"` // The miles of a drive.
	CreatedBy  uuid.UUID  `json:"createdBy"`
	CreatedAt  time.Time  `json:"createdAt"`
	entryReferences
}

// Location returns the path of the calendar entry.
func (b calendarEntryBody) Location() string { return "/api/v1/calendar-entries/" + b.ID.String() }

func calendarEntryBodyOf(e CalendarEntry) calendarEntryBody {
	return calendarEntryBody{
		ID: e.ID, OrganizationID: e.OrganizationID, Kind: e.Kind, Title: e.Title, PractitionerIDs: e.Practitioners,
		StartTime: e.Start, EndTime: e.End, LocationID: e.LocationID, Miles: e.Miles, CreatedBy: e.CreatedBy,
		CreatedAt: e.CreatedAt,
	}
}

func (s *EntryService) handleCreateEntry(ctx context.Context, in createEntryRequest) (calendarEntryBody, error) {
	e, err := s.CreateEntry(ctx, CalendarEntry{
		Kind: in.Kind, Title: in.Title, Practitioners: in.PractitionerIDs, Span: Span{in.StartTime, in.EndTime},
		LocationID: in.LocationID, Miles: in.Miles,
	})
	return calendarEntryBodyOf(e), err
}

type entriesRequest struct {
	httpx.PageQuery
	within
	Sort           string      `query:"sort" validate:"omitempty,oneof=startTime -startTime"`
	PractitionerID []uuid.UUID `query:"practitionerId" validate:"max=200"` // One of these practitioners takes part.
	// The kinds of time.
	Kind []string `query:"kind" validate:"dive,oneof=MEETING TRAINING DRIVE DOCUMENTATION LUNCH OTHER"`
}

func (s *EntryService) handleEntries(ctx context.Context, in entriesRequest) (httpx.Page[calendarEntryBody], error) {
	page, err := byStart(in.PageQuery, in.Sort)
	if err != nil {
		return httpx.Page[calendarEntryBody]{}, err
	}
	f := EntryFilter{Practitioners: in.PractitionerID, Days: in.days()}
	for _, kind := range in.Kind {
		f.Kinds = append(f.Kinds, EntryKind(kind))
	}
	found, err := s.Entries(ctx, f, page)
	return httpx.PageOf(in.PageQuery, found, calendarEntryBodyOf,
		func(e CalendarEntry) any { return positionOf(e.Start, e.ID) }), err
}

func (s *EntryService) handleEntry(ctx context.Context, in byID) (calendarEntryBody, error) {
	e, err := s.Entry(ctx, in.ID)
	return calendarEntryBodyOf(e), err
}

func (s *EntryService) handleDeleteEntry(ctx context.Context, in byID) (httpx.None, error) {
	return httpx.None{}, s.DeleteEntry(ctx, in.ID)
}
