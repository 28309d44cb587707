package demo

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/account"
	"omnirapeutic/modules/rbac/user"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/patch"
)

// links links users to practitioners, the technician to a caseload, and the parent to
// children. Without links they could see no records.
func (p Practice) links(own context.Context, staff map[string]uuid.UUID, patients []coverage) error {
	acting, err := p.as(own, rbac.Admin) // the audit trail records the linking user
	if err != nil {
		return err
	}
	for role, practitioner := range map[rbac.Role]uuid.UUID{
		rbac.Practitioner: staff["Bea"], rbac.Technician: staff["Tom"],
	} {
		id, err := p.userOf(own, role)
		if err != nil {
			return err
		}
		if _, err := p.Access.Users.Change(acting,
			user.Change{ID: id, PractitionerID: patch.SetClearable(practitioner)}); err != nil {
			return err
		}
	}
	for _, i := range []int{0, 1, 3, 21, 39} { // the patients that Tom treats
		if _, err := p.Access.Users.Assign(acting, staff["Tom"], patients[i].patient); err != nil {
			return err
		}
	}
	parent, err := p.userOf(own, rbac.Patient)
	if err != nil {
		return err
	}
	for _, i := range []int{0, 3} { // the children of the Sample family
		if _, err := p.Access.Users.AddPatient(acting, parent, patients[i].patient, user.RelationGuardian); err != nil {
			return err
		}
	}
	return nil
}

// userOf returns the id of the first user with the role.
func (p Practice) userOf(own context.Context, role rbac.Role) (uuid.UUID, error) {
	users, err := p.Access.Accounts.List(own, account.Filter{Keyset: db.Keyset{Limit: 1}, Role: role})
	if err != nil {
		return uuid.Nil, err
	}
	if len(users) == 0 {
		return uuid.Nil, errors.New("demo: no user has the role " + string(role))
	}
	return users[0].ID, nil
}

// as returns a context that acts as the first user with the role.
func (p Practice) as(own context.Context, role rbac.Role) (context.Context, error) {
	user, err := p.userOf(own, role)
	if err != nil {
		return nil, err
	}
	caller, err := identity.From(own)
	if err != nil {
		return nil, err
	}
	acting, err := p.Access.Accounts.CurrentCaller(own, caller.OrganizationID, user)
	acting.RequestID = caller.RequestID
	return identity.With(own, acting), err
}
