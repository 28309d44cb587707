package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// size is the number of rows in a filled database. The authorizations are spread evenly over the
// patients.
type size struct{ authorizations, patients, appointments int }

// largeSize is the size of the large database.
var largeSize = size{authorizations: 1_000_000, patients: 20_000}

const (
	serviceCodes     = 8
	entriesEach      = 10
	reservationsEach = 5
)

// Values that all rows share.
var (
	organization = id('O', 0)
	actor        = id('U', 0)
)

const requestID = "large"

// id returns ids with a common prefix, like ids of one time, that sort by their
// numbers.
func id(kind byte, n int) uuid.UUID {
	created := uuid.UUID{0x01, 0x9c, 0xae, 0xd9, 0x43, kind, 0x70, 0, 0x80}
	binary.BigEndian.PutUint32(created[12:], uint32(n)) //nolint:gosec // at most tens of millions
	return created
}

// days is the number of days over which the authorizations begin, until a month ago.
const days = 900

// contract is one generated authorization with its ledger.
type contract struct {
	number  int
	patient int
	initial int
	start   time.Time // first day; it lasts 180 days
	entries [entriesEach]entry
	hashes  [entriesEach + 1]hash // including the hash before the first entry
	text    []byte
}

// script is the history of every authorization: the third reservation is released, the
// fifth is open, the others are used.
var script = [entriesEach]struct {
	kind        string
	units       int
	reservation int // index; -1: none
}{
	{"reserve", 8, 0},
	{"consume", 8, 0},
	{"reserve", 6, 1},
	{"consume", 6, 1},
	{"reserve", 8, 2},
	{"release", 8, 2},
	{"adjust", 20, -1},
	{"reserve", 4, 3},
	{"consume", 4, 3},
	{"reserve", 8, 4},
}

// make generates the authorization with a number.
func (c *contract) make(number, patients int, today time.Time) {
	c.number, c.patient, c.initial = number, number%patients, 100+number%7*40
	c.start = today.AddDate(0, 0, -30-number*7%days)
	authorization := id('A', number)
	c.hashes[0] = genesis(organization, authorization, c.initial)
	total, used, scheduled := c.initial, 0, 0
	for i, s := range script {
		switch s.kind {
		case "reserve":
			scheduled += s.units
		case "consume":
			scheduled, used = scheduled-s.units, used+s.units
		case "release":
			scheduled -= s.units
		case "adjust":
			total += s.units
		}
		e := entry{
			authorization: authorization,
			operation:     id('P', number*entriesEach+i),
			sequence:      int64(i + 1),
			kind:          s.kind,
			units:         s.units,
			total:         total,
			used:          used,
			scheduled:     scheduled,
			at:            c.start.Add(time.Duration(i+1) * 37 * time.Hour),
		}
		if s.reservation >= 0 {
			e.reservation, e.date = c.reservation(s.reservation), c.day(s.reservation)
		}
		c.entries[i] = e
		c.hashes[i+1], c.text = e.sum(c.hashes[i], c.text)
	}
}

func (c *contract) reservation(n int) uuid.UUID { return id('R', c.number*reservationsEach+n) }
func (c *contract) day(n int) time.Time         { return c.start.AddDate(0, 0, 10+20*n) }

func (c *contract) last() entry { return c.entries[entriesEach-1] }

// writeAuthorization, writeEntries and writeReservations append rows for COPY, in
// the order of the columns below.
const authorizationColumns = `organization_id, id, patient_id, insurance_id, service_code_id, auth_number, initial_units, total_units,
	used_units, scheduled_units, start_date, end_date, status, last_sequence, last_hash, created_at, updated_at`

