package account

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
)

// store reads and writes users and their roles, in the transaction of the context.
type store struct{}

// userRow is a row of users.
type userRow struct {
	OrganizationID uuid.UUID `gorm:"primaryKey"`
	ID             uuid.UUID `gorm:"primaryKey"`
	Email          string
	Name           string
	PasswordHash   string
	Status         string
	PractitionerID *uuid.UUID
	TokenEpoch     int64
	UnlockedAt     *time.Time
	Version        int
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// TableName names the table for gorm.
func (userRow) TableName() string { return "users" }

// roleRow is a row of user_roles.
type roleRow struct {
	OrganizationID uuid.UUID `gorm:"primaryKey"`
	UserID         uuid.UUID `gorm:"primaryKey"`
	Role           rbac.Role `gorm:"primaryKey"`
}

// TableName names the table for gorm.
func (roleRow) TableName() string { return "user_roles" }

// The states of a user. Only active users may sign in.
const (
	statusActive   = "ACTIVE"
	statusDisabled = "DISABLED"
)

func statusOf(disabled bool) string {
	if disabled {
		return statusDisabled
	}
	return statusActive
}

// Row is a user as selected by [Columns].
type Row struct {
	Row                  userRow `gorm:"embedded"` // named, because gorm ignores unexported embedded types
	RoleNames            string
	SecondFactor         bool
	SecondFactorRequired bool
}

// Columns select a [Row] from the table users, with the alias u. All of it is one statement, because
// known and unknown addresses must need the same number of statements.
const Columns = `u.*, (
		SELECT coalesce(string_agg(r.role, ' '), '')
		FROM user_roles r
		WHERE r.organization_id = u.organization_id AND r.user_id = u.id
	) AS role_names, EXISTS (
		SELECT FROM second_factors s
		WHERE s.organization_id = u.organization_id AND s.user_id = u.id AND s.confirmed_at IS NOT NULL
	) AS second_factor, EXISTS (
		SELECT FROM sign_in_policies p WHERE p.organization_id = u.organization_id AND p.second_factor_required
	) AS second_factor_required`

// User returns the row's user, without the state of the organization.
func (r Row) User() rbac.User {
	var roles []rbac.Role
	for _, name := range strings.Fields(r.RoleNames) {
		roles = append(roles, rbac.Role(name))
	}
	row := r.Row
	return rbac.User{
		ID: row.ID, OrganizationID: row.OrganizationID, Email: row.Email, Name: row.Name, Roles: rbac.InOrder(roles),
		Disabled: row.Status != statusActive, PractitionerID: row.PractitionerID, SecondFactor: r.SecondFactor,
		Version: row.Version, CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt,
		Epoch: row.TokenEpoch, UnlockedAt: row.UnlockedAt, SecondFactorRequired: r.SecondFactorRequired,
	}
}

func selectAccounts(ctx context.Context, condition string, values ...any) ([]Account, error) {
	rows, err := db.Select[Row](ctx, "SELECT "+Columns+" FROM users u WHERE "+condition, values...)
	found := make([]Account, len(rows))
	for i, r := range rows {
		found[i] = Account{User: r.User(), Hash: r.Row.PasswordHash}
	}
	return found, err
}

// user returns a user of the caller's organization. The error is gorm's if there is none. Index: the
// primary key.
func (store) user(ctx context.Context, id uuid.UUID) (Account, error) {
	return one(ctx, "u.id = ?", id)
}

// userWithEmail is user, by the e-mail address. Index: users_email_once.
func (store) userWithEmail(ctx context.Context, email string) (Account, error) {
	return one(ctx, "u.email = ?", email)
}

func one(ctx context.Context, condition string, value any) (Account, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return Account{}, err
	}
	found, err := selectAccounts(ctx, "u.organization_id = ? AND "+condition, caller.OrganizationID, value)
	if err == nil && len(found) == 0 {
		err = gorm.ErrRecordNotFound
	}
	if err != nil {
		return Account{}, err
	}
	return found[0], nil
}

// accountsWithEmail returns the users of all organizations with the address. Index:
// users_by_email.
func (store) accountsWithEmail(ctx context.Context, email string) ([]Account, error) {
	return selectAccounts(ctx, "u.email = ? ORDER BY u.organization_id", email)
}

// list lists a page of users. Index: the primary key, or users_practitioner_once. Other sort orders
// read all users of the organization, of which there are hundreds.
func (store) list(ctx context.Context, f Filter) ([]rbac.User, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	tx = tx.Table("users AS u").Select(Columns)
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
	var rows []Row
	err = f.Apply(tx).Scan(&rows).Error
	found := make([]rbac.User, len(rows))
	for i, r := range rows {
		found[i] = r.User()
	}
	return found, err
}

// signIns returns the active users with the addresses. Index: users_by_email.
func (store) signIns(ctx context.Context, emails []string) ([]SignIn, error) {
	return db.Select[SignIn](ctx, `
		SELECT email, id, organization_id FROM users WHERE email IN ? AND status = ? ORDER BY email, created_at, id`,
		emails, statusActive)
}

// exists reports whether the organization has the user. Index: the primary key.
func (store) exists(ctx context.Context, organization, id uuid.UUID) (bool, error) {
	return db.SelectOne[bool](ctx,
		"SELECT EXISTS (SELECT FROM users WHERE organization_id = ? AND id = ?)", organization, id)
}

