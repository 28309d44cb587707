package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// An independent implementation of the ledger's hash chain, from its description in
// docs/operations.md. The program's verify is checked against it.

type hash = [sha256.Size]byte

func genesis(organization, authorization uuid.UUID, initialUnits int) hash {
	return sha256.Sum256(fmt.Appendf(nil, "omnirapeutic unit ledger\n%s\n%s\n%d\n", organization, authorization,
		initialUnits))
}

// entry is one line of the ledger.
type entry struct {
	authorization, reservation, operation uuid.UUID // without a reservation: uuid.Nil
	sequence                              int64
	kind                                  string
	units                                 int
	date                                  time.Time // date of service; may be zero
	total, used, scheduled                int       // after the entry
	at                                    time.Time // in whole microseconds
}

// sum appends the entry's text to b, which may be empty, and returns its hash and the
// buffer for the next one.
func (e *entry) sum(previous hash, b []byte) (hash, []byte) {
	b = append(hex.AppendEncode(b[:0], previous[:]), '\n')
	b = append(appendID(b, e.authorization), '\n')
	b = append(strconv.AppendInt(b, e.sequence, 10), '\n')
	b = append(append(b, e.kind...), '\n')
	b = append(strconv.AppendInt(b, int64(e.units), 10), '\n')
	if e.reservation != uuid.Nil {
		b = appendID(b, e.reservation)
	}
	b = append(b, '\n')
	if !e.date.IsZero() {
		b = e.date.AppendFormat(b, time.DateOnly)
	}
	b = append(b, '\n')
	b = append(appendID(b, e.operation), '\n')
	b = append(appendID(b, actor), '\n')
	b = append(b, requestID+"\n"...)
	for _, n := range []int{e.total, e.used, e.scheduled} {
		b = append(strconv.AppendInt(b, int64(n), 10), '\n')
	}
	b = append(strconv.AppendInt(b, e.at.UnixMicro(), 10), '\n')
	return sha256.Sum256(b), b
}

// appendID appends an id in canonical form.
func appendID(b []byte, id uuid.UUID) []byte {
	for i, part := range [][]byte{id[:4], id[4:6], id[6:8], id[8:10], id[10:]} {
		if i > 0 {
			b = append(b, '-')
		}
		b = hex.AppendEncode(b, part)
	}
	return b
}

// insertAuthorization creates an authorization of ten million units in the demo practice and
// returns its id.
func insertAuthorization(ctx context.Context, c *pgx.Conn) (string, error) {
	const units = 10_000_000
	var organization uuid.UUID
	if err := c.QueryRow(ctx, "SELECT organization_id FROM users WHERE email = $1",
		adminEmail).Scan(&organization); err != nil {
		return "", err
	}
	id := uuid.New()
	head := genesis(organization, id, units)
	_, err := c.Exec(ctx, `
		INSERT INTO authorizations (organization_id, id, patient_id, service_code_id, initial_units, total_units,
			start_date, end_date, status, last_hash, created_at, updated_at)
		SELECT organization_id, $2, patient_id, service_code_id, $3, $3, current_date - 30, current_date + 300, 'ACTIVE', $4, now(), now()
		FROM authorizations WHERE organization_id = $1 LIMIT 1`, organization, id, units, head[:])
	return id.String(), err
}
