package session

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/permission"
)

// Routes returns the operations on sessions and tokens.
func (s *Service) Routes() []httpx.Route {
	return slices.Concat(s.tokenRoutes(), []httpx.Route{
		{
			Method: http.MethodPost, Path: "/auth/logout", Permission: httpx.SignedIn, Enrolling: true,
			Name: "signOut", Summary: "Sign out",
			Description: "Ends the current session. Its access token and refresh token become invalid immediately.",
			Endpoint:    httpx.Handle(http.StatusNoContent, s.handleSignOut),
		},
		{
			Method: http.MethodPost, Path: "/auth/logout-everywhere", Permission: httpx.SignedIn, Enrolling: true,
			Name: "signOutEverywhere", Summary: "Sign out everywhere",
			Description: "Ends all sessions of the caller, including the current one. Their access tokens become invalid " +
				"immediately.",
			Endpoint: httpx.Handle(http.StatusNoContent, s.handleSignOutEverywhere),
		},
		{
			Method: http.MethodGet, Path: "/auth/sessions", Permission: httpx.SignedIn,
			Name: "listMySessions", Summary: "List my sessions",
			Description: "The caller's active sessions, the newest first. `current` marks the session of this request.",
			Endpoint:    httpx.Handle(http.StatusOK, s.handleSessions),
		},
		{
			Method: http.MethodDelete, Path: "/auth/sessions/:id", Permission: httpx.SignedIn,
			Name: "endMySession", Summary: "End one of my sessions",
			Description: "Ends one of the caller's sessions. Its access tokens and refresh token become invalid immediately.",
			Refusals:    []*fault.Error{ErrNotFound},
			Endpoint:    httpx.Handle(http.StatusNoContent, s.handleEnd),
		},
		{
			Method: http.MethodGet, Path: "/users/:id/sessions", Permission: permission.UserChange,
			Name: "listUserSessions", Summary: "List a user's sessions",
			Description: "The user's active sessions, the newest first. The caller must hold every permission that the user " +
				"holds.",
			Refusals: []*fault.Error{rbac.ErrUserNotFound, identity.ErrBeyondOwn},
			Endpoint: httpx.Handle(http.StatusOK, s.handleUserSessions),
		},
		{
			Method: http.MethodDelete, Path: "/users/:id/sessions/:sessionId", Permission: permission.UserChange,
			Name: "endUserSession", Summary: "End a user's session",
			Description: "Its access tokens and its refresh token become invalid immediately. The caller must hold every " +
				"permission that the user holds.",
			Refusals: []*fault.Error{rbac.ErrUserNotFound, identity.ErrBeyondOwn, ErrNotFound},
			Endpoint: httpx.Handle(http.StatusNoContent, s.handleEndUserSession),
		},
	})
}

// userSessionBody is an active session of a user.
type userSessionBody struct {
	ID        uuid.UUID `json:"id"`
	StartedAt time.Time `json:"startedAt"` // The time of the sign-in.
	UsedAt    time.Time `json:"usedAt"`    // The time of the last refresh.
	// The time at which a used refresh token was last answered again. It is null if there was no
	// repetition.
	RepeatedAt *time.Time `json:"repeatedAt"`
	IdleUntil  time.Time  `json:"idleUntil"` // The end of the session, unless it is refreshed before.
	EndsAt     time.Time  `json:"endsAt"`    // The latest end of the session, however often it is refreshed.
	Address    string     `json:"address"`   // The network address of the sign-in.
}

// mySessionBody is an active session of the caller.
type mySessionBody struct {
	userSessionBody
	Current bool `json:"current"` // Whether this is the session of the request.
}

func userSessionBodyOf(in Session) userSessionBody {
	return userSessionBody{
		in.ID, in.StartedAt.UTC(), in.UsedAt.UTC(), rbac.InUTC(in.RepeatedAt), in.IdleUntil.UTC(), in.EndsAt.UTC(),
		in.Address,
	}
}

// mySessionsBody is the list of the active sessions of the caller.
type mySessionsBody struct {
	Data []mySessionBody `json:"data"` // The sessions, the newest first.
}

func (s *Service) handleSessions(ctx context.Context, _ httpx.None) (mySessionsBody, error) {
	found, err := s.List(ctx)
	if err != nil {
		return mySessionsBody{}, err
	}
	caller, err := identity.From(ctx)
	b := mySessionsBody{make([]mySessionBody, len(found))}
	for i, in := range found {
		b.Data[i] = mySessionBody{userSessionBodyOf(in), in.ID == caller.SignInID}
	}
	return b, err
}

type byID struct {
	ID uuid.UUID `param:"id"`
}

func (s *Service) handleEnd(ctx context.Context, in byID) (httpx.None, error) {
	return httpx.None{}, s.End(ctx, in.ID)
}

func (s *Service) handleSignOut(ctx context.Context, _ httpx.None) (httpx.None, error) {
	return httpx.None{}, s.SignOut(ctx)
}

func (s *Service) handleSignOutEverywhere(ctx context.Context, _ httpx.None) (httpx.None, error) {
	return httpx.None{}, s.SignOutEverywhere(ctx)
}

// userSessionsBody is the list of the active sessions of a user.
type userSessionsBody struct {
	Data []userSessionBody `json:"data"` // The sessions, the newest first.
}

func (s *Service) handleUserSessions(ctx context.Context, in byID) (userSessionsBody, error) {
	found, err := s.ListOfUser(ctx, in.ID)
	return userSessionsBody{httpx.Bodies(found, userSessionBodyOf)}, err
}

type userSessionPath struct {
	ID        uuid.UUID `param:"id"`
	SessionID uuid.UUID `param:"sessionId"`
}

func (s *Service) handleEndUserSession(ctx context.Context, in userSessionPath) (httpx.None, error) {
	return httpx.None{}, s.EndOfUser(ctx, in.ID, in.SessionID)
}
