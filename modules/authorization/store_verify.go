package authorization

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/record"
)

// selection is authorizations in the order of their keys: a range, or a list of ids of one organization.
type selection struct {
	after, last  record.Key // the range after the first key, up to and including the last one
	organization uuid.UUID  // of the ids
	ids          []uuid.UUID
	listed       bool // whether the ids are the selection
}

// selectionOf returns all authorizations of one organization or, with [uuid.Nil], of all.
func selectionOf(organization uuid.UUID) selection {
	if organization == uuid.Nil {
		return selection{last: record.Of(uuid.Max, uuid.Max)}
	}
	return selection{after: record.Of(organization, uuid.Nil), last: record.Of(organization, uuid.Max)}
}

// listed returns authorizations of one organization.
func listed(organization uuid.UUID, ids []uuid.UUID) selection {
	return selection{organization: organization, ids: ids, listed: true}
}

// cut divides the selection after the first authorizations, which are the snapshots.
func (s selection) cut(snapshots []Snapshot) (first, rest selection) {
	last := snapshots[len(snapshots)-1].key()
	first, rest = s, s
	if !s.listed {
		first.last, rest.after = last, last
		if first.after.OrganizationID != last.OrganizationID {
			first.after = record.Of(last.OrganizationID, uuid.Nil)
		}
		return first, rest
	}
	n, found := slices.BinarySearchFunc(s.ids, last.ID, func(x, y uuid.UUID) int { return bytes.Compare(x[:], y[:]) })
	if found {
		n++
	}
	first.ids, rest.ids = s.ids[:n], s.ids[n:]
	return first, rest
}

// query returns a query for columns of the rows of the selection in a table, in the order of the keys
// and of further columns. Listed ids are looked up one by one: for a list, the planner could read the
// whole table in order and compare each row with all ids. Index: the primary key of the table.
func (s selection) query(columns, table, id, order string) db.CopyQuery {
	if s.listed {
		return db.CopyQuery{Arguments: []any{s.organization, db.UUIDs(s.ids)}, Statement: fmt.Sprintf(`
			SELECT %s FROM unnest($2) AS k (key) CROSS JOIN LATERAL (
				SELECT * FROM %s WHERE organization_id = $1 AND %[3]s = k.key OFFSET 0) t
			ORDER BY organization_id, %[3]s%[4]s`, columns, table, id, order)}
	}
	if s.after.OrganizationID == s.last.OrganizationID { // an index scan ends at the last id, not so with the pairs below
		return db.CopyQuery{Arguments: []any{s.last.OrganizationID, s.after.ID, s.last.ID}, Statement: fmt.Sprintf(`
			SELECT %s FROM %s WHERE organization_id = $1 AND %[3]s > $2 AND %[3]s <= $3
			ORDER BY organization_id, %[3]s%[4]s`, columns, table, id, order)}
	}
	return db.CopyQuery{
		Arguments: []any{s.after.OrganizationID, s.after.ID, s.last.OrganizationID, s.last.ID},
		Statement: fmt.Sprintf(`
			SELECT %s FROM %s
			WHERE (organization_id, %[3]s) > ($1, $2) AND (organization_id, %[3]s) <= ($3, $4)
			ORDER BY organization_id, %[3]s%[4]s`, columns, table, id, order),
	}
}

// changedSince returns the authorizations of an organization with ledger entries since a time, in order.
// Index: unit_entries_by_time.
func (store) changedSince(ctx context.Context, organization uuid.UUID, since time.Time) ([]uuid.UUID, error) {
	var found []uuid.UUID
	return found, db.Read(ctx, db.Query{
		Statement: `SELECT DISTINCT authorization_id FROM unit_entries
			WHERE occurred_at >= $2 AND organization_id = $1 ORDER BY authorization_id`,
		Arguments: []any{organization, since},
		Row: func(scan func(targets ...any) error) error {
			var id uuid.UUID
			err := scan(&id)
			found = append(found, id)
			return err
		},
	})
}