func (store) any(ctx context.Context) (bool, error) {
	return db.SelectOne[bool](ctx, "SELECT EXISTS (SELECT FROM users)")
}

// names returns the names of users. Index: the primary key.
func (store) names(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]string, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	var rows []userRow
	err = tx.Where("id IN ?", ids).Select("id", "name").Find(&rows).Error
	names := make(map[uuid.UUID]string, len(rows))
	for _, r := range rows {
		names[r.ID] = r.Name
	}
	return names, err
}

func (store) insert(ctx context.Context, u rbac.User, hash string) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	err = tx.Create(&userRow{
		OrganizationID: u.OrganizationID, ID: u.ID, Email: u.Email, Name: u.Name, PasswordHash: hash,
		Status: statusActive, Version: u.Version, CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt,
	}).Error
	if err != nil {
		return refusalOf(err)
	}
	roles := make([]roleRow, len(u.Roles))
	for i, role := range u.Roles {
		roles[i] = roleRow{u.OrganizationID, u.ID, role}
	}
	return tx.Create(&roles).Error
}

// update writes the changeable columns of a user and the difference of the roles. Indexes: primary
// keys.
func (store) update(ctx context.Context, before, after rbac.User) error {
	tx, organization, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	result := tx.Model(&userRow{}).Where("id = ?", after.ID).UpdateColumns(map[string]any{
		"name": after.Name, "email": after.Email, "status": statusOf(after.Disabled), "practitioner_id": after.PractitionerID,
		"version": after.Version, "updated_at": after.UpdatedAt,
	})
	if result.Error != nil {
		return refusalOf(result.Error)
	}
	if result.RowsAffected != 1 {
		return fmt.Errorf("rbac: a change of one user touched %d rows", result.RowsAffected)
	}
	if removed := without(before.Roles, after.Roles); len(removed) > 0 {
		if err := tx.Where("user_id = ? AND role IN ?", after.ID, removed).Delete(&roleRow{}).Error; err != nil {
			return err
		}
	}
	var added []roleRow
	for _, role := range without(after.Roles, before.Roles) {
		added = append(added, roleRow{organization, after.ID, role})
	}
	if len(added) == 0 {
		return nil
	}
	return tx.Create(&added).Error
}

// without returns the roles that are not among the others.
func without(roles, others []rbac.Role) []rbac.Role {
	return slices.DeleteFunc(slices.Clone(roles), func(r rbac.Role) bool { return slices.Contains(others, r) })
}

// markUnlocked stores when the sign-in of a user was unlocked. Index: the primary key.
func (store) markUnlocked(ctx context.Context, id uuid.UUID, at time.Time) error {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	return tx.Model(&userRow{}).Where("id = ?", id).UpdateColumn("unlocked_at", at).Error
}

// anotherAdministrator reports whether the organization has another active administrator. Index:
// user_roles_by_role.
func (store) anotherAdministrator(ctx context.Context, user uuid.UUID) (bool, error) {
	_, organization, err := db.Tenant(ctx)
	if err != nil {
		return false, err
	}
	return db.SelectOne[bool](ctx, `
		SELECT EXISTS (
			SELECT FROM user_roles r
			JOIN users u ON u.organization_id = r.organization_id AND u.id = r.user_id
			WHERE r.organization_id = $1 AND r.role = 'ADMIN' AND r.user_id <> $2 AND u.status = 'ACTIVE')`,
		organization, user)
}

// rolesOfPractitioner returns the roles of the practitioner's user. Index: users_practitioner_once.
func (store) rolesOfPractitioner(ctx context.Context, practitioner uuid.UUID) ([]rbac.Role, error) {
	_, organization, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	return db.Select[rbac.Role](ctx, `
		SELECT r.role
		FROM users u
		JOIN user_roles r ON r.organization_id = u.organization_id AND r.user_id = u.id
		WHERE u.organization_id = ? AND u.practitioner_id = ?`, organization, practitioner)
}

// rolesInUse returns the roles of all active users who are not super administrators. Indexes:
// primary keys of users and user_roles; an organization has hundreds of users.
func (store) rolesInUse(ctx context.Context) ([]rbac.Role, error) {
	_, organization, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	return db.Select[rbac.Role](ctx, `
		SELECT DISTINCT r.role
		FROM user_roles r
		JOIN users u ON u.organization_id = r.organization_id AND u.id = r.user_id
		WHERE r.organization_id = $1 AND u.status = 'ACTIVE' AND NOT EXISTS (
			SELECT FROM user_roles s
			WHERE s.organization_id = r.organization_id AND s.user_id = r.user_id AND s.role = 'SUPER_ADMIN')`,
		organization)
}

// refusalOf converts the violation of a constraint to an error of this module.
func refusalOf(err error) error {
	switch db.ConstraintOf(err) {
	case "users_email_once":
		return rbac.ErrEmailTaken.Because(err)
	case "users_practitioner_once":
		return ErrPractitionerTaken.Because(err)
	case "users_practitioner":
		return missing("practitionerId").Because(err)
	case "users_organization":
		return missing("organizationId").Because(err)
	}
	return err
}

func missing(field string) *fault.Error {
	return fault.InvalidFields(fault.Field{Field: field, Code: "reference", Message: "does not exist"})
}
