package oidc

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/permission"
)

const pathLinkRequests = pathProvider + "/link-requests"

func (s *Links) routes() []httpx.Route {
	return []httpx.Route{
		{
			Method: http.MethodGet, Path: pathLinkRequests, Permission: permission.IdentityProviderManage,
			Name: "listLinkRequests", Summary: "List link requests",
			Description: "Existing accounts that have signed in through the identity provider for the first time and are not " +
				"yet confirmed. A request can be confirmed for seven days. Before confirming, ask the account's owner " +
				"whether they tried to sign in.",
			Endpoint: httpx.Handle(http.StatusOK, s.handleLinkRequests),
		},
		{
			Method: http.MethodPost, Path: pathLinkRequests + "/:id/confirm", Permission: permission.IdentityProviderManage,
			Name: "confirmLinkRequest", Summary: "Confirm a link request",
			Description: "From now on the identity provider can sign in to this account. Requires an administrator who did " +
				"not set up the provider, is not the owner of the account, and holds every permission that the account holds.",
			Refusals: []*fault.Error{ErrLinkRequestNotFound, ErrLinkNeedsAnother, identity.ErrBeyondOwn},
			Endpoint: httpx.Handle(http.StatusNoContent, s.handleConfirmLink),
		},
		{
			Method: http.MethodDelete, Path: pathLinkRequests + "/:id", Permission: permission.IdentityProviderManage,
			Name: "declineLinkRequest", Summary: "Decline a link request",
			Description: "Removes the request. The next sign-in of the same person creates another one.",
			Refusals:    []*fault.Error{ErrLinkRequestNotFound},
			Endpoint:    httpx.Handle(http.StatusNoContent, s.handleDeclineLink),
		},
		{
			Method: http.MethodDelete, Path: "/users/:id/provider-link", Permission: permission.UserChange,
			Name: "unlinkUser", Summary: "Unlink a user from the identity provider",
			Description: "The identity provider can no longer sign in to this account, and its sessions end. " +
				"The next link must be confirmed again.",
			Refusals: []*fault.Error{rbac.ErrUserNotFound, ErrNotLinked, identity.ErrBeyondOwn},
			Endpoint: httpx.Handle(http.StatusNoContent, s.handleUnlink),
		},
	}
}

// linkRequestBody is the first sign-in of an existing account through the identity provider.
type linkRequestBody struct {
	ID          uuid.UUID `json:"id"`
	UserID      uuid.UUID `json:"userId"`
	Subject     string    `json:"subject"`     // The provider's name for the person.
	RequestedAt time.Time `json:"requestedAt"` // The time of the first sign-in.
	ExpiresAt   time.Time `json:"expiresAt"`   // The time at which the request expires.
}

func linkRequestBodyOf(r LinkRequest) linkRequestBody {
	return linkRequestBody{r.ID, r.UserID, r.Subject, r.RequestedAt.UTC(), r.ExpiresAt.UTC()}
}

type linkRequestsQuery struct{ httpx.PageQuery }

func (s *Links) handleLinkRequests(ctx context.Context, in linkRequestsQuery) (httpx.Page[linkRequestBody], error) {
	var after uuid.UUID
	if err := in.DecodeCursor(&after); err != nil {
		return httpx.Page[linkRequestBody]{}, err
	}
	found, err := s.List(ctx, after, in.Size()+1)
	return httpx.PageOf(in.PageQuery, found, linkRequestBodyOf, func(r LinkRequest) any { return r.ID }), err
}

func (s *Links) handleConfirmLink(ctx context.Context, in linkRequestPath) (httpx.None, error) {
	return httpx.None{}, s.Confirm(ctx, in.ID)
}

func (s *Links) handleDeclineLink(ctx context.Context, in linkRequestPath) (httpx.None, error) {
	return httpx.None{}, s.Decline(ctx, in.ID)
}

func (s *Links) handleUnlink(ctx context.Context, in linkRequestPath) (httpx.None, error) {
	return httpx.None{}, s.Unlink(ctx, in.ID)
}

type linkRequestPath struct {
	ID uuid.UUID `param:"id"`
}