func (c *contract) writeAuthorization(r *rows) {
	e := c.last()
	r.row(17)
	r.id(organization, e.authorization, id('T', c.patient), id('I', c.patient),
		id('C', c.number%serviceCodes))
	r.text(fmt.Sprintf("L-%07d", c.number))
	r.int4(c.initial, e.total, e.used, e.scheduled)
	r.date(c.start)
	r.date(c.start.AddDate(0, 0, 180))
	if c.number%20 == 19 {
		r.text("CANCELLED")
	} else {
		r.text("ACTIVE")
	}
	r.int8(e.sequence)
	r.bytes(c.hashes[entriesEach][:])
	r.time(c.start)
	r.time(e.at)
}

const entryColumns = `organization_id, authorization_id, sequence, kind, units, reservation_id, service_date, operation_id, actor_id,
	request_id, total_after, used_after, scheduled_after, occurred_at, previous_hash, hash`

func (c *contract) writeEntries(r *rows) {
	for i, e := range c.entries {
		r.row(16)
		r.id(organization, e.authorization)
		r.int8(e.sequence)
		r.text(e.kind)
		r.int4(e.units)
		if e.reservation == uuid.Nil {
			r.null()
			r.null()
		} else {
			r.id(e.reservation)
			r.date(e.date)
		}
		r.id(e.operation, actor)
		r.text(requestID)
		r.int4(e.total, e.used, e.scheduled)
		r.time(e.at)
		r.bytes(c.hashes[i][:])
		r.bytes(c.hashes[i+1][:])
	}
}

const reservationColumns = `organization_id, id, authorization_id, sequence, units, consumed_units, released_units,
	service_date, created_at, updated_at`

func (c *contract) writeReservations(r *rows) {
	var sums [reservationsEach]struct {
		created, last      entry
		consumed, released int
	}
	for i, s := range script {
		if s.reservation < 0 {
			continue
		}
		sum := &sums[s.reservation]
		sum.last = c.entries[i]
		switch s.kind {
		case "reserve":
			sum.created = c.entries[i]
		case "consume":
			sum.consumed += s.units
		case "release":
			sum.released += s.units
		}
	}
	for n, sum := range sums {
		r.row(10)
		r.id(organization, c.reservation(n), sum.created.authorization)
		r.int8(sum.created.sequence)
		r.int4(sum.created.units, sum.consumed, sum.released)
		r.date(c.day(n))
		r.time(sum.created.at)
		r.time(sum.last.at)
	}
}

// ledger streams the rows of all authorizations in COPY format.
type ledger struct {
	size    size
	today   time.Time
	write   func(*contract, *rows)
	created contract
	next    int
	buffer  rows
	rest    []byte // unread part of the buffer
}

// Read generates rows on demand.
func (l *ledger) Read(p []byte) (int, error) {
	if len(l.rest) == 0 {
		if l.next > l.size.authorizations {
			return 0, io.EOF
		}
		l.buffer = l.buffer[:0]
		if l.next == 0 {
			l.buffer.begin()
		}
		for ; l.next < l.size.authorizations && len(l.buffer) < 60<<10; l.next++ {
			l.created.make(l.next, l.size.patients, l.today)
			l.write(&l.created, &l.buffer)
		}
		if l.next == l.size.authorizations {
			l.buffer.end()
			l.next++
		}
		l.rest = l.buffer
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

// fillLedger copies authorizations, reservations and entries, each on a connection of
// its own.
func fillLedger(
	ctx context.Context, connect func(context.Context) (*pgx.Conn, error), n size, today time.Time,
) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, table := range []struct {
		name, columns string
		write         func(*contract, *rows)
	}{
		{"authorizations", authorizationColumns, (*contract).writeAuthorization},
		{"unit_reservations", reservationColumns, (*contract).writeReservations},
		{"unit_entries", entryColumns, (*contract).writeEntries},
	} {
		group.Go(func() error {
			c, err := connect(ctx)
			if err != nil {
				return err
			}
			defer c.Close(ctx)
			_, err = c.PgConn().CopyFrom(ctx, &ledger{size: n, today: today, write: table.write},
				fmt.Sprintf("COPY %s (%s) FROM STDIN BINARY", table.name, table.columns))
			return err
		})
	}
	return group.Wait()
}
