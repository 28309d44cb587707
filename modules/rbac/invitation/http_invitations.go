package invitation

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/account"
	"omnirapeutic/modules/rbac/password"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/permission"
)

// Routes returns the operations on invitations.
func (s *Service) Routes() []httpx.Route {
	return []httpx.Route{
		{
			Method: http.MethodPost, Path: "/users/invitations", Permission: permission.UserInvite,
			Name: "inviteUser", Summary: "Invite a user",
			Description: "Creates an invitation whose token lets its holder become a user, once, until `expiresAt`. If mail is " +
				"configured, the person gets a link to the page at `http.frontend_url`, with `#invitation=` and the token. The " +
				"answer then has `mailed: true` and no token. Without mail, or if the address has refused mail, the token is " +
				"returned, only in this answer. Put it into such a link, after a `#`, so that it stays out of logs. The " +
				"invitation replaces an open one to the same address. The caller must hold every permission of the roles.",
			Refusals: []*fault.Error{identity.ErrBeyondOwn, rbac.ErrEmailTaken},
			Endpoint: httpx.Handle(http.StatusCreated, s.handleInvite),
		},
		{
			Method: http.MethodGet, Path: "/users/invitations", Permission: permission.UserRead,
			Name: "listInvitations", Summary: "List invitations",
			Description: "All invitations of the organization in the order of their creation, without their tokens, " +
				"including invitations that are no longer open.",
			Endpoint: httpx.Handle(http.StatusOK, s.handleInvitations),
		},
		{
			Method: http.MethodDelete, Path: "/users/invitations/:id", Permission: permission.UserInvite,
			Name: "revokeInvitation", Summary: "Revoke an invitation",
			Description: "Its token becomes invalid immediately. The entry stays. Open invitations are also revoked when the " +
				"user who created them is disabled or gets other roles.",
			Refusals: []*fault.Error{ErrNotFound, ErrAccepted},
			Endpoint: httpx.Handle(http.StatusNoContent, s.handleRevokeInvitation),
		},
		{
			Method: http.MethodPost, Path: "/auth/invitations/accept", Permission: httpx.Public,
			Name: "acceptInvitation", Summary: "Accept an invitation",
			Description: "Creates a user with the given password, which has at least 15 characters, and with the " +
				"invitation's address, name and roles. Then sign in. The token works once.",
			Refusals: []*fault.Error{ErrNotFound, rbac.ErrEmailTaken, password.ErrBusy},
			Endpoint: httpx.Handle(http.StatusCreated, s.handleAccept),
		},
	}
}

// invitationBody is an invitation.
type invitationBody struct {
	ID    uuid.UUID   `json:"id"`
	Email string      `json:"email"` // The e-mail address of the invited person.
	Name  string      `json:"name"`  // The name of the invited person.
	Roles []rbac.Role `json:"roles"` // The roles that the new user gets.
	State State       `json:"state"` // The state of the invitation.
	// The user who created the invitation.
	InvitedBy uuid.UUID `json:"invitedBy"`
	CreatedAt time.Time `json:"createdAt"` // The time at which the invitation was created.
	ExpiresAt time.Time `json:"expiresAt"` // The time at which the invitation expires.
	// The time at which the invitation was accepted. It is null if it was not.
	AcceptedAt *time.Time `json:"acceptedAt"`
	// The user that was created. It is null if the invitation was not accepted.
	UserID *uuid.UUID `json:"userId"`
	// The time at which the invitation was revoked. It is null if it was not.
	RevokedAt *time.Time `json:"revokedAt"`
}

// invitationWithToken is a new invitation with its token.
type invitationWithToken struct {
	invitationBody
	// The secret of the invitation. It is null if the invitation is sent by mail. It is also null if
	// the request is repeated with its Idempotency-Key, because it is not stored. Then create another
	// invitation.
	Token  httpx.Secret `json:"token"`
	Mailed bool         `json:"mailed"` // Whether the invitation is sent by mail.
}

func (s *Service) body(i Invitation) invitationBody {
	return invitationBody{
		i.ID, i.Email, i.Name, i.Roles, i.State(s.Clock.Now()), i.InvitedBy, i.CreatedAt.UTC(), i.ExpiresAt.UTC(),
		rbac.InUTC(i.AcceptedAt), i.UserID, rbac.InUTC(i.RevokedAt),
	}
}

// NewInvitation is the request for an invitation.
type NewInvitation struct {
	Email string      `json:"email" validate:"required,max=254"`     // The e-mail address of the person.
	Name  string      `json:"name" validate:"required,max=100,text"` // The name of the person.
	Roles []rbac.Role `json:"roles" validate:"required,min=1,max=8"` // The roles that the new user gets.
}

func (s *Service) handleInvite(ctx context.Context, in NewInvitation) (invitationWithToken, error) {
	created, err := s.Invite(ctx, Invitee(in))
	return invitationWithToken{s.body(created.Invitation), httpx.Secret(created.Token), created.Mailed}, err
}

type invitationsQuery struct {
	httpx.PageQuery
	// The state of the listed invitations.
	State State `query:"state" validate:"omitempty,oneof=OPEN ACCEPTED REVOKED EXPIRED"`
}

func (s *Service) handleInvitations(ctx context.Context, in invitationsQuery) (httpx.Page[invitationBody], error) {
	f := Filter{Keyset: db.Keyset{Limit: in.Size() + 1}, State: in.State}
	if err := in.DecodeCursor(&f.After); err != nil {
		return httpx.Page[invitationBody]{}, err
	}
	found, err := s.List(ctx, f)
	return httpx.PageOf(in.PageQuery, found, s.body, func(i Invitation) any { return db.Position{ID: i.ID} }), err
}

func (s *Service) handleRevokeInvitation(ctx context.Context, in struct {
	ID uuid.UUID `param:"id"`
},
) (httpx.None, error) {
	return httpx.None{}, s.Revoke(ctx, in.ID)
}

type acceptRequest struct {
	Token string `json:"token" validate:"required,max=100"` // The token of the invitation.
	// The new password, with 15 characters or more and 128 bytes or fewer. It must not be common.
	Password string `json:"password" validate:"required"`
}

func (s *Service) handleAccept(ctx context.Context, in acceptRequest) (account.AccountBody, error) {
	u, err := s.Accept(ctx, in.Token, in.Password)
	return account.Body(u), err
}
