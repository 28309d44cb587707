package db

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"omnirapeutic/platform/calendar"
)

// CopyQuery is a query whose rows are streamed with COPY … TO STDOUT. Its statement may have numbered
// arguments ($1, $2, …), but COPY does not: they are written into the statement. So only ids, arrays of
// ids, numbers and times are supported, which cannot contain SQL.
type CopyQuery struct {
	Statement string
	Arguments []any // of type uuid.UUID, []pgtype.UUID, int, int64 or time.Time

	// Row reads a row. The row is valid only until Row returns.
	Row func(r *CopyRow) error
}

// Copy streams the rows of a query in the transaction of the context, in PostgreSQL's binary format. It
// keeps one row in memory, and decodes only the requested columns. It is for reading very many rows. Row
// level security applies. It returns the same errors as [Read].
func Copy(ctx context.Context, q CopyQuery) error {
	tx, err := handle(ctx)
	if err != nil {
		return err
	}
	statement, err := q.text()
	if err != nil {
		return err
	}
	if err := sendOrganizations(ctx); err != nil {
		return err
	}
	return attemptIn(ctx).driver(func(c *pgx.Conn) error {
		began := time.Now()
		span := startStatement(ctx, q.Statement, began)
		stream := copyStream{row: q.Row}
		tag, err := c.PgConn().CopyTo(ctx, &stream, "COPY ("+statement+") TO STDOUT (FORMAT binary)")
		if err == nil && !stream.complete {
			err = errCopyFormat
		}
		if stream.failed == nil {
			note(ctx, c, err) // CopyTo does not call the tracer
		}
		endStatement(span, err)
		tx.Logger.Trace(ctx, began, func() (string, int64) { return q.Statement, tag.RowsAffected() }, err)
		return err
	})
}

// text returns the statement with its arguments.
func (q CopyQuery) text() (string, error) {
	values := make([]string, 0, 2*len(q.Arguments))
	for i := len(q.Arguments) - 1; i >= 0; i-- { // $12 before $1
		var literal string
		switch v := q.Arguments[i].(type) {
		case uuid.UUID:
			literal = "'" + v.String() + "'::uuid"
		case int:
			literal = strconv.Itoa(v) + "::bigint"
		case int64:
			literal = strconv.FormatInt(v, 10) + "::bigint"
		case time.Time:
			literal = v.UTC().Format("'2006-01-02 15:04:05.999999+00'") + "::timestamptz"
		case []pgtype.UUID:
			ids := make([]uuid.UUID, len(v))
			for n, id := range v {
				ids[n] = id.Bytes
			}
			literal = "'" + uuidText(ids) + "'::uuid[]"
		default:
			return "", fmt.Errorf("db: COPY does not support an argument of type %T", v)
		}
		values = append(values, "$"+strconv.Itoa(i+1), literal)
	}
	return strings.NewReplacer(values...).Replace(q.Statement), nil
}

var errCopyFormat = errors.New("db: the data of a COPY are not in the expected format")

// copyStream decodes the binary format of COPY: a header, rows, and a trailer.
// https://www.postgresql.org/docs/15/sql-copy.html#id-1.9.3.55.9.4
type copyStream struct {
	row      func(r *CopyRow) error
	rest     []byte // an incomplete part
	begun    bool   // the header was read
	complete bool   // the trailer was read
	failed   error  // of row
	current  CopyRow
}

const (
	copySignature = "PGCOPY\n\377\r\n\000"
	copyHeader    = len(copySignature) + 8 // flags, and the length of an extension, which is always 0
)

// Write implements io.Writer: it decodes all complete rows and keeps the rest.
func (s *copyStream) Write(p []byte) (int, error) {
	data := p
	if len(s.rest) > 0 {
		s.rest = append(s.rest, p...)
		data = s.rest
	}
	if !s.begun {
		if len(data) < copyHeader {
			s.keep(data)
			return len(p), nil
		}
		if string(data[:len(copySignature)]) != copySignature {
			return 0, errCopyFormat
		}
		s.begun, data = true, data[copyHeader:]
	}
	for len(data) > 0 {
		length, err := s.decode(data)
		if err != nil {
			return 0, err
		}
		if length == 0 {
			break
		}
		data = data[length:]
	}
	s.keep(data)
	return len(p), nil
}

// keep keeps an incomplete row until the next call of Write.
func (s *copyStream) keep(data []byte) { s.rest = append(s.rest[:0], data...) }

