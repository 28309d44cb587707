package emergency

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/permission"
)

// Routes returns the operations of this module's API.
func (s *Service) Routes() []httpx.Route {
	return []httpx.Route{
		{
			Method: http.MethodPost, Path: "/emergency-grants", Permission: permission.EmergencyTake,
			Name: "takeEmergencyGrant", Summary: "Break the glass",
			Description: "Lets the caller immediately read the records of one patient outside their record scope, for a " +
				"limited time and without approval. Send the grant's id as `Break-Glass` with each request that reads under it. " +
				"It adds that patient to what the caller may read, and never allows changes. Administrators are notified, the " +
				"audit trail marks every read record with the grant's id, and another user reviews the grant.",
			Endpoint: httpx.Handle(http.StatusCreated, s.handleTake),
		},
		{
			Method: http.MethodGet, Path: "/emergency-grants",
			Permission: permission.EmergencyRead, RecordScopes: owners.Scopes(), Reads: subjectType,
			Name: "listEmergencyGrants", Summary: "List emergency grants",
			Description: "The newest first: all grants of the organization, or the caller's own. `reviewed=false` lists the " +
				"grants that " +
				"still need a review.",
			Endpoint: httpx.Handle(http.StatusOK, s.handleList),
		},
		{
			Method: http.MethodGet, Path: "/emergency-grants/:id",
			Permission: permission.EmergencyRead, RecordScopes: owners.Scopes(), Reads: subjectType,
			Name: "getEmergencyGrant", Summary: "Get an emergency grant",
			Description: "One emergency grant with its reason, its end and its review. The audit trail lists the reads " +
				"under it.",
			Refusals: []*fault.Error{ErrNotFound}, Endpoint: httpx.Handle(http.StatusOK, s.handleGet),
		},
		{
			Method: http.MethodPost, Path: "/emergency-grants/:id/revoke",
			Permission: permission.EmergencyRevoke, RecordScopes: owners.Scopes(),
			Name: "revokeEmergencyGrant", Summary: "Revoke an emergency grant",
			Description: "Ends a grant early, from the next request on. Users can end their own grants.",
			Refusals:    []*fault.Error{ErrNotFound, ErrOver}, Endpoint: httpx.Handle(http.StatusOK, s.handleRevoke),
		},
		{
			Method: http.MethodPost, Path: "/emergency-grants/:id/review", Permission: permission.EmergencyReview,
			Name: "reviewEmergencyGrant", Summary: "Review an emergency grant",
			Description: "Stores, once and after the grant's end, whether it was justified. Users cannot review their own " +
				"grants.",
			Refusals: []*fault.Error{ErrNotFound, ErrOwnReview, ErrStillOpen, ErrReviewed},
			Endpoint: httpx.Handle(http.StatusOK, s.handleReview),
		},
	}
}

// grantBody is an emergency grant in the API.
type grantBody struct {
	ID         uuid.UUID  `json:"id"`
	UserID     uuid.UUID  `json:"userId"` // The user who took the grant.
	PatientID  uuid.UUID  `json:"patientId"`
	Reason     string     `json:"reason"`     // The reason why care could not wait.
	GrantedAt  time.Time  `json:"grantedAt"`  // The time from which the grant applies.
	ExpiresAt  time.Time  `json:"expiresAt"`  // The time until which the grant applies.
	Open       bool       `json:"open"`       // Whether the grant applies now.
	RevokedAt  *time.Time `json:"revokedAt"`  // The time of the revocation. Null if the grant is not revoked.
	RevokedBy  *uuid.UUID `json:"revokedBy"`  // The user who revoked the grant.
	ReviewedAt *time.Time `json:"reviewedAt"` // The time of the review. Null if the grant is not reviewed.
	ReviewedBy *uuid.UUID `json:"reviewedBy"` // The user who reviewed the grant.
	// Whether the access was justified. Null if the grant is not reviewed.
	Justified  *bool   `json:"justified"`
	ReviewNote *string `json:"reviewNote"` // The reviewer's note.
	grantReferences
}

// Location returns the path of the grant.
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
	PatientID uuid.UUID `json:"patientId" validate:"required"`
	// The reason why care cannot wait.
	Reason string `json:"reason" validate:"required,min=25,max=500,text"`
	// The duration in minutes. The default is 60.
	DurationMinutes int `json:"durationMinutes" validate:"omitempty,min=30,max=480"`
}

func (s *Service) handleTake(ctx context.Context, in takeRequest) (grantBody, error) {
	return s.answer(s.Take(ctx, NewGrant{in.PatientID, in.Reason, time.Duration(in.DurationMinutes) * time.Minute}))
}

type listRequest struct {
	httpx.PageQuery
	PatientID uuid.UUID `query:"patientId"`
	UserID    uuid.UUID `query:"userId"`   // The user who took the grants.
	Reviewed  *bool     `query:"reviewed"` // Whether the grants have been reviewed.
	Open      *bool     `query:"open"`     // Whether the grants apply now.
}

func (s *Service) handleList(ctx context.Context, in listRequest) (httpx.Page[grantBody], error) {
	page := db.Keyset{Descending: true, Limit: in.Size() + 1}
	if err := in.DecodeCursor(&page.After); err != nil {
		return httpx.Page[grantBody]{}, err
	}
	found, err := s.Grants(ctx,
		Filter{PatientID: in.PatientID, UserID: in.UserID, Reviewed: in.Reviewed, Open: in.Open, Page: page})
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
	// Whether the access was justified.
	Justified *bool   `json:"justified" validate:"required"`
	Note      *string `json:"note" validate:"omitempty,min=1,max=1000,text"` // The reviewer's note.
}

func (s *Service) handleReview(ctx context.Context, in reviewRequest) (grantBody, error) {
	return s.answer(s.Review(ctx, in.ID, *in.Justified, in.Note))
}
