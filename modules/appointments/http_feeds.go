package appointments

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
)

// PermissionCalendars lets one make and revoke calendar feeds.
const PermissionCalendars identity.Permission = "calendar:manage"

// calendarFresh is how long a calendar program need not ask again.
const calendarFresh = 5 * time.Minute

func (s *Service) feedRoutes() []httpx.Route {
	const told = " It has times and whether an appointment was cancelled, and neither names nor services nor notes. The link is told in this answer and never again; whoever has it can read the feed until it is revoked, or the user who made it could not make it any more: is disabled, or has lost the permission or whom it is about."
	return []httpx.Route{
		{
			Method: http.MethodPost, Path: "/practitioners/:id/calendar-feed", Permission: PermissionCalendars, Limited: feedOwners.Scopes(),
			Name: "createPractitionerCalendarFeed", Summary: "Make a calendar link for a practitioner",
			Description: "A secret link under which calendar programs read the practitioner's appointments as iCalendar." + told,
			Refusals:    []*fault.Error{ErrNoOwner, identity.ErrBeyondOwn}, Endpoint: httpx.Handle(http.StatusCreated, s.handlePractitionerFeed),
		},
		{
			Method: http.MethodPost, Path: "/patients/:id/calendar-feed", Permission: PermissionCalendars, Limited: feedOwners.Scopes(),
			Name: "createPatientCalendarFeed", Summary: "Make a calendar link for a patient",
			Description: "A secret link under which calendar programs read the patient's appointments as iCalendar." + told,
			Refusals:    []*fault.Error{ErrNoOwner, identity.ErrBeyondOwn}, Endpoint: httpx.Handle(http.StatusCreated, s.handlePatientFeed),
		},
		{
			Method: http.MethodGet, Path: "/calendar-feeds", Permission: PermissionCalendars, Limited: feedOwners.Scopes(), Reads: subjectFeed,
			Name: "listCalendarFeeds", Summary: "List calendar links",
			Description: "All calendar feeds of the organization that were not revoked, the oldest first, without their links.",
			Endpoint:    httpx.Handle(http.StatusOK, s.handleFeeds),
		},
		{
			Method: http.MethodDelete, Path: "/calendar-feeds/:id", Permission: PermissionCalendars, Limited: feedOwners.Scopes(),
			Name: "revokeCalendarFeed", Summary: "Revoke a calendar link",
			Description: "Whoever has the link finds nothing from now on. Calendar programs may go on showing what they have read.",
			Refusals:    []*fault.Error{ErrFeedNotFound}, Endpoint: httpx.Handle(http.StatusNoContent, s.handleRevokeFeed),
		},
		{
			Method: http.MethodGet, Path: "/calendars/:file", Permission: httpx.Public,
			Name: "readCalendar", Summary: "Read a calendar by its link",
			Description: "Appointments of the last four weeks and the next year as iCalendar (RFC 5545), for calendar programs that " +
				"subscribe. `file` is the link's secret with `.ics`. HEAD answers without the text. Query parameters that calendar " +
				"programs add are ignored.",
			Refusals: []*fault.Error{ErrFeedNotFound}, Endpoint: httpx.HandleDocument(calendarType, calendarFresh, s.handleCalendar),
		},
	}
}

// feedBody is a calendar feed as clients see it.
type feedBody struct {
	ID             uuid.UUID  `json:"id"`
	PractitionerID *uuid.UUID `json:"practitionerId"` // null: it is a patient's
	PatientID      *uuid.UUID `json:"patientId"`      // null: it is a practitioner's
	CreatedBy      uuid.UUID  `json:"createdBy"`
	CreatedAt      time.Time  `json:"createdAt"`
}

// newFeedBody is a calendar feed that was just made.
type newFeedBody struct {
	feedBody
	// Path is the link's on this server: a secret. It is null where the request is
	// repeated with its Idempotency-Key, since it is kept nowhere: then revoke the
	// feed and make another.
	Path httpx.Secret `json:"path"`
}

func feedBodyOf(f Feed) feedBody {
	return feedBody{f.ID, f.PractitionerID, f.PatientID, f.CreatedBy, f.CreatedAt}
}

func newFeed(f Feed, token string, err error) (newFeedBody, error) {
	return newFeedBody{feedBodyOf(f), httpx.Secret("/api/v1/calendars/" + token + calendarSuffix)}, err
}

const calendarSuffix = ".ics"

func (s *Service) handlePractitionerFeed(ctx context.Context, in byID) (newFeedBody, error) {
	f, token, err := s.CreateFeed(ctx, &in.ID, nil)
	if err != nil {
		return newFeedBody{}, err
	}
	return newFeed(f, token, nil)
}

func (s *Service) handlePatientFeed(ctx context.Context, in byID) (newFeedBody, error) {
	f, token, err := s.CreateFeed(ctx, nil, &in.ID)
	if err != nil {
		return newFeedBody{}, err
	}
	return newFeed(f, token, nil)
}

// feedsBody are all calendar feeds of an organization.
type feedsBody struct {
	Data []feedBody `json:"data"`
}

func (s *Service) handleFeeds(ctx context.Context, _ httpx.None) (feedsBody, error) {
	found, err := s.Feeds(ctx)
	b := feedsBody{Data: []feedBody{}}
	for _, f := range found {
		b.Data = append(b.Data, feedBodyOf(f))
	}
	return b, err
}

func (s *Service) handleRevokeFeed(ctx context.Context, in byID) (httpx.None, error) {
	return httpx.None{}, s.RevokeFeed(ctx, in.ID)
}

type calendarRequest struct {
	httpx.AnyQuery        // calendar programs and link checkers add parameters
	File           string `param:"file" validate:"max=100"`
}

func (s *Service) handleCalendar(ctx context.Context, in calendarRequest) (string, error) {
	return s.Calendar(ctx, strings.TrimSuffix(in.File, calendarSuffix))
}
