package rbac

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/permission"
)

func (s *Service) userRoutes() []httpx.Route {
	return append(s.userAccessRoutes(), []httpx.Route{
		{
			Method: http.MethodGet, Path: "/users", Permission: permission.UserRead,
			Name: "listUsers", Summary: "List users",
			Description: "The users of the organization, including disabled ones, in the order of their creation unless `sort` says " +
				"otherwise.",
			Endpoint: httpx.Handle(http.StatusOK, s.handleUsers),
		},
		{
			Method: http.MethodGet, Path: "/users/:id", Permission: permission.UserRead,
			Name: "getUser", Summary: "Get a user",
			Description: "One user of the organization, with their roles.",
			Refusals:    []*fault.Error{ErrUserNotFound}, Endpoint: httpx.Handle(http.StatusOK, s.handleUser),
		},
		{
			Method: http.MethodPatch, Path: "/users/:id", Permission: permission.UserChange,
			Name: "changeUser", Summary: "Change or disable a user",
			Description: "A merge patch: fields that are not given stay unchanged. Nothing is deleted: a user who has left is `disabled` " +
				"and cannot sign in. The API keys of a disabled user end, and the answer lists them as `apiKeys`. With " +
				"`apiKeyOwnerId` they get that owner instead, who must hold the permissions of the keys. `practitionerId` is the " +
				"user's practitioner in the directory. It decides about caseloads and own records, so only a caller who may read " +
				"all patients can set it. The last administrator cannot be disabled. A caller cannot change a user who holds more " +
				"permissions than they do.",
			Refusals: []*fault.Error{ErrUserNotFound, ErrBeyondOwn, ErrLastAdministrator, ErrPractitionerTaken},
			Endpoint: httpx.Handle(http.StatusOK, s.handleChangeUser),
		},
		{
			Method: http.MethodPut, Path: "/users/:id/roles", Permission: permission.UserGrant,
			Name: "setUserRoles", Summary: "Set a user's roles",
			Description: "Replaces all roles of the user. The caller must hold every permission of each role that they give or take " +
				"away. The last administrator keeps that role. API keys of the user with more permissions than the new roles end, " +
				"or get the owner `apiKeyOwnerId`; `apiKeys` lists them.",
			Refusals: []*fault.Error{ErrUserNotFound, ErrBeyondOwn, ErrLastAdministrator},
			Endpoint: httpx.Handle(http.StatusOK, s.handleSetRoles),
		},
		{
			Method: http.MethodDelete, Path: "/users/:id/second-factor", Permission: permission.UserChange,
			Name: "takeSecondFactor", Summary: "Remove a user's second factor",
			Description: "For a user who has lost the phone and the recovery codes. Make sure that the user, and not another person, asks " +
				"for it. All of their sign-ins end, and the next one requires only the password. The caller must hold every " +
				"permission of the user, and cannot remove their own second factor; use `PUT /auth/second-factor/off` instead.",
			Refusals: []*fault.Error{ErrUserNotFound, ErrNoSecondFactor, ErrOwnSecondFactor, ErrBeyondOwn},
			Endpoint: httpx.Handle(http.StatusNoContent, s.handleTakeFactor),
		},
		{
			Method: http.MethodPost, Path: "/users/:id/unlock", Permission: permission.UserChange,
			Name: "unlockUser", Summary: "Unlock a user's sign-in",
			Description: "For a user whose sign-in is delayed (`sign-in-delayed`) after too many failed attempts. Earlier failures no " +
				"longer count, from any network or device. The password and the second factor do not change. An administrator " +
				"cannot do this for a user who holds more permissions than they do.",
			Refusals: []*fault.Error{ErrUserNotFound, ErrBeyondOwn}, Endpoint: httpx.Handle(http.StatusNoContent, s.handleUnlock),
		},
	}...)
}

// userAccessRoutes returns the operations of administrators on the sign-ins of other users.
func (s *Service) userAccessRoutes() []httpx.Route {
	return []httpx.Route{
		{
			Method: http.MethodPost, Path: "/users/:id/password-reset", Permission: permission.UserChange,
			Name: "createPasswordReset", Summary: "Create a password reset link",
			Description: "For a user who has forgotten the password. Make sure that the user, and not another person, asks for it. All " +
				"of their sign-ins end immediately. The user sets a new password with the link, once, until `expiresAt`. The link " +
				"is returned only in this answer and replaces an earlier one. It leads to the page at `http.frontend_url`, with " +
				"`#password-reset=` and the token. Without such a page `link` is null; build your own link with the `token` after " +
				"a `#`. The caller must hold every permission that the user holds, and cannot reset their own password.",
			Refusals: []*fault.Error{ErrUserNotFound, ErrBeyondOwn, ErrOwnPassword},
			Endpoint: httpx.Handle(http.StatusCreated, s.handleCreatePasswordReset),
		},
		{
			Method: http.MethodGet, Path: "/users/:id/sessions", Permission: permission.UserChange,
			Name: "listUserSessions", Summary: "List a user's sessions",
			Description: "The user's current sign-ins, the newest first. The caller must hold every permission that the user holds.",
			Refusals:    []*fault.Error{ErrUserNotFound, ErrBeyondOwn}, Endpoint: httpx.Handle(http.StatusOK, s.handleUserSessions),
		},
		{
			Method: http.MethodDelete, Path: "/users/:id/sessions/:sessionId", Permission: permission.UserChange,
			Name: "endUserSession", Summary: "End a user's session",
			Description: "Its access tokens and its refresh token become invalid immediately. The caller must hold every permission " +
				"that the user holds.",
			Refusals: []*fault.Error{ErrUserNotFound, ErrBeyondOwn, ErrSignInNotFound},
			Endpoint: httpx.Handle(http.StatusNoContent, s.handleEndUserSession),
		},
	}
}

