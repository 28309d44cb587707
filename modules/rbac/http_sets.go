package rbac

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/patch"
)

func (s *Service) setRoutes() []httpx.Route {
	return []httpx.Route{
		{
			Method: http.MethodGet, Path: "/permission-sets", Permission: permissionSetRead,
			Name: "listPermissionSets", Summary: "Read what each role may do",
			Description: "Role by role which permissions it holds in the organization, and for which records: ORGANIZATION all, CASELOAD of the patients on the caseload, SELF of one's own appointments, CHILD of the family. `shipped` says that it is what every organization begins with. `possible` tells for which of these records each permission can be held at all.",
			Endpoint:    httpx.Handle(http.StatusOK, s.handleSets),
		},
		{
			Method: http.MethodPut, Path: "/permission-sets/:role", Permission: permissionSetChange,
			Name: "changePermissionSet", Summary: "Say what a role may do",
			Description: "Replaces the whole set, for everybody with the role, from the next request on. Nobody changes a set that holds, before or after, what they do not hold themselves; administrators keep what they need to take it back. A scope to which no operation with the permission keeps is refused (422): see `possible` in the list. A set that was changed does not get what later versions of the program ship.",
			Refusals:    []*fault.Error{ErrRoleNotFound, ErrBeyondOwn}, Endpoint: httpx.Handle(http.StatusOK, s.handleChangeSet),
		},
		{
			Method: http.MethodDelete, Path: "/permission-sets/:role", Permission: permissionSetChange,
			Name: "restorePermissionSet", Summary: "Give a role back what is shipped",
			Description: "From the next request on the role holds what every organization begins with, and what later versions of the program ship. Nobody does that to a role that holds, before or after, what they do not hold themselves; administrators can always have back what they are shipped with.",
			Refusals:    []*fault.Error{ErrRoleNotFound, ErrBeyondOwn}, Endpoint: httpx.Handle(http.StatusNoContent, s.handleRestoreSet),
		},
	}
}

// permissionSetBody is a permission set as clients see it.
type permissionSetBody struct {
	Role        Role           `json:"role"`
	Shipped     bool           `json:"shipped"`
	Permissions []setGrantBody `json:"permissions"` // in the order of the document of roles
	Version     int            `json:"version"`     // counts the organization's changes; 0: none
	ChangedAt   *time.Time     `json:"changedAt"`   // null: never
	ChangedBy   *uuid.UUID     `json:"changedBy"`   // a user
}

// Revision returns the version, which the API gives as ETag.
func (b permissionSetBody) Revision() int { return b.Version }

// setGrantBody is a permission, and for which records it is held.
type setGrantBody struct {
	Permission identity.Permission `json:"permission" validate:"required,max=100"`
	Scopes     []string            `json:"scopes" validate:"required,min=1,max=4,dive,oneof=ORGANIZATION CASELOAD SELF CHILD"`
}

func permissionSetBodyOf(set PermissionSet) permissionSetBody {
	b := permissionSetBody{set.Role, set.Shipped, []setGrantBody{}, set.Version, inUTC(set.ChangedAt), set.ChangedBy}
	for _, p := range Permissions() {
		if scope := set.Held[p]; scope != 0 {
			b.Permissions = append(b.Permissions, setGrantBody{p, scope.Names()})
		}
	}
	return b
}

// permissionSetsBody are all permission sets of an organization.
type permissionSetsBody struct {
	Data []permissionSetBody `json:"data"`
	// Possible says for which records each permission can be held at all, widest first.
	Possible map[identity.Permission][]string `json:"possible"`
}

func (s *Service) handleSets(ctx context.Context, _ httpx.None) (permissionSetsBody, error) {
	found, err := s.PermissionSets(ctx)
	b := permissionSetsBody{Data: []permissionSetBody{}, Possible: map[identity.Permission][]string{}}
	for _, p := range Permissions() {
		b.Possible[p] = s.possibleOf(p).Names()
	}
	for _, set := range found {
		b.Data = append(b.Data, permissionSetBodyOf(set))
	}
	return b, err
}

type changeSetRequest struct {
	Role        string         `param:"role" validate:"max=100"`
	Match       patch.Match    `header:"If-Match"`
	Permissions []setGrantBody `json:"permissions" validate:"required,max=200,dive"`
}

func (s *Service) handleChangeSet(ctx context.Context, in changeSetRequest) (permissionSetBody, error) {
	set, wrong := in.held(s.possibleOf)
	if len(wrong) > 0 {
		return permissionSetBody{}, fault.InvalidFields(wrong...)
	}
	changed, err := s.ChangePermissionSet(ctx, PermissionSetChange{Role(in.Role), in.Match, set})
	return permissionSetBodyOf(changed), err
}

// held returns the set, and what cannot be in one.
func (r changeSetRequest) held(possible func(identity.Permission) identity.Scope) (held, []fault.Field) {
	set, all := held{}, Permissions()
	var wrong []fault.Field
	for i, g := range r.Permissions {
		field := fmt.Sprintf("permissions[%d].permission", i)
		switch {
		case !slices.Contains(all, g.Permission):
			wrong = append(wrong, fault.Field{Field: field, Code: "permission", Message: "is not a permission"})
		case set[g.Permission] != 0:
			wrong = append(wrong, fault.Field{Field: field, Code: "unique", Message: "must not be given twice"})
		}
		for j, name := range g.Scopes {
			scope, err := identity.ParseScope(name)
			if can := possible(g.Permission); err != nil || !can.Has(scope) {
				wrong = append(wrong, fault.Field{
					Field: fmt.Sprintf("permissions[%d].scopes[%d]", i, j), Code: "scope", Message: "must be one of " + strings.Join(can.Names(), ", ") + " for this permission",
				})
			}
			set[g.Permission] |= scope
		}
	}
	return set, wrong
}

type restoreSetRequest struct {
	Role  string      `param:"role" validate:"max=100"`
	Match patch.Match `header:"If-Match"`
}

func (s *Service) handleRestoreSet(ctx context.Context, in restoreSetRequest) (httpx.None, error) {
	return httpx.None{}, s.RestorePermissionSet(ctx, Role(in.Role), in.Match)
}