// decode decodes the first row and returns its length, or 0 if it is incomplete.
func (s *copyStream) decode(data []byte) (length int, err error) {
	const countSize, sizeSize, trailer = 2, 4, 0xffff
	if len(data) < countSize {
		return 0, nil
	}
	count := binary.BigEndian.Uint16(data)
	if count == trailer {
		s.complete = true
		return len(data), nil
	}
	s.current.fields = s.current.fields[:0]
	at := countSize
	for range count {
		if len(data) < at+sizeSize {
			return 0, nil
		}
		size := int(int32(binary.BigEndian.Uint32(data[at:]))) //nolint:gosec // -1 is NULL
		at += sizeSize
		if size < 0 {
			s.current.fields = append(s.current.fields, nil)
			continue
		}
		if len(data) < at+size {
			return 0, nil
		}
		s.current.fields = append(s.current.fields, data[at:at+size:at+size])
		at += size
	}
	if s.failed = s.row(&s.current); s.failed == nil {
		s.failed = s.current.failed
	}
	return at, s.failed
}

// CopyRow is a row of a [CopyQuery]. Its methods decode a column, counted from 0. A wrong type or a
// NULL in a method without Optional fails the query after the row.
type CopyRow struct {
	fields [][]byte // nil: NULL
	failed error
}

// field returns a column that has the given size, or nil.
func (r *CopyRow) field(column, size int) []byte {
	if b := r.fields[column]; len(b) == size {
		return b
	}
	r.failed = errCopyFormat
	return nil
}

// IsNull reports whether the column is NULL.
func (r *CopyRow) IsNull(column int) bool { return r.fields[column] == nil }

// Bytes returns the column's data, or nil for NULL. Copy them to keep them.
func (r *CopyRow) Bytes(column int) []byte { return r.fields[column] }

// Text returns a text.
func (r *CopyRow) Text(column int) string { return string(r.fields[column]) }

// OptionalText returns a text, or nil for NULL.
func (r *CopyRow) OptionalText(column int) *string {
	if r.IsNull(column) {
		return nil
	}
	return new(r.Text(column))
}

// UUID returns an id.
func (r *CopyRow) UUID(column int) uuid.UUID {
	if b := r.field(column, len(uuid.UUID{})); b != nil {
		return uuid.UUID(b)
	}
	return uuid.Nil
}

// OptionalUUID returns an id, or nil for NULL.
func (r *CopyRow) OptionalUUID(column int) *uuid.UUID {
	if r.IsNull(column) {
		return nil
	}
	return new(r.UUID(column))
}

// Int returns a column of type integer.
func (r *CopyRow) Int(column int) int {
	if b := r.field(column, 4); b != nil {
		return int(int32(binary.BigEndian.Uint32(b))) //nolint:gosec // the format of negative numbers
	}
	return 0
}

// Bigint returns a column of type bigint.
func (r *CopyRow) Bigint(column int) int64 {
	if b := r.field(column, 8); b != nil {
		return int64(binary.BigEndian.Uint64(b)) //nolint:gosec // the format of negative numbers
	}
	return 0
}

// OptionalBigint returns a column of type bigint, or nil for NULL.
func (r *CopyRow) OptionalBigint(column int) *int64 {
	if r.IsNull(column) {
		return nil
	}
	return new(r.Bigint(column))
}

// Bool returns a column of type boolean.
func (r *CopyRow) Bool(column int) bool {
	b := r.field(column, 1)
	return b != nil && b[0] != 0
}

// Hash returns a hash in a column of type bytea.
func (r *CopyRow) Hash(column int) Hash {
	if b := r.field(column, len(Hash{})); b != nil {
		return Hash(b)
	}
	return Hash{}
}

// postgresEpoch is the origin of PostgreSQL's dates and times: 2000-01-01.
var (
	postgresEpoch      = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	postgresEpochMicro = postgresEpoch.UnixMicro()
	postgresFirstDate  = calendar.NewDate(2000, time.January, 1)
)

// Time returns a column of type timestamptz.
func (r *CopyRow) Time(column int) time.Time {
	return time.UnixMicro(r.Bigint(column) + postgresEpochMicro).UTC()
}

// OptionalTime returns a column of type timestamptz, or nil for NULL.
func (r *CopyRow) OptionalTime(column int) *time.Time {
	if r.IsNull(column) {
		return nil
	}
	return new(r.Time(column))
}

// Date returns a column of type date. The zero date is NULL.
func (r *CopyRow) Date(column int) calendar.Date {
	if r.IsNull(column) {
		return calendar.Date{}
	}
	return postgresFirstDate.AddDays(r.Int(column))
}
