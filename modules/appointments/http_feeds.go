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
	"omnirapeutic/platform/permission"
)

// calendarFresh is the max-age of a feed in HTTP caches.
const calendarFresh = 5 * time.Minute

func (s *FeedService) feedRoutes() []httpx.Route {
	const feedContents = " The feed has the times of appointments and whether they were cancelled, but no names, " +
		"services or notes. The link is returned only once. Anyone with the link can read the feed, until it is revoked or " +
		"its creator loses access: the user is disabled, or loses the permission or access to the person of the calendar."
	return []httpx.Route{
		{
			Method: http.MethodPost, Path: "/practitioners/:id/calendar-feed",
			Permission: permission.CalendarManage, RecordScopes: feedOwners.Scopes(),
			Name: "createPractitionerCalendarFeed", Summary: "Create a calendar link for a practitioner",
			Description: "Creates a secret link from which calendar programs read the practitioner's appointments as " +
				"iCalendar." + feedContents,
			Refusals: []*fault.Error{ErrNoOwner, identity.ErrBeyondOwn},
			Endpoint: httpx.Handle(http.StatusCreated, s.handlePractitionerFeed),
		},
		{
			Method: http.MethodPost, Path: "/patients/:id/calendar-feed",
			Permission: permission.CalendarManage, RecordScopes: feedOwners.Scopes(),
			Name: "createPatientCalendarFeed", Summary: "Create a calendar link for a patient",
			Description: "Creates a secret link from which calendar programs read the patient's appointments as iCalendar." +
				feedContents,
			Refusals: []*fault.Error{ErrNoOwner, identity.ErrBeyondOwn},
			Endpoint: httpx.Handle(http.StatusCreated, s.handlePatientFeed),
		},
		{
			Method: http.MethodGet, Path: "/calendar-feeds",
			Permission: permission.CalendarManage, RecordScopes: feedOwners.Scopes(), Reads: subjectFeed,
			Name: "listCalendarFeeds", Summary: "List calendar links",
			Description: "Returns all calendar feeds of the organization that are not revoked, oldest first, without their " +
				"links.",
			Endpoint: httpx.Handle(http.StatusOK, s.handleFeeds),
		},
		{
			Method: http.MethodDelete, Path: "/calendar-feeds/:id",
			Permission: permission.CalendarManage, RecordScopes: feedOwners.Scopes(),
			Name: "revokeCalendarFeed", Summary: "Revoke a calendar link",
			Description: "Revokes the link: it stops working immediately. Calendar programs may still show appointments that " +
				"they have already read.",
			Refusals: []*fault.Error{ErrFeedNotFound}, Endpoint: httpx.Handle(http.StatusNoContent, s.handleRevokeFeed),
		},
		{
			Method: http.MethodGet, Path: "/calendars/:file", Permission: httpx.Public,
			Name: "readCalendar", Summary: "Read a calendar feed",
			Description: "Appointments of the last four weeks and the next year as iCalendar (RFC 5545), for calendar " +
				"programs that subscribe. `file` is the link's secret with `.ics`. HEAD answers without the text. Query " +
				"parameters that calendar programs add are ignored.",
			Refusals: []*fault.Error{ErrFeedNotFound},
			Endpoint: httpx.HandleDocument(calendarType, calendarFresh, s.handleCalendar),
		},
	}
}

// feedBody is a calendar feed in API responses.
type feedBody struct {
	ID uuid.UUID `json:"id"`
	// The practitioner of the feed. Null for a patient's feed.
	PractitionerID *uuid.UUID `json:"practitionerId"`
	// The patient of the feed. Null for a practitioner's feed.
	PatientID *uuid.UUID `json:"patientId"`
	CreatedBy uuid.UUID  `json:"createdBy"`
	CreatedAt time.Time  `json:"createdAt"`
	feedReferences
}

// newFeedBody is a new calendar feed.
type newFeedBody struct {
	feedBody
	// The path of the link on this server: a secret. Null in the response to a retry with the same
	// Idempotency-Key, because the secret is not stored. In that case revoke the feed and create
	// another.
	Path httpx.Secret `json:"path"`
}

func feedBodyOf(f Feed) feedBody {
	return feedBody{f.ID, f.PractitionerID, f.PatientID, f.CreatedBy, f.CreatedAt, feedReferences{}}
}

func newFeed(f Feed, token string, err error) (newFeedBody, error) {
	return newFeedBody{feedBodyOf(f), httpx.Secret("/api/v1/calendars/" + token + calendarSuffix)}, err
}

const calendarSuffix = ".ics"

func (s *FeedService) handlePractitionerFeed(ctx context.Context, in byID) (newFeedBody, error) {
	f, token, err := s.CreateFeed(ctx, &in.ID, nil)
	if err != nil {
		return newFeedBody{}, err
	}
	return newFeed(f, token, nil)
}

func (s *FeedService) handlePatientFeed(ctx context.Context, in byID) (newFeedBody, error) {
	f, token, err := s.CreateFeed(ctx, nil, &in.ID)
	if err != nil {
		return newFeedBody{}, err
	}
	return newFeed(f, token, nil)
}

// feedsBody has all calendar feeds of an organization.
type feedsBody struct {
	Data []feedBody `json:"data"` // All calendar feeds of the organization.
}

func (s *FeedService) handleFeeds(ctx context.Context, _ httpx.None) (feedsBody, error) {
	found, err := s.Feeds(ctx)
	b := feedsBody{Data: []feedBody{}}
	for _, f := range found {
		b.Data = append(b.Data, feedBodyOf(f))
	}
	return b, err
}

func (s *FeedService) handleRevokeFeed(ctx context.Context, in byID) (httpx.None, error) {
	return httpx.None{}, s.RevokeFeed(ctx, in.ID)
}

type calendarRequest struct {
	httpx.AnyQuery // calendar programs and link checkers add parameters
	// The secret of the link with `.ics`.
	File string `param:"file" validate:"max=100"`
}

func (s *FeedService) handleCalendar(ctx context.Context, in calendarRequest) (string, error) {
	return s.Calendar(ctx, strings.TrimSuffix(in.File, calendarSuffix))
}
