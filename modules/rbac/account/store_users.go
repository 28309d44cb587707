package rbac

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
)

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
	LiftedAt       *time.Time // when an administrator last lifted the user's locks
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
	Role           Role      `gorm:"primaryKey"`
}

// TableName names the table for gorm.
func (roleRow) TableName() string { return "user_roles" }

// The states of a user. Only active users may sign in.
const (
	statusActive   = "ACTIVE"
	statusDisabled = "DISABLED"
)

// credentials are a user with the password hash and the second factor.
type credentials struct {
	User         User
	Organization string // its name
	Hash         string
	Factor       factor
	Asks         bool // whether the organization requires a second factor
}

// foundUser is a user with the roles, read in one statement: known and unknown addresses must
// need the same number of statements.
type foundUser struct {
	Row       userRow `gorm:"embedded"` // named, because gorm ignores unexported embedded types
	RoleNames string
	// OrganizationDisabled is loaded with the user, so that every sign-in checks it.
	OrganizationDisabled bool
	SecondFactor         bool
}

const userColumns = `u.*, (
		SELECT coalesce(string_agg(r.role, ' '), '')
		FROM user_roles r
		WHERE r.organization_id = u.organization_id AND r.user_id = u.id
	) AS role_names, EXISTS (
		SELECT FROM second_factors s
		WHERE s.organization_id = u.organization_id AND s.user_id = u.id AND s.confirmed_at IS NOT NULL
	) AS second_factor, (
		SELECT o.disabled FROM organizations o WHERE o.id = u.organization_id
	) AS organization_disabled`

// asksSQL is whether the organization of a user requires a second factor.
const asksSQL = `EXISTS (
		SELECT FROM sign_in_policies p WHERE p.organization_id = u.organization_id AND p.second_factor_required
	) AS asks`

const selectUser = `SELECT ` + userColumns + ` FROM users u`

func (f foundUser) user() User {
	var held []Role
	for _, name := range strings.Fields(f.RoleNames) {
		held = append(held, Role(name))
	}
	row := f.Row
	return User{
		ID: row.ID, OrganizationID: row.OrganizationID, Email: row.Email, Name: row.Name, Roles: inOrder(held),
		Disabled: row.Status != statusActive, PractitionerID: row.PractitionerID, SecondFactor: f.SecondFactor,
		Version: row.Version, CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt,
		epoch: row.TokenEpoch, liftedAt: row.LiftedAt, organizationDisabled: f.OrganizationDisabled,
	}
}

func takeFound(tx *gorm.DB, condition string, values ...any) (foundUser, error) {
	var rows []foundUser
	err := tx.Raw(selectUser+" WHERE "+condition, values...).Scan(&rows).Error
	if err == nil && len(rows) == 0 {
		err = gorm.ErrRecordNotFound
	}
	if err != nil {
		return foundUser{}, err
	}
	return rows[0], nil
}

// credentialsOf returns the accounts of an e-mail address in all organizations, sorted by
// organization name, with their second factors. It is one statement for any number of accounts.
// Indexes: users_email_once, the primary key of second_factors.
func credentialsOf(ctx context.Context, email string) ([]credentials, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	var rows []struct {
		Found        foundUser `gorm:"embedded"`
		Organization string
		Factor       factor `gorm:"embedded;embeddedPrefix:f_"`
		Asks         bool
	}
	err = tx.Raw(`
		SELECT `+userColumns+`, o.name AS organization, `+asksSQL+`,
			f.organization_id AS f_organization_id, f.user_id AS f_user_id, f.secret AS f_secret, f.begun_at AS f_begun_at,
			f.confirmed_at AS f_confirmed_at, f.last_step AS f_last_step, f.wrong_codes AS f_wrong_codes
		FROM users u
		JOIN organizations o ON o.id = u.organization_id
		LEFT JOIN second_factors f ON f.organization_id = u.organization_id AND f.user_id = u.id
		WHERE u.email = ?
		ORDER BY lower(o.name), o.id`, email).Scan(&rows).Error
	accounts := make([]credentials, len(rows))
	for i, r := range rows {
		accounts[i] = credentials{r.Found.user(), r.Organization, r.Found.Row.PasswordHash, r.Factor, r.Asks}
	}
	return accounts, err
}

// takeUser returns a user of the caller's organization.
func takeUser(ctx context.Context, id uuid.UUID) (User, error) {
	_, organization, err := db.Tenant(ctx)
	if err != nil {
		return User{}, err
	}
	tx, err := db.Handle(ctx)
	if err != nil {
		return User{}, err
	}
	found, err := takeFound(tx, "u.organization_id = ? AND u.id = ?", organization, id)
	return found.user(), err
}

func userExists(ctx context.Context, organization, id uuid.UUID) (bool, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return false, err
	}
	var found int64
	err = tx.Model(&userRow{}).Where("organization_id = ? AND id = ?", organization, id).Count(&found).Error
	return found == 1, err
}

func anyUser(ctx context.Context) (found bool, err error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return false, err
	}
	err = tx.Raw("SELECT EXISTS (SELECT 1 FROM users)").Scan(&found).Error
	return found, err
}

// activeAccounts returns the active users with the addresses. Index: users_email_once.
func activeAccounts(ctx context.Context, emails []string) (found []SignInAccount, err error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	err = tx.Model(&userRow{}).Where("email IN ? AND status = ?", emails, statusActive).
		Order("email, created_at, id").Find(&found).Error
	return found, err
}

func insertUser(ctx context.Context, u User, hash string) error {
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
	held := make([]roleRow, len(u.Roles))
	for i, role := range u.Roles {
		held[i] = roleRow{u.OrganizationID, u.ID, role}
	}
	return tx.Create(&held).Error
}

// refusalOf converts the violation of a constraint to an error of this module.
func refusalOf(err error) error {
	switch db.ConstraintOf(err) {
	case "users_email_once":
		return ErrEmailTaken.Because(err)
	case "users_practitioner_once":
		return ErrPractitionerTaken.Because(err)
	case "users_practitioner":
		return fault.InvalidFields(fault.Field{Field: "practitionerId", Code: "reference", Message: "does not exist"}).Because(err)
	case "users_organization":
		return fault.InvalidFields(fault.Field{Field: "organizationId", Code: "reference", Message: "does not exist"}).Because(err)
	}
	return err
}
