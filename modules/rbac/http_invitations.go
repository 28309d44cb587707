package rbac

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

func (s *Service) invitationRoutes() []httpx.Route {
	return []httpx.Route{
		{
			Method: http.MethodPost, Path: "/users/invitations", Permission: permission.UserInvite,
			Name: "inviteUser", Summary: "Invite a user",
			Description: "Creates an invitation whose token lets its holder become a user, once, until `expiresAt`. Put the token into a " +
				"link of your own, after a `#`, so that it stays out of logs. It is returned only in this answer. The invitation " +
				"replaces an open one to the same address. The caller must hold every permission of the roles.",
			Refusals: []*fault.Error{ErrBeyondOwn, ErrEmailTaken}, Endpoint: httpx.Handle(http.StatusCreated, s.handleInvite),
		},
		{
			Method: http.MethodGet, Path: "/users/invitations", Permission: permission.UserRead,
			Name: "listInvitations", Summary: "List invitations",
			Description: "All invitations of the organization in the order of their creation, without their tokens, including those that " +
				"are no longer open.",
			Endpoint: httpx.Handle(http.StatusOK, s.handleInvitations),
		},
		{
			Method: http.MethodDelete, Path: "/users/invitations/:id", Permission: permission.UserInvite,
			Name: "revokeInvitation", Summary: "Revoke an invitation",
			Description: "Its token becomes invalid immediately. The entry stays. Open invitations are also revoked when the user who " +
				"created them is disabled or gets other roles.",
			Refusals: []*fault.Error{ErrInvitationNotFound, ErrInvitationAccepted},
			Endpoint: httpx.Handle(http.StatusNoContent, s.handleRevokeInvitation),
		},
		{
			Method: http.MethodPost, Path: "/auth/invitations/accept", Permission: httpx.Public,
			Name: "acceptInvitation", Summary: "Accept an invitation",
			Description: "Creates a user with the given password, which has at least 15 characters, and with the invitation's address, " +
				"name and roles. Then sign in. The token works once.",
			Refusals: []*fault.Error{ErrInvitationNotFound, ErrEmailTaken, ErrSignInBusy},
			Endpoint: httpx.Handle(http.StatusCreated, s.handleAccept),
		},
	}
}

// invitationBody is an invitation in the API.
type invitationBody struct {
	ID         uuid.UUID       `json:"id"`
	Email      string          `json:"email"`
	Name       string          `json:"name"`
	Roles      []Role          `json:"roles"`
	State      InvitationState `json:"state"` // OPEN, ACCEPTED, REVOKED or EXPIRED
	InvitedBy  uuid.UUID       `json:"invitedBy"`
	CreatedAt  time.Time       `json:"createdAt"`
	ExpiresAt  time.Time       `json:"expiresAt"`
	AcceptedAt *time.Time      `json:"acceptedAt"` // null: not accepted
	UserID     *uuid.UUID      `json:"userId"`     // the user that was created
	RevokedAt  *time.Time      `json:"revokedAt"`  // null: not revoked
}

// invitationWithToken is a new invitation with its token.
type invitationWithToken struct {
	invitationBody
	// Token is a secret. It is null if the request is repeated with its Idempotency-Key, because it
	// is not stored; then create another invitation.
	Token httpx.Secret `json:"token"`
}

func (s *Service) invitationBodyOf(i Invitation) invitationBody {
	return invitationBody{
		i.ID, i.Email, i.Name, i.Roles, i.State(s.now()), i.InvitedBy, i.CreatedAt.UTC(), i.ExpiresAt.UTC(),
		inUTC(i.AcceptedAt), i.UserID, inUTC(i.RevokedAt),
	}
}

func (s *Service) handleInvite(ctx context.Context, in NewInvitation) (invitationWithToken, error) {
	created, token, err := s.Invite(ctx, in)
	return invitationWithToken{s.invitationBodyOf(created), httpx.Secret(token)}, err
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
