package authorization

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/record"
)

// TableName returns the table name for gorm.
func (Reservation) TableName() string { return "unit_reservations" }

// TableName returns the table name for gorm.
func (Entry) TableName() string { return "unit_entries" }

// reading is a lookup of authorizations.
type reading struct {
	keys []record.Key // sorted
	done bool
	rows []Authorization // the existing ones
}

// missing returns the authorizations that have not been looked up.
func (r *reading) missing(requested map[record.Key][]Operation) []record.Key {
	keys := slices.SortedFunc(maps.Keys(requested), record.Key.Compare)
	if !r.done {
		return keys
	}
	return slices.DeleteFunc(keys, func(key record.Key) bool {
		_, read := slices.BinarySearchFunc(r.keys, key, record.Key.Compare)
		return read
	})
}

// several looks up authorizations and reads their rows. The planner assumes a fixed number of rows
// for generate_subscripts, so one plan serves any number of keys. With two unnested arrays it would
// plan every time, which takes five times as long as the lookup. OFFSET 0 makes each key a separate
// index lookup, even for small tables. Index: the primary key.
func (store) several(r *reading) db.Query {
	r.done, r.rows = true, make([]Authorization, 0, len(r.keys))
	row := func(scan func(targets ...any) error) error {
		r.rows = append(r.rows, Authorization{})
		a := &r.rows[len(r.rows)-1]
		return scan(&a.OrganizationID, &a.ID, &a.PatientID, &a.InsuranceID, &a.ServiceCodeID, &a.AuthNumber,
			&a.Modifiers, &a.Total, &a.Used, &a.Scheduled,
			&a.Caps.Day, &a.Caps.Week, &a.Caps.Month, &a.Caps.Total, &a.UnitsByDate,
			&a.StartDate, &a.EndDate, &a.Decision, &a.Notes, &a.Version, &a.CreatedAt, &a.UpdatedAt,
			&a.InitialUnits, &a.LastSequence, &a.LastHash, &a.NextExpiry)
	}
	return db.Query{Row: row, Arguments: db.KeyColumns(r.keys), Statement: `
		SELECT a.* FROM generate_subscripts($1::uuid[], 1) AS k (index)
		CROSS JOIN LATERAL (
			SELECT t.organization_id, t.id, t.patient_id, t.insurance_id, t.service_code_id, t.auth_number,
				t.modifiers, t.total_units, t.used_units, t.scheduled_units,
				t.cap_day, t.cap_week, t.cap_month, t.cap_total, t.booked_by_date,
				t.start_date, t.end_date, t.status, t.notes, t.version, t.created_at, t.updated_at,
				t.initial_units, t.last_sequence, t.last_hash, t.next_expiry
			FROM authorizations t WHERE t.organization_id = ($1::uuid[])[k.index] AND t.id = ($2::uuid[])[k.index] OFFSET 0) a`}
}

// reservationNeeds has the reservations that decisions need.
type reservationNeeds struct {
	named  []namedReservation
	oldest []oldestReservations
	holds  []record.Key // authorizations with holds that may have expired
}

type namedReservation struct {
	of record.Key
	id uuid.UUID
}

type oldestReservations struct {
	of    record.Key
	limit int
}

func (w reservationNeeds) isEmpty() bool { return len(w.named)+len(w.oldest)+len(w.holds) == 0 }

// add adds the needs of the operations on an authorization.
func (w *reservationNeeds) add(a Authorization, ops []Operation, now time.Time) {
	named, unnamed, sweeps := 0, 0, a.mayHaveExpired(now)
	for _, op := range ops {
		switch {
		case op.Kind == Expire:
			sweeps = true
		case op.ReservationID != nil:
			w.named = append(w.named, namedReservation{a.key(), *op.ReservationID})
			named++
		case op.Kind != Release && op.Kind != Consume, op.AppointmentID != nil:
		default:
			unnamed += op.Units
		}
	}
	if unnamed > 0 {
		// Every open reservation holds at least one unit, so one row per unit suffices, plus those
		// that may be settled by name before.
		w.oldest = append(w.oldest, oldestReservations{a.key(), unnamed + named})
	}
	if sweeps {
		w.holds = append(w.holds, a.key())
	}
}

