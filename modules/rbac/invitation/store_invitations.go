package invitation

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/throttle"
	"omnirapeutic/platform/db"
)

// TableName names the table for gorm.
func (Invitation) TableName() string { return "invitations" }

// store reads and writes invitations, in the transaction of the context.
type store struct{}

func (store) insert(ctx context.Context, i Invitation) error {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	return tx.Create(&i).Error
}

func (store) exists(ctx context.Context, id uuid.UUID) (bool, error) {
	_, err := store{}.invitation(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

func (store) invitation(ctx context.Context, id uuid.UUID) (Invitation, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return Invitation{}, err
	}
	return oneInvitation(tx.Where("id = ?", id))
}

// withToken returns the invitation with the token, of any organization. Index: invitations_by_token.
func (store) withToken(ctx context.Context, tokenHash []byte) (Invitation, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return Invitation{}, err
	}
	return oneInvitation(tx.Where("token_hash = ?", tokenHash))
}

// lockWithToken is withToken with a row lock, so that only one of several concurrent
// requests accepts it.
func (store) lockWithToken(ctx context.Context, tokenHash []byte) (Invitation, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return Invitation{}, err
	}
	return oneInvitation(tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).
		Where("token_hash = ?", tokenHash))
}

// lockOpenTo locks the open invitation to the address, of the caller's organization. There is at most
// one. Index: the primary key; an organization has hundreds at most.
func (store) lockOpenTo(ctx context.Context, email string, now time.Time) (Invitation, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return Invitation{}, err
	}
	return oneInvitation(tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).
		Where("email = ? AND "+isOpen+" AND expires_at > ?", email, now))
}

func oneInvitation(tx *gorm.DB) (Invitation, error) {
	var found []Invitation
	err := tx.Find(&found).Error
	if err == nil && len(found) == 0 {
		err = ErrNotFound.Because(throttle.ErrGuess)
	}
	if err != nil {
		return Invitation{}, err
	}
	return found[0], nil
}

// isOpen is the condition for invitations that are neither accepted nor revoked.
const isOpen = "accepted_at IS NULL AND revoked_at IS NULL"

// list lists a page of invitations. Index: the primary key.
func (store) list(ctx context.Context, f Filter, now time.Time) ([]Invitation, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	switch f.State {
	case Open:
		tx = tx.Where(isOpen+" AND expires_at > ?", now)
	case Expired:
		tx = tx.Where(isOpen+" AND expires_at <= ?", now)
	case Accepted:
		tx = tx.Where("accepted_at IS NOT NULL")
	case Revoked:
		tx = tx.Where("revoked_at IS NOT NULL")
	}
	var found []Invitation
	err = f.Apply(tx).Find(&found).Error
	return found, err
}

// condition is a condition that selects invitations, with its value.
type condition struct {
	sql   string
	value any
}

func withID(id uuid.UUID) condition  { return condition{"id = ?", id} }
func toEmail(email string) condition { return condition{"email = ?", email} }

func invitedBy(inviter uuid.UUID) condition {
	return condition{"invited_by = ?", inviter}
}

// revoke revokes the selected open invitations of the caller's organization and
// returns them. Index: the primary key; an organization has hundreds at most.
func (store) revoke(ctx context.Context, c condition, now time.Time) ([]Invitation, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	var revoked []Invitation
	err = tx.Model(&revoked).Clauses(clause.Returning{}).Where(isOpen).Where(c.sql, c.value).
		UpdateColumn("revoked_at", now).Error
	return revoked, err
}

func (store) accept(ctx context.Context, i Invitation) error {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	return tx.Model(&Invitation{}).Where("id = ?", i.ID).
		UpdateColumns(map[string]any{"accepted_at": i.AcceptedAt, "user_id": i.UserID}).Error
}

// rolesOfOpen returns the roles of all open invitations of the caller's organization. Invitations of
// super administrators do not count. Index: the primary key; an organization has hundreds at most.
func (store) rolesOfOpen(ctx context.Context, now time.Time) (roles []rbac.Role, err error) {
	tx, organization, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	err = tx.Raw(`
		SELECT DISTINCT unnest(i.roles)
		FROM invitations i
		WHERE i.organization_id = $1 AND `+isOpen+` AND i.expires_at > $2 AND NOT 'SUPER_ADMIN' = ANY (i.roles)`,
		organization, now).Scan(&roles).Error
	return roles, err
}
