package authorization

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

// books reads the next authorizations after the given one, with all of their
// reservations and entries, of one organization or, with [uuid.Nil], of all.
// Indexes: the primary keys.
func (store) books(ctx context.Context, only, afterOrganization, after uuid.UUID, limit int) ([]books, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	var authorizations []Authorization
	err = tx.Raw(`
		SELECT * FROM authorizations
		WHERE (organization_id, id) > (@organization, @id) AND (@only = @none OR organization_id = @only)
		ORDER BY organization_id, id
		LIMIT @limit`, map[string]any{
		"organization": afterOrganization, "id": after, "only": only, "none": uuid.Nil, "limit": limit,
	}).Scan(&authorizations).Error
	if err != nil || len(authorizations) == 0 {
		return nil, err
	}

	found := make([]books, len(authorizations))
	at := make(map[uuid.UUID]*books, len(authorizations))
	keys := make([][]any, len(authorizations))
	for i, a := range authorizations {
		found[i].Authorization = a
		at[a.ID] = &found[i]
		keys[i] = []any{a.OrganizationID, a.ID}
	}

	var reservations []Reservation
	err = tx.Where("(organization_id, authorization_id) IN ?", keys).Find(&reservations).Error
	if err != nil {
		return nil, err
	}
	for _, r := range reservations {
		b := at[r.AuthorizationID]
		b.reservations = append(b.reservations, r)
	}

	var entries []Entry
	err = tx.Where("(organization_id, authorization_id) IN ?", keys).
		Order("organization_id, authorization_id, sequence").Find(&entries).Error
	for _, e := range entries {
		b := at[e.AuthorizationID]
		b.entries = append(b.entries, e)
	}
	return found, err
}
