package emergency

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
)

// Routes returns the operations of this module's API.
func (s *Service) Routes() []httpx.Route {
	return []httpx.Route{
		{
			Method: http.MethodPost, Path: "/emergency-grants", Permission: PermissionTake,
			Name: "takeEmergencyGrant", Summary: "Break the glass",
			Description: "Takes the right to read the records of one patient who is out of one's reach, at once, alone, and for a while. Send the grant's id as `Break-Glass` with each request that is to read under it: it widens what one may read anyway to that patient, and changes nothing. Administrators are told at once, everything that is read carries the grant's id in the audit trail, and somebody else reviews it.",
			Endpoint:    httpx.Handle(http.StatusCreated, s.handleTake),
		},
		{
			Method: http.MethodGet, Path: "/emergency-grants", Permission: PermissionRead, Limited: owners.Scopes(), Reads: subject,
			Name: "listEmergencyGrants", Summary: "List emergency grants",
			Description: "The newest first: all of the organization, or those that one took oneself. `reviewed=false` is the worklist of reviewers.",
			Endpoint:    httpx.Handle(http.StatusOK, s.handleList),
		},
		{
			Method: http.MethodGet, Path: "/emergency-grants/:id", Permission: PermissionRead, Limited: owners.Scopes(), Reads: subject,
			Name: "getEmergencyGrant", Summary: "Read an emergency grant",
			Description: "One emergency grant with its reason, how it ended and what the reviewer said. What was read under it is in the audit trail.",
			Refusals:    []*fault.Error{ErrNotFound}, Endpoint: httpx.Handle(http.StatusOK, s.handleGet),
		},
		{
			Method: http.MethodPost, Path: "/emergency-grants/:id/revoke", Permission: PermissionRevoke, Limited: owners.Scopes(),
			Name: "revokeEmergencyGrant", Summary: "Revoke an emergency grant",
			Description: "Ends it before its time, from the next request on. Whoever took it can give it back so.",
			Refusals:    []*fault.Error{ErrNotFound, ErrOver}, Endpoint: httpx.Handle(http.StatusOK, s.handleRevoke),
		},
		{
			Method: http.MethodPost, Path: "/emergency-grants/:id/review", Permission: PermissionReview,
			Name: "reviewEmergencyGrant", Summary: "Review an emergency grant",
			Description: "Says whether it was justified, once it is over, and once. Nobody reviews what they took themselves.",
			Refusals:    []*fault.Error{ErrNotFound, ErrOwnReview, ErrStillOpen, ErrReviewed}, Endpoint: httpx.Handle(http.StatusOK, s.handleReview),
		},
	}
}

// grantBody is an emergency grant as clients see it.
type grantBody struct {
	ID         uuid.UUID  `json:"id"`
	UserID     uuid.UUID  `json:"userId"` // who took it
	PatientID  uuid.UUID  `json:"patientId"`
	Reason     string     `json:"reason"`
	GrantedAt  time.Time  `json:"grantedAt"`
	ExpiresAt  time.Time  `json:"expiresAt"`
	Open       bool       `json:"open"` // at this moment
	RevokedAt  *time.Time `json:"revokedAt"`
	RevokedBy  *uuid.UUID `json:"revokedBy"`
	ReviewedAt *time.Time `json:"reviewedAt"`
	ReviewedBy *uuid.UUID `json:"reviewedBy"`
	Justified  *bool      `json:"justified"` // null: it was not reviewed
	ReviewNote *string    `json:"reviewNote"`
}

// Location is where the grant can be read.
func (b grantBody) Location() string { return "/api/v1/emergency-grants/" + b.ID.String() }

func (s *Service) bodyOf(g Grant) grantBody {
	return grantBody{
		ID: g.ID, UserID: g.UserID, PatientID: g.PatientID, Reason: g.Reason, GrantedAt: g.GrantedAt, ExpiresAt: g.ExpiresAt,
		Open: g.OpenAt(s.now()), RevokedAt: g.RevokedAt, RevokedBy: g.RevokedBy,
		ReviewedAt: g.ReviewedAt, ReviewedBy: g.ReviewedBy, Justified: g.Justified, ReviewNote: g.ReviewNote,
	}
}

func (s *Service) answer(g Grant, err error) (grantBody, error) {
	if err != nil {
		return grantBody{}, err
	}
	return s.bodyOf(g), nil
}

type byID struct {
	ID uuid.UUID `param:"id"`
}

type takeRequest struct {
	PatientID       uuid.UUID `json:"patientId" validate:"required"`
	Reason          string    `json:"reason" validate:"required,min=25,max=500,text"`      // why care cannot wait
	DurationMinutes int       `json:"durationMinutes" validate:"omitempty,min=30,max=480"` // default 60
}

func (s *Service) handleTake(ctx context.Context, in takeRequest) (grantBody, error) {
	return s.answer(s.Take(ctx, NewGrant{in.PatientID, in.Reason, time.Duration(in.DurationMinutes) * time.Minute}))
}

type listRequest struct {
	httpx.PageQuery
	PatientID uuid.UUID `query:"patientId"`
	UserID    uuid.UUID `query:"userId"`   // who took it
	Reviewed  *bool     `query:"reviewed"` // false: those that somebody still has to review
	Open      *bool     `query:"open"`     // only those that hold at this moment, or only the others
}

func (s *Service) handleList(ctx context.Context, in listRequest) (httpx.Page[grantBody], error) {
	page := db.Keyset{Descending: true, Limit: in.Size() + 1}
	if err := in.DecodeCursor(&page.After); err != nil {
		return httpx.Page[grantBody]{}, err
	}
	found, err := s.Grants(ctx, Filter{PatientID: in.PatientID, UserID: in.UserID, Reviewed: in.Reviewed, Open: in.Open, Page: page})
	show(ctx, found[:min(len(found), in.Size())]...)
	return httpx.PageOf(in.PageQuery, found, s.bodyOf, func(g Grant) any { return db.Position{ID: g.ID} }), err
}

func (s *Service) handleGet(ctx context.Context, in byID) (grantBody, error) {
	return s.answer(s.Grant(ctx, in.ID))
}

func (s *Service) handleRevoke(ctx context.Context, in byID) (grantBody, error) {
	return s.answer(s.Revoke(ctx, in.ID))
}

type reviewRequest struct {
	byID
	Justified *bool   `json:"justified" validate:"required"`
	Note      *string `json:"note" validate:"omitempty,min=1,max=1000,text"`
}

func (s *Service) handleReview(ctx context.Context, in reviewRequest) (grantBody, error) {
	return s.answer(s.Review(ctx, in.ID, *in.Justified, in.Note))
}