// snapshots reads the first authorizations of the selection, without reservations and movements.
func (store) snapshots(ctx context.Context, of selection, limit int) ([]Snapshot, error) {
	if of.listed {
		of.ids = of.ids[:min(limit, len(of.ids))]
	}
	var found []Snapshot
	q := of.query(`organization_id, id, initial_units, total_units, used_units, scheduled_units, last_sequence, last_hash,
		next_expiry, booked_by_date::text`, "authorizations", "id", " LIMIT "+strconv.Itoa(limit))
	q.Row = func(r *db.CopyRow) error {
		var s Snapshot
		s.OrganizationID, s.ID = r.UUID(0), r.UUID(1)
		s.InitialUnits, s.Total, s.Used, s.Scheduled = r.Int(2), r.Int(3), r.Int(4), r.Int(5)
		s.LastSequence, s.LastHash, s.NextExpiry = r.Bigint(6), r.Hash(7), r.OptionalTime(8)
		if !r.IsNull(9) {
			if err := json.Unmarshal(r.Bytes(9), &s.UnitsByDate); err != nil {
				return err
			}
		}
		found = append(found, s)
		return nil
	}
	return found, db.Copy(ctx, q)
}

// reservationsOf streams the reservations of the selection, without their references, in the order of
// the authorizations. The reservation is valid until row returns.
func (store) reservationsOf(ctx context.Context, of selection, row func(*Reservation)) error {
	q := of.query(`organization_id, authorization_id, id, sequence, units, consumed_units, released_units, service_date,
		expires_at, appointment_id`, "unit_reservations", "authorization_id", ", id")
	q.Row = func(r *db.CopyRow) error {
		row(&Reservation{
			OrganizationID: r.UUID(0), AuthorizationID: r.UUID(1), ID: r.UUID(2), Sequence: r.Bigint(3),
			Units: r.Int(4), Consumed: r.Int(5), Released: r.Int(6), ServiceDate: r.Date(7),
			ExpiresAt: r.OptionalTime(8), AppointmentID: r.OptionalUUID(9),
		})
		return nil
	}
	return db.Copy(ctx, q)
}

// entriesOf streams the entries of the selection, in the order of the authorizations and the sequence
// numbers. The entry is valid until row returns.
func (store) entriesOf(ctx context.Context, of selection, row func(*Entry)) error {
	var e Entry
	var reservation uuid.UUID
	var corrects int64
	q := of.query(`organization_id, authorization_id, sequence, kind, units, reservation_id, service_date, operation_id,
		actor_id, request_id, reason, total_after, used_after, scheduled_after, occurred_at, previous_hash, hash, corrects`,
		"unit_entries", "authorization_id", ", sequence")
	q.Row = func(r *db.CopyRow) error {
		e = Entry{
			OrganizationID: r.UUID(0), AuthorizationID: r.UUID(1), Sequence: r.Bigint(2), Kind: kindOf(r.Bytes(3)),
			Units: r.Int(4), ServiceDate: r.Date(6), OperationID: r.UUID(7), ActorID: r.UUID(8), RequestID: r.Text(9),
			Reason: r.OptionalText(10), TotalAfter: r.Int(11), UsedAfter: r.Int(12), ScheduledAfter: r.Int(13),
			OccurredAt: r.Time(14), PreviousHash: r.Hash(15), Hash: r.Hash(16),
		}
		if !r.IsNull(5) {
			reservation = r.UUID(5)
			e.ReservationID = &reservation
		}
		if !r.IsNull(17) {
			corrects = r.Bigint(17)
			e.Corrects = &corrects
		}
		row(&e)
		return nil
	}
	return db.Copy(ctx, q)
}

// kindOf returns the kind with the name. Known kinds need no memory.
func kindOf(name []byte) EntryKind {
	for _, kind := range entryKinds {
		if string(name) == string(kind) {
			return kind
		}
	}
	return EntryKind(name)
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