// touchable returns the reservations, possibly with duplicates. Indexes: the primary key,
// unit_reservations_open_oldest_first.
func (store) touchable(ctx context.Context, w reservationNeeds, now time.Time) ([]Reservation, error) {
	var rows []Reservation
	err := db.Read(ctx, db.Into(&rows, `
		SELECT r.* FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS k (organization_id, authorization_id, id)
		CROSS JOIN LATERAL (
			SELECT * FROM unit_reservations t
			WHERE t.organization_id = k.organization_id AND t.authorization_id = k.authorization_id AND t.id = k.id OFFSET 0) r
		UNION ALL
		SELECT r.* FROM unnest($4::uuid[], $5::uuid[], $6::bigint[]) AS k (organization_id, authorization_id, most)
		CROSS JOIN LATERAL (
			SELECT * FROM unit_reservations t
			WHERE t.organization_id = k.organization_id AND t.authorization_id = k.authorization_id
				AND t.appointment_id IS NULL AND `+openSQL("t", "$7")+`
			ORDER BY t.sequence LIMIT k.most) r
		UNION ALL
		SELECT r.* FROM unnest($8::uuid[], $9::uuid[]) AS k (organization_id, authorization_id)
		CROSS JOIN LATERAL (
			SELECT * FROM unit_reservations t
			WHERE t.organization_id = k.organization_id AND t.authorization_id = k.authorization_id
				AND t.open AND t.expires_at IS NOT NULL OFFSET 0) r`,
		slices.Concat(
			db.Columns(w.named, func(v *db.Values, n namedReservation) { v.Key(n.of).UUID(n.id) }),
			db.Columns(w.oldest, func(v *db.Values, o oldestReservations) { v.Key(o.of).Int(o.limit) }),
			[]any{now},
			db.KeyColumns(w.holds),
		)...))
	return rows, err
}

// oldestFirst sorts reservations by age and removes duplicates.
func oldestFirst(all []Reservation) []Reservation {
	slices.SortFunc(all, func(x, y Reservation) int { return cmp.Compare(x.Sequence, y.Sequence) })
	return slices.CompactFunc(all, func(x, y Reservation) bool { return x.ID == y.ID })
}

// booked returns the units by date of an authorization, for when a cap begins to count by date.
// Index: the primary key.
func (store) booked(ctx context.Context, authorization uuid.UUID) (UnitsByDate, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	var rows []struct {
		ServiceDate calendar.Date
		Units       int
	}
	err = tx.Model(&Reservation{}).Select("service_date, sum(units - released_units) AS units").
		Where("authorization_id = ? AND released_units < units", authorization).
		Group("service_date").Scan(&rows).Error
	booked := make(UnitsByDate, len(rows))
	for _, row := range rows {
		booked[row.ServiceDate] = row.Units
	}
	return booked, err
}

// post writes decisions: counters, reservations, entries.
func (s store) post(ctx context.Context, changed []*accountChange) error {
	if err := s.updateCounters(ctx, changed); err != nil {
		return err
	}
	var reservations []Reservation
	var entries []Entry
	for _, b := range changed {
		reservations = append(reservations, b.after.touchedBy(b.entries, false)...)
		entries = append(entries, b.entries...)
	}
	if err := s.upsertReservations(ctx, reservations); err != nil {
		return err
	}
	return s.insertEntries(ctx, entries)
}

// updateCounters looks up rows one by one and takes their values by index. In a join with the values, the planner
// would read a small table completely, and SSI would lock it.
var updateCounters = db.ByRows(`
		UPDATE authorizations a SET (
			total_units, used_units, scheduled_units, version, last_sequence, last_hash, booked_by_date, next_expiry, updated_at
		) = (
			SELECT ($4::int[])[k.index], ($5::int[])[k.index], ($6::int[])[k.index], ($7::int[])[k.index],
				($8::bigint[])[k.index],
				($9::bytea[])[k.index], CAST(($10::text[])[k.index] AS jsonb), ($11::timestamptz[])[k.index],
					($12::timestamptz[])[k.index]
			FROM array_position($2::uuid[], a.id) AS k (index)
		)
		WHERE a.{rows}
			AND a.organization_id = ($1::uuid[])[array_position($2::uuid[], a.id)]
			AND a.last_sequence = ($3::bigint[])[array_position($2::uuid[], a.id)]`, db.Rows{
	Key: []string{"organization_id", "id"},
	Query: `SELECT f.{row} FROM unnest($1::uuid[], $2::uuid[]) AS k (organization_id, id)
		CROSS JOIN LATERAL (
			SELECT t.{row} FROM authorizations t WHERE t.organization_id = k.organization_id AND t.id = k.id OFFSET 0) f`,
})

// updateCounters writes the counters of authorizations. Under SERIALIZABLE, the sequence number always matches; under a weaker
// isolation level, the primary key of the entries would prevent duplicates. Index: the primary key.
func (store) updateCounters(ctx context.Context, changed []*accountChange) error {
	columns := db.Columns(changed, func(v *db.Values, c *accountChange) {
		a := c.after.Authorization
		v.Key(a.key()).Bigint(c.before.LastSequence).Int(a.Total, a.Used, a.Scheduled, a.Version).Bigint(a.LastSequence)
		v.Hash(a.LastHash).OptionalText(a.UnitsByDate.text()).OptionalTime(a.NextExpiry).Time(a.UpdatedAt)
	})
	return db.Write(ctx, len(changed), updateCounters.For(ctx), columns...)
}

