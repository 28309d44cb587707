package rbac

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

// findUsers lists a page of users. Index: the primary key, or users_practitioner_once. Other sort
// orders read all users of the organization, of which there are hundreds.
func findUsers(ctx context.Context, f UserFilter) ([]User, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	tx = tx.Table("users AS u").Select(userColumns)
	if f.Role != "" { // index: the primary key of user_roles
		tx = tx.Where(`EXISTS (
			SELECT FROM user_roles r
			WHERE r.organization_id = u.organization_id AND r.user_id = u.id AND r.role = ?)`, f.Role)
	}
	if f.Disabled != nil {
		tx = tx.Where("u.status = ?", statusOf(*f.Disabled))
	}
	if f.PractitionerID != uuid.Nil {
		tx = tx.Where("u.practitioner_id = ?", f.PractitionerID)
	}
	var rows []foundUser
	err = f.Apply(tx).Scan(&rows).Error
	found := make([]User, len(rows))
	for i, row := range rows {
		found[i] = row.user()
	}
	return found, err
}

func statusOf(disabled bool) string {
	if disabled {
		return statusDisabled
	}
	return statusActive
}

// anotherAdministrator reports whether the caller's organization has another active administrator
// than this user. In a SERIALIZABLE transaction, two administrators who remove each other at the
// same time conflict here. Index: user_roles_by_role.
func anotherAdministrator(ctx context.Context, user uuid.UUID) (found bool, err error) {
	tx, organization, err := db.Tenant(ctx)
	if err != nil {
		return false, err
	}
	err = tx.Raw(`
		SELECT EXISTS (
			SELECT FROM user_roles r
			JOIN users u ON u.organization_id = r.organization_id AND u.id = r.user_id
			WHERE r.organization_id = $1 AND r.role = 'ADMIN' AND r.user_id <> $2 AND u.status = 'ACTIVE')`,
		organization, user).Scan(&found).Error
	return found, err
}

// updateUser writes the changeable columns of a user and the difference of the roles.
func updateUser(ctx context.Context, before, after User) error {
	tx, organization, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	result := tx.Model(&userRow{}).Where("id = ?", after.ID).UpdateColumns(map[string]any{
		"name": after.Name, "status": statusOf(after.Disabled), "practitioner_id": after.PractitionerID,
		"version": after.Version, "updated_at": after.UpdatedAt,
	})
	if result.Error != nil {
		return refusalOf(result.Error)
	}
	if result.RowsAffected != 1 {
		return fmt.Errorf("rbac: a change of one user touched %d rows", result.RowsAffected)
	}
	var gone []Role
	for _, role := range before.Roles {
		if !slices.Contains(after.Roles, role) {
			gone = append(gone, role)
		}
	}
	if len(gone) > 0 {
		if err := tx.Where("user_id = ? AND role IN ?", after.ID, gone).Delete(&roleRow{}).Error; err != nil {
			return err
		}
	}
	var come []roleRow
	for _, role := range after.Roles {
		if !slices.Contains(before.Roles, role) {
			come = append(come, roleRow{organization, after.ID, role})
		}
	}
	if len(come) == 0 {
		return nil
	}
	return tx.Create(&come).Error
}
