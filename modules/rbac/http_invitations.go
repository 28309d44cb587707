package rbac

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
)

func (s *Service) invitationRoutes() []httpx.Route {
	return []httpx.Route{
		{
			Method: http.MethodPost, Path: "/users/invitations", Permission: userInvite,
			Name: "inviteUser", Summary: "Invite somebody to become a user",
			Description: "Gives a token that makes a user of whoever has it, once, until `expiresAt`: put it into a link of your own, behind a `#`, so that it stays out of logs. It is told in this answer and never again. It takes the place of an open invitation to the same address. Nobody invites to a role whose permissions they do not all hold themselves.",
			Refusals:    []*fault.Error{ErrBeyondOwn, ErrEmailTaken}, Endpoint: httpx.Handle(http.StatusCreated, s.handleInvite),
		},
		{
			Method: http.MethodGet, Path: "/users/invitations", Permission: userRead,
			Name: "listInvitations", Summary: "List invitations",
			Description: "All invitations of the organization, in the order in which they were made, without their tokens; those that are over too.",
			Endpoint:    httpx.Handle(http.StatusOK, s.handleInvitations),
		},
		{
			Method: http.MethodDelete, Path: "/users/invitations/:id", Permission: userInvite,
			Name: "revokeInvitation", Summary: "Revoke an invitation",
			Description: "Its token is worth nothing from now on. The entry stays. Invitations are revoked by themselves when whoever made them is disabled or gets other roles.",
			Refusals:    []*fault.Error{ErrInvitationNotFound, ErrInvitationAccepted}, Endpoint: httpx.Handle(http.StatusNoContent, s.handleRevokeInvitation),
		},
		{
			Method: http.MethodPost, Path: "/auth/invitations/accept", Permission: httpx.Public,
			Name: "acceptInvitation", Summary: "Accept an invitation",
			Description: "Makes a user with the password that one chooses, at least 15 characters; address, name and roles are those of the invitation. Then sign in. The token is good once.",
			Refusals:    []*fault.Error{ErrInvitationNotFound, ErrEmailTaken, ErrSignInBusy}, Endpoint: httpx.Handle(http.StatusCreated, s.handleAccept),
		},
	}
}

// invitationBody is an invitation as clients see it.
type invitationBody struct {
	ID         uuid.UUID       `json:"id"`
	Email      string          `json:"email"`
	Name       string          `json:"name"`
	Roles      []Role          `json:"roles"`
	State      InvitationState `json:"state"` // OPEN, ACCEPTED, REVOKED or EXPIRED
	InvitedBy  uuid.UUID       `json:"invitedBy"`
	CreatedAt  time.Time       `json:"createdAt"`
	ExpiresAt  time.Time       `json:"expiresAt"`
	AcceptedAt *time.Time      `json:"acceptedAt"` // null: it was not
	UserID     *uuid.UUID      `json:"userId"`     // who it became
	RevokedAt  *time.Time      `json:"revokedAt"`  // null: it was not
}

// invitationWithToken is an invitation that was just made.
type invitationWithToken struct {
	invitationBody
	// Token is a secret. It is null where the request is repeated with its
	// Idempotency-Key, since it is kept nowhere: then invite again.
	Token httpx.Secret `json:"token"`
}

func (s *Service) invitationBodyOf(i Invitation) invitationBody {
	return invitationBody{
		i.ID, i.Email, i.Name, i.Roles, i.State(s.now()), i.InvitedBy, i.CreatedAt.UTC(), i.ExpiresAt.UTC(), inUTC(i.AcceptedAt), i.UserID, inUTC(i.RevokedAt),
	}
}

func (s *Service) handleInvite(ctx context.Context, in NewInvitation) (invitationWithToken, error) {
	made, token, err := s.Invite(ctx, in)
	return invitationWithToken{s.invitationBodyOf(made), httpx.Secret(token)}, err
}

type invitationsQuery struct {
	httpx.PageQuery
	State InvitationState `query:"state" validate:"omitempty,oneof=OPEN ACCEPTED REVOKED EXPIRED"`
}

func (s *Service) handleInvitations(ctx context.Context, in invitationsQuery) (httpx.Page[invitationBody], error) {
	f := InvitationFilter{Keyset: db.Keyset{Limit: in.Size() + 1}, State: in.State}
	if err := in.DecodeCursor(&f.After); err != nil {
		return httpx.Page[invitationBody]{}, err
	}
	found, err := s.Invitations(ctx, f)
	return httpx.PageOf(in.PageQuery, found, s.invitationBodyOf, func(i Invitation) any { return db.Position{ID: i.ID} }), err
}

func (s *Service) handleRevokeInvitation(ctx context.Context, in byID) (httpx.None, error) {
	return httpx.None{}, s.RevokeInvitation(ctx, in.ID)
}

type acceptRequest struct {
	Token    string `json:"token" validate:"required,max=100"`
	Password string `json:"password" validate:"required"`
}

func (s *Service) handleAccept(ctx context.Context, in acceptRequest) (account, error) {
	u, err := s.Accept(ctx, in.Token, in.Password)
	return accountOf(u), err
}
