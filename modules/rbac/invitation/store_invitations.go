package rbac

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"omnirapeutic/platform/db"
)

// TableName names the table for gorm.
func (Invitation) TableName() string { return "invitations" }

// roleList is a text[] of roles, none of which needs quoting.
type roleList []Role

// Value writes the list to the database.
func (l roleList) Value() (driver.Value, error) { return "{" + strings.Join(names(l), ",") + "}", nil }

// Scan reads the list from the database.
func (l *roleList) Scan(value any) error {
	text, ok := value.(string)
	if !ok {
		return fmt.Errorf("rbac: a list of roles is %T", value)
	}
	*l = roleList{}
	for name := range strings.SplitSeq(strings.Trim(text, "{}"), ",") {
		*l = append(*l, Role(name))
	}
	return nil
}

func insertInvitation(ctx context.Context, i Invitation) error {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	return tx.Create(&i).Error
}

func invitationExists(ctx context.Context, id uuid.UUID) (bool, error) {
	_, err := takeInvitation(ctx, id)
	if errors.Is(err, ErrInvitationNotFound) {
		return false, nil
	}
	return err == nil, err
}

func takeInvitation(ctx context.Context, id uuid.UUID) (Invitation, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return Invitation{}, err
	}
	return oneInvitation(tx.Where("id = ?", id))
}

// invitationWith returns the invitation with the token, of any organization that is not disabled.
// Index: invitations_token.
func invitationWith(ctx context.Context, tokenHash []byte) (Invitation, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return Invitation{}, err
	}
	return oneInvitation(tx.Where("token_hash = ? AND "+organizationOpen, tokenHash))
}

// lockInvitation is invitationWith with a row lock, so that only one of several concurrent
// requests accepts it.
func lockInvitation(ctx context.Context, tokenHash []byte) (Invitation, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return Invitation{}, err
	}
	return oneInvitation(tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).
		Where("token_hash = ? AND "+organizationOpen, tokenHash))
}

// lockInvitationTo locks the open invitation to the address, of the caller's organization unless
// it is disabled. There is at most one. Index: the primary key; an organization has hundreds at
// most.
func lockInvitationTo(ctx context.Context, email string, now time.Time) (Invitation, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return Invitation{}, err
	}
	return oneInvitation(tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).
		Where("email = ? AND "+isOpen+" AND expires_at > ? AND "+organizationOpen, email, now))
}

func oneInvitation(tx *gorm.DB) (Invitation, error) {
	var found []Invitation
	err := tx.Find(&found).Error
	if err == nil && len(found) == 0 {
		err = ErrInvitationNotFound.Because(errGuess)
	}
	if err != nil {
		return Invitation{}, err
	}
	return found[0], nil
}

// isOpen is the condition for invitations that are neither accepted nor revoked.
const isOpen = "accepted_at IS NULL AND revoked_at IS NULL"

// findInvitations lists a page of invitations. Index: the primary key.
func findInvitations(ctx context.Context, f InvitationFilter, now time.Time) ([]Invitation, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	switch f.State {
	case InvitationOpen:
		tx = tx.Where(isOpen+" AND expires_at > ?", now)
	case InvitationExpired:
		tx = tx.Where(isOpen+" AND expires_at <= ?", now)
	case InvitationAccepted:
		tx = tx.Where("accepted_at IS NOT NULL")
	case InvitationRevoked:
		tx = tx.Where("revoked_at IS NOT NULL")
	}
	var found []Invitation
	err = f.Apply(tx).Find(&found).Error
	return found, err
}

// invitationCondition is a condition that selects invitations, with its value.
type invitationCondition struct {
	condition string
	value     any
}

func invitationOf(id uuid.UUID) invitationCondition  { return invitationCondition{"id = ?", id} }
func invitationsTo(email string) invitationCondition { return invitationCondition{"email = ?", email} }

func invitationsBy(inviter uuid.UUID) invitationCondition {
	return invitationCondition{"invited_by = ?", inviter}
}

// revokeInvitations revokes the selected open invitations of the caller's organization and
// returns them. Index: the primary key; an organization has hundreds at most.
func revokeInvitations(ctx context.Context, which invitationCondition, now time.Time) ([]Invitation, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	var gone []Invitation
	err = tx.Model(&gone).Clauses(clause.Returning{}).Where(isOpen).Where(which.condition, which.value).UpdateColumn("revoked_at", now).Error
	return gone, err
}

func acceptInvitation(ctx context.Context, i Invitation) error {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	return tx.Model(&Invitation{}).Where("id = ?", i.ID).UpdateColumns(map[string]any{"accepted_at": i.AcceptedAt, "user_id": i.UserID}).Error
}

// emailIsColleagues reports whether a user of the caller's organization has the address. Index:
// users_email_once.
func emailIsColleagues(ctx context.Context, email string) (bool, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return false, err
	}
	var found int64
	err = tx.Model(&userRow{}).Where("email = ?", email).Count(&found).Error
	return found > 0, err
}
