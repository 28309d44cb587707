package authorization

import (
	"cmp"
	"context"
	"fmt"
	"slices"

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
	keys := make([]authorizationKey, len(authorizations))
	for i, a := range authorizations {
		found[i].Authorization = a
		at[a.ID] = &found[i]
		keys[i] = a.key()
	}
	// Each is looked up by itself. Of a list of keys the planner makes a filter of as many
	// conditions, tried on all rows, wherever it takes an index for its order.
	organizations, ids := split(keys)
	const ofEach = `FROM unnest($1::uuid[], $2::uuid[]) AS k (organization_id, authorization_id) CROSS JOIN LATERAL (
			SELECT * FROM %s t
			WHERE t.organization_id = k.organization_id AND t.authorization_id = k.authorization_id OFFSET 0) r`
	var reservations []Reservation
	err = tx.Raw(fmt.Sprintf("SELECT r.* "+ofEach, "unit_reservations"), db.UUIDs(organizations), db.UUIDs(ids)).Scan(&reservations).Error
	if err != nil {
		return nil, err
	}
	for _, r := range reservations {
		b := at[r.AuthorizationID]
		b.reservations = append(b.reservations, r)
	}

	var entries []Entry
	err = tx.Raw(fmt.Sprintf("SELECT r.* "+ofEach, "unit_entries"), db.UUIDs(organizations), db.UUIDs(ids)).Scan(&entries).Error
	for _, e := range entries {
		b := at[e.AuthorizationID]
		b.entries = append(b.entries, e)
	}
	for i := range found {
		slices.SortFunc(found[i].entries, func(x, y Entry) int { return cmp.Compare(x.Sequence, y.Sequence) })
	}
	return found, err
}
