package db_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/record"
)

type movement struct {
	id          uuid.UUID
	reservation *uuid.UUID
	kind        string
	reason      *string
	units       int
	sequence    int64
	day         calendar.Date
	at          time.Time
	expires     *time.Time
	open        bool
	hash        []byte
}

func addMovement(v *db.Values, m movement) {
	v.UUID(m.id).OptionalUUID(m.reservation).Text(m.kind).OptionalText(m.reason).Int(m.units).Bigint(m.sequence)
	v.Date(m.day).Time(m.at).OptionalTime(m.expires).Bool(m.open).Bytes(m.hash)
}

func TestColumnsHaveTheValuesOfAllRows(t *testing.T) {
	t.Parallel()
	one, other, noon := uuid.New(), uuid.New(), time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	rows := []movement{
		{
			id: one, kind: "reserve", units: 4, sequence: 1, day: calendar.NewDate(2026, 7, 1), at: noon, open: true,
			hash: []byte("a"),
		},
		{id: other, reservation: &one, kind: "release", reason: new("ill"), sequence: 2, at: noon, expires: &noon},
	}
	uuids := func(ids ...pgtype.UUID) []pgtype.UUID { return ids }
	require.Equal(t, []any{
		uuids(pgtype.UUID{Bytes: one, Valid: true}, pgtype.UUID{Bytes: other, Valid: true}),
		uuids(pgtype.UUID{}, pgtype.UUID{Bytes: one, Valid: true}),
		[]string{"reserve", "release"},
		[]*string{nil, new("ill")},
		[]int{4, 0},
		[]int64{1, 2},
		[]*string{new("2026-07-01"), nil},
		[]time.Time{noon, noon},
		[]*time.Time{nil, &noon},
		[]bool{true, false},
		[][]byte{[]byte("a"), nil},
	}, db.Columns(rows, addMovement))
}

func TestColumnsWithoutRowsKeepTheirTypes(t *testing.T) {
	t.Parallel()
	require.Equal(t, []any{
		[]pgtype.UUID{},
		[]pgtype.UUID{},
		[]string{},
		[]*string{},
		[]int{},
		[]int64{},
		[]*string{},
		[]time.Time{},
		[]*time.Time{},
		[]bool{},
		[][]byte{},
	}, db.Columns(nil, addMovement))
	require.Equal(t, []any{[]pgtype.UUID{}, []pgtype.UUID{}}, db.KeyColumns(nil))
}

func TestColumnsOfKeys(t *testing.T) {
	t.Parallel()
	keys := []record.Key{{OrganizationID: uuid.New(), ID: uuid.New()}, {OrganizationID: uuid.New(), ID: uuid.New()}}
	require.Equal(t, db.Columns(keys, func(v *db.Values, k record.Key) { v.Key(k) }), db.KeyColumns(keys))
}

func TestAColumnHasOneType(t *testing.T) {
	t.Parallel()
	require.Panics(t, func() {
		db.Columns([]bool{true, false}, func(v *db.Values, isNumber bool) {
			if isNumber {
				v.Int(1)
			} else {
				v.Text("a")
			}
		})
	})
}

func BenchmarkColumns(b *testing.B) {
	rows := make([]movement, 256)
	for i := range rows {
		rows[i] = movement{
			id: uuid.New(), reservation: new(uuid.New()), kind: "reserve", units: 1000 + i, at: time.Now(),
			hash: make([]byte, 32),
		}
	}
	b.Run("Columns", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			db.Columns(rows, addMovement)
		}
	})
	b.Run("by hand", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			byHand(rows)
		}
	})
}

func byHand(rows []movement) []any {
	n := len(rows)
	ids, reservations, kinds, reasons := make([]uuid.UUID, n), make([]*uuid.UUID, n), make([]string, n), make([]*string, n)
	units, sequences, days, at := make([]int, n), make([]int64, n), make([]*string, n), make([]time.Time, n)
	expires, open, hashes := make([]*time.Time, n), make([]bool, n), make([][]byte, n)
	for i, r := range rows {
		ids[i], reservations[i], kinds[i], reasons[i], units[i], sequences[i] = r.id, r.reservation, r.kind, r.reason, r.units, r.sequence
		at[i], expires[i], open[i], hashes[i] = r.at, r.expires, r.open, r.hash
		if !r.day.IsZero() {
			days[i] = new(r.day.String())
		}
	}
	return []any{
		db.UUIDs(ids), db.NullableUUIDs(reservations), kinds, reasons, units, sequences, days, at, expires, open, hashes,
	}
}
