package authorization

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/record"
)

// snapshots reads the next authorizations after the given one, with all reservations and entries, of
// one organization or, with [uuid.Nil], of all. Indexes: the primary keys.
func (store) snapshots(ctx context.Context, only, afterOrganization, after uuid.UUID, limit int) ([]Snapshot, error) {
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

	found := make([]Snapshot, len(authorizations))
	at := make(map[uuid.UUID]*Snapshot, len(authorizations))
	keys := make([]record.Key, len(authorizations))
	for i, a := range authorizations {
		found[i].Authorization = a
		at[a.ID] = &found[i]
		keys[i] = a.key()
	}
	const ofReservations = `organization_id, authorization_id, id, sequence, units, consumed_units, released_units,
		service_date, expires_at, appointment_id, reference, created_at, updated_at`
	err = db.Read(ctx, selectEach(keys, ofReservations, "unit_reservations", func(scan func(targets ...any) error) error {
		var r Reservation
		err := scan(&r.OrganizationID, &r.AuthorizationID, &r.ID, &r.Sequence, &r.Units, &r.Consumed, &r.Released,
			&r.ServiceDate, &r.ExpiresAt, &r.AppointmentID, &r.Reference, &r.CreatedAt, &r.UpdatedAt)
		if err == nil {
			b := at[r.AuthorizationID]
			b.Reservations = append(b.Reservations, r)
		}
		return err
	}))
	if err != nil {
		return nil, err
	}
	const ofEntries = `organization_id, authorization_id, sequence, kind, units, reservation_id, service_date,
		operation_id, actor_id, request_id, reason, total_after, used_after, scheduled_after, occurred_at, previous_hash,
		hash, corrects`
	err = db.Read(ctx, selectEach(keys, ofEntries, "unit_entries", func(scan func(targets ...any) error) error {
		var e Entry
		err := scan(&e.OrganizationID, &e.AuthorizationID, &e.Sequence, &e.Kind, &e.Units, &e.ReservationID, &e.ServiceDate,
			&e.OperationID,
			&e.ActorID, &e.RequestID, &e.Reason, &e.TotalAfter, &e.UsedAfter, &e.ScheduledAfter, &e.OccurredAt, &e.PreviousHash,
			&e.Hash, &e.Corrects)
		if err == nil {
			b := at[e.AuthorizationID]
			b.Entries = append(b.Entries, e)
		}
		return err
	}))
	for i := range found {
		slices.SortFunc(found[i].Entries, func(x, y Entry) int { return cmp.Compare(x.Sequence, y.Sequence) })
	}
	return found, err
}

// countAuthorizations returns the number of authorizations of one organization or, with [uuid.Nil], of all.
// Index: the primary key.
func (store) countAuthorizations(ctx context.Context, only uuid.UUID) (n int64, err error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return 0, err
	}
	err = tx.Raw("SELECT count(*) FROM authorizations WHERE @only = @none OR organization_id = @only",
		map[string]any{"only": only, "none": uuid.Nil}).Scan(&n).Error
	return n, err
}

// selectEach returns a query for the given columns of all rows of the authorizations in a table. It
// does not use gorm, which would take several times as long for a million rows. Each authorization
// is a separate lookup: for a list of keys, the planner would scan an index in order and filter all
// rows by every key.
func selectEach(keys []record.Key, columns, table string, row func(scan func(targets ...any) error) error) db.Query {
	return db.Query{Row: row, Arguments: db.KeyColumns(keys), Statement: fmt.Sprintf(`
		SELECT r.* FROM unnest($1::uuid[], $2::uuid[]) AS k (organization_id, authorization_id) CROSS JOIN LATERAL (
			SELECT %s FROM %s t
			WHERE t.organization_id = k.organization_id
				AND t.authorization_id = k.authorization_id OFFSET 0) r`, columns, table)}
}
