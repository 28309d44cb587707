package authorization

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/record"
)

// authorizationRange is a range of authorizations in the order of their keys: those after the first key,
// up to and including the last one.
type authorizationRange struct{ after, last record.Key }

// rangeOf returns the range of all authorizations of one organization or, with [uuid.Nil], of all.
func rangeOf(organization uuid.UUID) authorizationRange {
	if organization == uuid.Nil {
		return authorizationRange{last: record.Of(uuid.Max, uuid.Max)}
	}
	return authorizationRange{record.Of(organization, uuid.Nil), record.Of(organization, uuid.Max)}
}

// arguments returns the arguments $1 to $4 of [inRange].
func (r authorizationRange) arguments() []any {
	return []any{r.after.OrganizationID, r.after.ID, r.last.OrganizationID, r.last.ID}
}

// inRange returns the condition that a row belongs to an authorization of the range $1 to $4.
func inRange(id string) string {
	return fmt.Sprintf("(organization_id, %[1]s) > ($1, $2) AND (organization_id, %[1]s) <= ($3, $4)", id)
}

// snapshots reads the first authorizations of the range, without reservations and movements. Index: the
// primary key.
func (store) snapshots(ctx context.Context, of authorizationRange, limit int) ([]Snapshot, error) {
	var found []Snapshot
	err := db.Copy(ctx, db.CopyQuery{
		Statement: `SELECT organization_id, id, initial_units, total_units, used_units, scheduled_units, last_sequence,
				last_hash, next_expiry, booked_by_date::text
			FROM authorizations WHERE ` + inRange("id") + `
			ORDER BY organization_id, id LIMIT $5`,
		Arguments: append(of.arguments(), limit),
		Row: func(r *db.CopyRow) error {
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
		},
	})
	return found, err
}

// reservationsIn streams the reservations of the authorizations in the range, without their references,
// in the order of the authorizations. The reservation is valid until row returns. Index: the primary key.
func (store) reservationsIn(ctx context.Context, of authorizationRange, row func(*Reservation)) error {
	return db.Copy(ctx, db.CopyQuery{
		Statement: `SELECT organization_id, authorization_id, id, sequence, units, consumed_units, released_units,
				service_date, expires_at, appointment_id
			FROM unit_reservations WHERE ` + inRange("authorization_id") + `
			ORDER BY organization_id, authorization_id, id`,
		Arguments: of.arguments(),
		Row: func(r *db.CopyRow) error {
			row(&Reservation{
				OrganizationID: r.UUID(0), AuthorizationID: r.UUID(1), ID: r.UUID(2), Sequence: r.Bigint(3),
				Units: r.Int(4), Consumed: r.Int(5), Released: r.Int(6), ServiceDate: r.Date(7),
				ExpiresAt: r.OptionalTime(8), AppointmentID: r.OptionalUUID(9),
			})
			return nil
		},
	})
}

// entriesIn streams the entries of the authorizations in the range, in the order of the authorizations
// and the sequence numbers. The entry is valid until row returns. Index: the primary key.
func (store) entriesIn(ctx context.Context, of authorizationRange, row func(*Entry)) error {
	var e Entry
	var reservation uuid.UUID
	var corrects int64
	return db.Copy(ctx, db.CopyQuery{
		Statement: `SELECT organization_id, authorization_id, sequence, kind, units, reservation_id, service_date,
				operation_id, actor_id, request_id, reason, total_after, used_after, scheduled_after, occurred_at,
				previous_hash, hash, corrects
			FROM unit_entries WHERE ` + inRange("authorization_id") + `
			ORDER BY organization_id, authorization_id, sequence`,
		Arguments: of.arguments(),
		Row: func(r *db.CopyRow) error {
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
		},
	})
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
