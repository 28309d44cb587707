package user

import (
	"context"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/account"
	"omnirapeutic/modules/rbac/apikey"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/permission"
)

// Routes returns the operations on users, caseloads and guardians.
func (s *Service) Routes() []httpx.Route {
	return append(s.caseloadRoutes(), []httpx.Route{
		{
			Method: http.MethodGet, Path: "/users", Permission: permission.UserRead,
			Name: "listUsers", Summary: "List users",
			Description: "The users of the organization, including disabled ones, in the order of their creation unless " +
				"`sort` says otherwise.",
			Endpoint: httpx.Handle(http.StatusOK, s.handleUsers),
		},
		{
			Method: http.MethodGet, Path: "/users/:id", Permission: permission.UserRead,
			Name: "getUser", Summary: "Get a user",
			Description: "One user of the organization, with their roles.",
			Refusals:    []*fault.Error{rbac.ErrUserNotFound}, Endpoint: httpx.Handle(http.StatusOK, s.handleUser),
		},
		{
			Method: http.MethodPatch, Path: "/users/:id", Permission: permission.UserChange,
			Name: "changeUser", Summary: "Change or disable a user",
			Description: "A merge patch: fields that are not given stay unchanged. Nothing is deleted: a user who has left " +
				"is `disabled` and cannot sign in. The API keys of a disabled user end, and the answer lists them as `apiKeys`. " +
				"With `apiKeyOwnerId` they get that owner instead, who must hold the permissions of the keys. `practitionerId` " +
				"is the user's practitioner in the directory. It decides about caseloads and own records, so only a caller who " +
				"may read all patients can set it. With another `email` the password becomes invalid and all sessions end; then " +
				"create a link to set a new password. Both addresses get a notice. Callers cannot change their own address. The " +
				"last administrator cannot be disabled. A caller cannot change a user who holds more permissions than they do.",
			Refusals: []*fault.Error{
				rbac.ErrUserNotFound, identity.ErrBeyondOwn, ErrLastAdministrator, account.ErrPractitionerTaken,
				rbac.ErrEmailTaken, ErrOwnEmail,
			},
			Endpoint: httpx.Handle(http.StatusOK, s.handleChangeUser),
		},
		{
			Method: http.MethodPut, Path: "/users/:id/roles", Permission: permission.UserGrant,
			Name: "setUserRoles", Summary: "Set a user's roles",
			Description: "Replaces all roles of the user. The caller must hold every permission of each role that they give " +
				"or take away. The last administrator keeps that role. API keys of the user with more permissions than the new " +
				"roles end, or get the owner `apiKeyOwnerId`; `apiKeys` lists them.",
			Refusals: []*fault.Error{rbac.ErrUserNotFound, identity.ErrBeyondOwn, ErrLastAdministrator},
			Endpoint: httpx.Handle(http.StatusOK, s.handleSetRoles),
		},
	}...)
}

type byID struct {
	ID uuid.UUID `param:"id"`
}

type usersQuery struct {
	httpx.PageQuery
	// The sort order. A leading hyphen reverses it.
	Sort string `query:"sort" validate:"omitempty,oneof=createdAt -createdAt name -name email -email"`
	// The role of the listed users.
	Role rbac.Role `query:"role" validate:"omitempty,oneof=ADMIN SCHEDULER PRACTITIONER TECHNICIAN BILLER AUDITOR PATIENT SUPER_ADMIN"`
	// Whether the listed users are disabled.
	Disabled *bool `query:"disabled"`
	// The practitioner of the listed user.
	PractitionerID uuid.UUID `query:"practitionerId"`
}

// userOrders are the sort orders of users other than the order of their ids.
var userOrders = map[string]struct {
	expression string
	value      func(rbac.User) string
}{
	"name":  {"lower(%s)", func(u rbac.User) string { return u.Name }},
	"email": {"%s", func(u rbac.User) string { return u.Email }},
}

func (s *Service) handleUsers(ctx context.Context, in usersQuery) (httpx.Page[account.AccountBody], error) {
	name, descending := strings.CutPrefix(in.Sort, "-")
	by, sorted := userOrders[name]
	f := account.Filter{
		Keyset: db.Keyset{Descending: descending, Limit: in.Size() + 1},
		Role:   in.Role, Disabled: in.Disabled, PractitionerID: in.PractitionerID,
	}
	if sorted {
		f.Column, f.Expression = name, by.expression
	}
	if err := in.DecodeCursor(&f.After); err != nil {
		return httpx.Page[account.AccountBody]{}, err
	}
	found, err := s.Accounts.List(ctx, f)
	return httpx.PageOf(in.PageQuery, found, account.Body, func(u rbac.User) any {
		at := db.Position{ID: u.ID}
		if sorted {
			at.Value = by.value(u)
		}
		return at
	}), err
}

func (s *Service) handleUser(ctx context.Context, in byID) (account.AccountBody, error) {
	u, err := s.Accounts.Get(ctx, in.ID)
	return account.Body(u), err
}

// changedAccount is a user after a change.
type changedAccount struct {
	account.AccountBody
	APIKeys []apikey.KeyBody `json:"apiKeys"` // The API keys that the change ended or gave another owner.
}

func changedAccountOf(c Changed) changedAccount {
	keys := make([]apikey.KeyBody, len(c.APIKeys))
	for i, key := range c.APIKeys {
		keys[i] = apikey.Body(key)
	}
	return changedAccount{account.Body(c.User), keys}
}

// userChange is a change of the given fields of a user.
type userChange struct {
	ID    uuid.UUID           `param:"id"`
	Match patch.Match         `header:"If-Match"`
	Name  patch.Field[string] `json:"name" validate:"omitempty,max=100,text"` // The full name of the user.
	// The e-mail address of the user. With another address the password becomes invalid.
	Email    patch.Field[string] `json:"email" validate:"omitempty,max=254"`
	Disabled patch.Field[bool]   `json:"disabled"` // Whether the user cannot sign in.
	// The user's practitioner in the directory. Null removes it.
	PractitionerID patch.Clearable[uuid.UUID] `json:"practitionerId"`
	// The new owner of the API keys that this user may no longer own. Without it, those keys end.
	APIKeyOwnerID *uuid.UUID `json:"apiKeyOwnerId"`
}

func (s *Service) handleChangeUser(ctx context.Context, in userChange) (changedAccount, error) {
	c, err := s.Change(ctx, Change(in))
	return changedAccountOf(c), err
}

// rolesChange is a replacement of all roles of a user.
type rolesChange struct {
	ID    uuid.UUID   `param:"id"`
	Match patch.Match `header:"If-Match"`
	Roles []rbac.Role `json:"roles" validate:"required,min=1,max=8"` // All roles of the user after the change.
	// The new owner of the API keys that this user may no longer own. Without it, those keys end.
	APIKeyOwnerID *uuid.UUID `json:"apiKeyOwnerId"`
}

func (s *Service) handleSetRoles(ctx context.Context, in rolesChange) (changedAccount, error) {
	c, err := s.SetRoles(ctx, RolesChange(in))
	return changedAccountOf(c), err
}