type passwordResetBody struct {
	// Token and Link are secrets. They are null if the request is repeated with its
	// Idempotency-Key, because they are not stored; create another link.
	Token     httpx.Secret `json:"token"`
	Link      httpx.Secret `json:"link"` // null if `http.frontend_url` is not configured
	ExpiresAt time.Time    `json:"expiresAt"`
}

func (s *Service) handleCreatePasswordReset(ctx context.Context, in byID) (passwordResetBody, error) {
	reset, err := s.CreatePasswordReset(ctx, in.ID)
	return passwordResetBody{httpx.Secret(reset.Token), httpx.Secret(reset.Link), reset.ExpiresAt}, err
}

type userSessionsBody struct {
	Data []UserSession `json:"data"`
}

func (s *Service) handleUserSessions(ctx context.Context, in byID) (userSessionsBody, error) {
	found, err := s.UserSessions(ctx, in.ID)
	return userSessionsBody{found}, err
}

type userSessionPath struct {
	ID        uuid.UUID `param:"id"`
	SessionID uuid.UUID `param:"sessionId"`
}

func (s *Service) handleEndUserSession(ctx context.Context, in userSessionPath) (httpx.None, error) {
	return httpx.None{}, s.EndUserSession(ctx, in.ID, in.SessionID)
}

type takeFactorRequest struct {
	byID
	Match patch.Match `header:"If-Match"` // the version of the user
}

func (s *Service) handleUnlock(ctx context.Context, in byID) (httpx.None, error) {
	return httpx.None{}, s.UnlockUser(ctx, in.ID)
}

func (s *Service) handleTakeFactor(ctx context.Context, in takeFactorRequest) (httpx.None, error) {
	return httpx.None{}, s.TakeSecondFactor(ctx, in.ID, in.Match)
}

const base = "/api/v1"

// account is a user as administrators see them.
type account struct {
	ID             uuid.UUID  `json:"id"`
	OrganizationID uuid.UUID  `json:"organizationId"`
	Email          string     `json:"email"`
	Name           string     `json:"name"`
	Roles          []Role     `json:"roles"`
	Disabled       bool       `json:"disabled"`       // cannot sign in
	PractitionerID *uuid.UUID `json:"practitionerId"` // null: no practitioner
	SecondFactor   bool       `json:"secondFactor"`   // whether a sign-in with a password requires a code
	Version        int        `json:"version"`        // counts every change, starting with 1
	CreatedAt      time.Time  `json:"createdAt"`
	UpdatedAt      time.Time  `json:"updatedAt"`
}

// Revision returns the version, which the API returns as ETag.
func (a account) Revision() int { return a.Version }

// Location returns the path of the user.
func (a account) Location() string { return base + "/users/" + a.ID.String() }

func accountOf(u User) account {
	return account{
		ID: u.ID, OrganizationID: u.OrganizationID, Email: u.Email, Name: u.Name, Roles: u.Roles, Disabled: u.Disabled,
		PractitionerID: u.PractitionerID, SecondFactor: u.SecondFactor, Version: u.Version, CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt,
	}
}

type byID struct {
	ID uuid.UUID `param:"id"`
}

type usersQuery struct {
	httpx.PageQuery
	Sort           string    `query:"sort" validate:"omitempty,oneof=createdAt -createdAt name -name email -email"`
	Role           Role      `query:"role" validate:"omitempty,oneof=ADMIN SCHEDULER PRACTITIONER TECHNICIAN BILLER AUDITOR PATIENT SUPER_ADMIN"`
	Disabled       *bool     `query:"disabled"`
	PractitionerID uuid.UUID `query:"practitionerId"`
}

// userOrders are the sort orders of users other than the order of their ids.
var userOrders = map[string]struct {
	expression string
	value      func(User) string
}{
	"name":  {"lower(%s)", func(u User) string { return u.Name }},
	"email": {"%s", func(u User) string { return u.Email }},
}

func (s *Service) handleUsers(ctx context.Context, in usersQuery) (httpx.Page[account], error) {
	name, descending := strings.CutPrefix(in.Sort, "-")
	by, sorted := userOrders[name]
	f := UserFilter{
		Keyset: db.Keyset{Descending: descending, Limit: in.Size() + 1},
		Role:   in.Role, Disabled: in.Disabled, PractitionerID: in.PractitionerID,
	}
	if sorted {
		f.Column, f.Expression = name, by.expression
	}
	if err := in.DecodeCursor(&f.After); err != nil {
		return httpx.Page[account]{}, err
	}
	found, err := s.Users(ctx, f)
	return httpx.PageOf(in.PageQuery, found, accountOf, func(u User) any {
		at := db.Position{ID: u.ID}
		if sorted {
			at.Value = by.value(u)
		}
		return at
	}), err
}

func (s *Service) handleUser(ctx context.Context, in byID) (account, error) {
	u, err := s.User(ctx, in.ID)
	return accountOf(u), err
}

// changedAccount is a user after a change.
type changedAccount struct {
	account
	APIKeys []keyBody `json:"apiKeys"` // that the change ended or gave another owner
}

func changedAccountOf(c ChangedUser) changedAccount {
	keys := make([]keyBody, len(c.APIKeys))
	for i, key := range c.APIKeys {
		keys[i] = keyBodyOf(key)
	}
	return changedAccount{accountOf(c.User), keys}
}

func (s *Service) handleChangeUser(ctx context.Context, in UserChange) (changedAccount, error) {
	c, err := s.ChangeUser(ctx, in)
	return changedAccountOf(c), err
}

func (s *Service) handleSetRoles(ctx context.Context, in RolesChange) (changedAccount, error) {
	c, err := s.SetRoles(ctx, in)
	return changedAccountOf(c), err
}