// upsertReservations writes new and changed reservations.
func (store) upsertReservations(ctx context.Context, rows []Reservation) error {
	if len(rows) == 0 {
		return nil
	}
	columns := db.Columns(rows, func(v *db.Values, r Reservation) {
		v.UUID(r.OrganizationID, r.AuthorizationID, r.ID).Bigint(r.Sequence).Int(r.Units, r.Consumed, r.Released)
		v.Date(r.ServiceDate).OptionalTime(r.ExpiresAt).OptionalUUID(r.AppointmentID).OptionalText(r.Reference)
		v.Time(r.CreatedAt, r.UpdatedAt)
	})
	return db.Write(ctx, len(rows), `
		INSERT INTO unit_reservations (
			organization_id, authorization_id, id, sequence, units, consumed_units, released_units,
			service_date, expires_at, appointment_id, reference, created_at, updated_at)
		SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::int[], $6::int[], $7::int[],
			$8::text[]::date[], $9::timestamptz[], $10::uuid[], $11::text[], $12::timestamptz[], $13::timestamptz[])
		ON CONFLICT (organization_id, authorization_id, id) DO UPDATE SET
			units = excluded.units, consumed_units = excluded.consumed_units,
			released_units = excluded.released_units, service_date = excluded.service_date,
				updated_at = excluded.updated_at`, columns...)
}

// insertEntries appends entries to ledgers.
func (store) insertEntries(ctx context.Context, rows []Entry) error {
	columns := db.Columns(rows, func(v *db.Values, e Entry) {
		v.UUID(e.OrganizationID,
			e.AuthorizationID).Bigint(e.Sequence).Text(string(e.Kind)).Int(e.Units).OptionalUUID(e.ReservationID)
		v.Date(e.ServiceDate).UUID(e.OperationID, e.ActorID).Text(e.RequestID).OptionalText(e.Reason)
		v.Int(e.TotalAfter, e.UsedAfter, e.ScheduledAfter).Time(e.OccurredAt).Hash(e.PreviousHash, e.Hash)
		v.OptionalBigint(e.Corrects)
	})
	return db.Write(ctx, len(rows), `
		INSERT INTO unit_entries (
			organization_id, authorization_id, sequence, kind, units, reservation_id, service_date, operation_id,
			actor_id, request_id, reason, total_after, used_after, scheduled_after, occurred_at, previous_hash, hash, corrects)
		SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[], $5::int[], $6::uuid[], $7::text[]::date[],
			$8::uuid[], $9::uuid[], $10::text[], $11::text[], $12::int[], $13::int[], $14::int[], $15::timestamptz[],
			$16::bytea[], $17::bytea[], $18::bigint[])`, columns...)
}

// dueHold is an expired hold.
type dueHold struct {
	OrganizationID  uuid.UUID
	AuthorizationID uuid.UUID
	ExpiresAt       time.Time
	ID              uuid.UUID // the reservation's id
}

func (h dueHold) key() record.Key { return record.Of(h.OrganizationID, h.AuthorizationID) }

// due returns expired holds after the given one, of one organization or, with [uuid.Nil], of all,
// longest overdue first. Index: unit_reservations_open_by_expiry.
func (store) due(ctx context.Context, only uuid.UUID, now time.Time, after dueHold, limit int) ([]dueHold, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	var due []dueHold
	err = tx.Raw(`
		SELECT organization_id, authorization_id, expires_at, id
		FROM unit_reservations
		WHERE `+expiredSQL("unit_reservations", "@now")+` AND (@only = @none OR organization_id = @only)
		  AND (expires_at, organization_id, authorization_id, id) > (@at, @organization, @authorization, @id)
		ORDER BY expires_at, organization_id, authorization_id, id
		LIMIT @limit`, map[string]any{
		"now": now, "only": only, "none": uuid.Nil, "limit": limit,
		"at": after.ExpiresAt, "organization": after.OrganizationID, "authorization": after.AuthorizationID, "id": after.ID,
	}).Scan(&due).Error
	return due, err
}

// refusals maps database constraints to errors. The rules in decide are checked first; the
// constraints are the last line of defense.
var refusals = map[string]*fault.Error{
	"authorizations_units_within_total":       ErrInsufficientUnits,
	"authorizations_total_not_negative":       ErrTotalBelowBooked,
	"authorizations_used_not_negative":        ErrReservationClosed,
	"authorizations_scheduled_not_negative":   ErrReservationClosed,
	"unit_reservations_settled_within_units":  ErrReservationClosed,
	"unit_reservations_consumed_not_negative": ErrReservationClosed,
	"unit_reservations_released_not_negative": ErrReservationClosed,
	"unit_reservations_authorization":         ErrHasHistory,
	"unit_entries_authorization":              ErrHasHistory,
	"authorizations_dates_in_order":           fault.ErrInvalid,
	"authorizations_caps_not_negative":        fault.ErrInvalid,
	"authorizations_status_stored":            fault.ErrInvalid,
	"authorizations_patient":                  fault.ErrInvalid,
	"authorizations_insurance":                fault.ErrInvalid,
	"authorizations_service_code":             fault.ErrInvalid,
}

// RefusalOf returns the refusal for a violated constraint of the units tables, wrapping err, or err
// itself.
func RefusalOf(err error) error {
	if err == nil {
		return nil
	}
	if refusal, ok := refusals[db.ConstraintOf(err)]; ok {
		return refusal.Because(err)
	}
	return err
}
