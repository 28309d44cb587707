package demo

import (
	"context"
	"errors"
	"slices"

	"github.com/google/uuid"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/patch"
)

// links says who of the users is which practitioner, whose caseload the technician
// has, and whose parent the parent is. Without them they would see nobody.
func (p Practice) links(own context.Context, staff map[string]uuid.UUID, patients []coverage) error {
	users, err := p.Access.Users(own, rbac.UserFilter{Keyset: db.Keyset{Limit: len(people)}})
	if err != nil {
		return err
	}
	byRole := func(role rbac.Role) (uuid.UUID, error) {
		i := slices.IndexFunc(users, func(u rbac.User) bool { return slices.Contains(u.Roles, role) })
		if i < 0 {
			return uuid.Nil, errors.New("demo: nobody is " + string(role))
		}
		return users[i].ID, nil
	}
	admin, err := byRole(rbac.Admin)
	if err != nil {
		return err
	}
	caller, err := identity.From(own)
	if err != nil {
		return err
	}
	caller.UserID = admin // links are somebody's to give
	acting := identity.With(own, caller)
	for role, practitioner := range map[rbac.Role]uuid.UUID{rbac.Practitioner: staff["Bea"], rbac.Technician: staff["Tom"]} {
		user, err := byRole(role)
		if err != nil {
			return err
		}
		if _, err := p.Access.ChangeUser(acting, rbac.UserChange{ID: user, PractitionerID: patch.SetClearable(practitioner)}); err != nil {
			return err
		}
	}
	for _, i := range []int{0, 1, 3, 21, 39} { // the patients that Tom treats
		if _, err := p.Access.Assign(acting, staff["Tom"], patients[i].patient); err != nil {
			return err
		}
	}
	parent, err := byRole(rbac.Patient)
	if err != nil {
		return err
	}
	for _, i := range []int{0, 3} { // the children of the Sample family
		if _, err := p.Access.Entrust(acting, parent, patients[i].patient, rbac.RelationGuardian); err != nil {
			return err
		}
	}
	return nil
}
