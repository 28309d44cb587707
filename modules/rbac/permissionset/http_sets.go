package permissionset

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/permission"
)

// Routes returns the operations on permission sets.
func (s *Service) Routes() []httpx.Route {
	return []httpx.Route{
		{
			Method: http.MethodGet, Path: "/permission-sets", Permission: permission.PermissionSetRead,
			Name: "listPermissionSets", Summary: "List the permissions of each role",
			Description: "The permissions of each role in the organization, and for which records: ORGANIZATION (all), CASELOAD (patients " +
				"on the caseload), SELF (the user's own appointments), CHILD (the family). `shipped` means that the organization " +
				"uses the default set. `possible` lists the scopes that each permission can have.",
			Endpoint: httpx.Handle(http.StatusOK, s.handleSets),
		},
		{
			Method: http.MethodPut, Path: "/permission-sets/:role", Permission: permission.PermissionSetChange,
			Name: "changePermissionSet", Summary: "Change the permissions of a role",
			Description: "Replaces the whole set, for every user with the role, from the next request on. The caller must hold every " +
				"permission of the set, before and after the change. Administrators keep the permissions needed to undo it. A " +
				"scope that no operation with the permission supports is refused (422): see `possible` in the list. A changed set " +
				"does not receive the defaults of later versions.",
			Refusals: []*fault.Error{ErrRoleNotFound, identity.ErrBeyondOwn}, Endpoint: httpx.Handle(http.StatusOK, s.handleChangeSet),
		},
		{
			Method: http.MethodDelete, Path: "/permission-sets/:role", Permission: permission.PermissionSetChange,
			Name: "restorePermissionSet", Summary: "Restore the default permissions of a role",
			Description: "From the next request on the role has the default set again, and receives the defaults of later versions. The " +
				"caller must hold every permission of the set, before and after the change. Administrators can always restore " +
				"their own role's defaults.",
			Refusals: []*fault.Error{ErrRoleNotFound, identity.ErrBeyondOwn}, Endpoint: httpx.Handle(http.StatusNoContent, s.handleRestoreSet),
		},
	}
}

// permissionSetBody is the set of permissions of a role.
type permissionSetBody struct {
	Role    rbac.Role `json:"role"`    // The role that has the permissions.
	Default bool      `json:"shipped"` // Whether the organization uses the default set.
	// The permissions of the role, in the order of the documentation.
	Permissions []setGrantBody `json:"permissions"`
	// The number of changes by the organization. It is 0 before the first one.
	Version   int        `json:"version"`
	ChangedAt *time.Time `json:"changedAt"` // The time of the last change. It is null before the first one.
	ChangedBy *uuid.UUID `json:"changedBy"` // The user who made the last change. It is null before the first one.
}

// Revision returns the version, which the API returns as ETag.
func (b permissionSetBody) Revision() int { return b.Version }

// setGrantBody is a permission with its scopes.
type setGrantBody struct {
	// The name of the permission.
	Permission identity.Permission `json:"permission" validate:"required,max=100"`
	// The records for which the permission is held: all of the organization, records of patients on
	// the caseload, the user's own, or records of the family.
	Scopes []string `json:"scopes" validate:"required,min=1,max=4,dive,oneof=ORGANIZATION CASELOAD SELF CHILD"`
}

func permissionSetBodyOf(set Set) permissionSetBody {
	b := permissionSetBody{set.Role, set.Default, []setGrantBody{}, set.Version, rbac.InUTC(set.ChangedAt), set.ChangedBy}
	for _, p := range rbac.Permissions() {
		if scope := set.Held[p]; scope != 0 {
			b.Permissions = append(b.Permissions, setGrantBody{p, scope.Names()})
		}
	}
	return b
}

// permissionSetsBody is the list of the permission sets of an organization.
type permissionSetsBody struct {
	Data []permissionSetBody `json:"data"` // The permission sets, one for each role.
	// The scopes that each permission can have, widest first.
	Possible map[identity.Permission][]string `json:"possible"`
}

func (s *Service) handleSets(ctx context.Context, _ httpx.None) (permissionSetsBody, error) {
	found, err := s.List(ctx)
	b := permissionSetsBody{Data: []permissionSetBody{}, Possible: map[identity.Permission][]string{}}
	for _, p := range rbac.Permissions() {
		b.Possible[p] = s.scopesOf(p).Names()
	}
	for _, set := range found {
		b.Data = append(b.Data, permissionSetBodyOf(set))
	}
	return b, err
}

type changeSetRequest struct {
	Role  string      `param:"role" validate:"max=100"` // The name of the role.
	Match patch.Match `header:"If-Match"`
	// All permissions of the role after the change.
	Permissions []setGrantBody `json:"permissions" validate:"required,max=200,dive"`
}

func (s *Service) handleChangeSet(ctx context.Context, in changeSetRequest) (permissionSetBody, error) {
	set, fieldErrors := in.held(s.scopesOf)
	if len(fieldErrors) > 0 {
		return permissionSetBody{}, fault.InvalidFields(fieldErrors...)
	}
	changed, err := s.Change(ctx, Change{rbac.Role(in.Role), in.Match, set})
	return permissionSetBodyOf(changed), err
}

// held returns the set, and an error for each invalid entry.
func (r changeSetRequest) held(possible func(identity.Permission) identity.Scope) (rbac.Held, []fault.Field) {
	set, all := rbac.Held{}, rbac.Permissions()
	var fieldErrors []fault.Field
	for i, g := range r.Permissions {
		field := fmt.Sprintf("permissions[%d].permission", i)
		switch {
		case !slices.Contains(all, g.Permission):
			fieldErrors = append(fieldErrors, fault.Field{Field: field, Code: "permission", Message: "is not a permission"})
		case set[g.Permission] != 0:
			fieldErrors = append(fieldErrors, fault.Field{Field: field, Code: "unique", Message: "must not be repeated"})
		}
		for j, name := range g.Scopes {
			scope, err := identity.ParseScope(name)
			if can := possible(g.Permission); err != nil || !can.Has(scope) {
				fieldErrors = append(fieldErrors, fault.Field{
					Field: fmt.Sprintf("permissions[%d].scopes[%d]", i, j), Code: "scope",
					Message: "must be one of " + strings.Join(can.Names(), ", ") + " for this permission",
				})
			}
			set[g.Permission] |= scope
		}
	}
	return set, fieldErrors
}

type restoreSetRequest struct {
	Role  string      `param:"role" validate:"max=100"` // The name of the role.
	Match patch.Match `header:"If-Match"`
}

func (s *Service) handleRestoreSet(ctx context.Context, in restoreSetRequest) (httpx.None, error) {
	return httpx.None{}, s.Restore(ctx, rbac.Role(in.Role), in.Match)
}
