package db

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"
	"gorm.io/gorm/schema"

	"omnirapeutic/platform/calendar"
)

// Find returns the rows of a query that gorm has built. gorm only builds the statement: pgx runs it and
// scans its rows, at a third of the cost. Rows are structs as gorm knows them: columns by name, with
// embedded structs, serializers and sql.Scanner. NULL is the zero value.
func Find[T any](ctx context.Context, tx *gorm.DB) (rows []T, err error) {
	err = Read(ctx, FindInto(&rows, tx))
	return rows, err
}

// FindOne returns the first row of a query that gorm has built, like [Find]. Without a row, [IsNotFound] is
// true for the error.
func FindOne[T any](ctx context.Context, tx *gorm.DB) (row T, err error) {
	rows, err := Find[T](ctx, tx.Limit(1))
	switch {
	case err != nil:
		return row, err
	case len(rows) == 0:
		return row, gorm.ErrRecordNotFound
	}
	return rows[0], nil
}

// FindInto returns the query of [Find], for [ReadAll]. Its rows are appended to rows.
func FindInto[T any](rows *[]T, tx *gorm.DB) Query {
	var none []T
	built := tx.Session(&gorm.Session{DryRun: true, Logger: logger.Discard}).Find(&none)
	if limit, ok := built.Statement.Clauses["LIMIT"].Expression.(clause.Limit); ok && limit.Limit != nil {
		*rows = slices.Grow(*rows, min(*limit.Limit, maxReserved))
	}
	q := Into(rows, built.Statement.SQL.String(), built.Statement.Vars...)
	q.invalid = built.Error
	return q
}

// maxReserved is the largest number of rows for which memory is reserved before they are read.
const maxReserved = 256

// Into returns a query with numbered arguments ($1, $2, …) whose rows are appended to rows, scanned as
// by [Find]. T is a struct, or the type of the only column.
func Into[T any](rows *[]T, statement string, arguments ...any) Query {
	return Query{Statement: statement, Arguments: arguments, scan: func(m *pgtype.Map, r pgx.Rows) error {
		s, err := scannerOf(m, r, reflect.TypeFor[T]())
		for err == nil && r.Next() {
			var row T
			*rows = append(*rows, row)
			err = s.scan(r.RawValues(), reflect.ValueOf(&(*rows)[len(*rows)-1]).Elem())
		}
		return err
	}}
}

// rowScanner scans rows of one type.
type rowScanner struct {
	types   *pgtype.Map
	formats []int16
	oids    []uint32
	fields  []*schema.Field // nil: the column is ignored
	plans   []pgtype.ScanPlan
	single  bool // the row is the only column
}

func scannerOf(m *pgtype.Map, rows pgx.Rows, row reflect.Type) (*rowScanner, error) {
	columns := rows.FieldDescriptions()
	s := &rowScanner{types: m, single: isValue(row), plans: make([]pgtype.ScanPlan, len(columns))}
	var known *schema.Schema
	if !s.single {
		var err error
		if known, err = schema.Parse(reflect.New(row).Interface(), &schemas, schema.NamingStrategy{}); err != nil {
			return nil, fmt.Errorf("db: %s cannot be scanned: %w", row, err)
		}
	}
	for _, c := range columns {
		s.oids, s.formats = append(s.oids, c.DataTypeOID), append(s.formats, c.Format)
		if known != nil {
			s.fields = append(s.fields, known.LookUpField(c.Name))
		}
	}
	return s, nil
}

// schemas are gorm's schemas of row types.
var schemas sync.Map

// isValue reports whether the type is that of a column, and not of a row.
func isValue(t reflect.Type) bool {
	return t.Kind() != reflect.Struct || t == reflect.TypeFor[time.Time]() ||
		reflect.PointerTo(t).Implements(reflect.TypeFor[sql.Scanner]())
}

// scan scans the columns into a zero value.
func (s *rowScanner) scan(columns [][]byte, row reflect.Value) error {
	if s.single {
		return s.scanColumn(0, columns[0], row)
	}
	for i, column := range columns {
		f := s.fields[i]
		if f == nil || column == nil {
			continue
		}
		if f.Serializer != nil {
			if err := f.Serializer.Scan(context.Background(), f, row, column); err != nil {
				return err
			}
			continue
		}
		if err := s.scanColumn(i, column, f.ReflectValueOf(context.Background(), row)); err != nil {
			return fmt.Errorf("db: column of %s: %w", f.Name, err)
		}
	}
	return nil
}

func (s *rowScanner) scanColumn(i int, column []byte, field reflect.Value) error {
	if column == nil {
		return nil
	}
	target := field.Addr().Interface()
	if s.formats[i] == pgtype.BinaryFormatCode && scanDirectly(s.oids[i], column, target) {
		return nil
	}
	if s.plans[i] == nil {
		s.plans[i] = s.types.PlanScan(s.oids[i], s.formats[i], target)
	}
	return s.plans[i].Scan(column, target)
}

// scanDirectly scans the binary form of ids and dates, the most frequent types with a Scan method, for
// which pgx would call it with a text or a time. It returns false for other types and values.
func scanDirectly(oid uint32, column []byte, target any) bool {
	switch t := target.(type) {
	case *uuid.UUID:
		return oid == pgtype.UUIDOID && copy(t[:], column) == len(t)
	case **uuid.UUID:
		if oid != pgtype.UUIDOID {
			return false
		}
		*t = new(uuid.UUID)
		return copy((*t)[:], column) == len(*t)
	case *calendar.Date:
		if oid != pgtype.DateOID || len(column) != 4 {
			return false
		}
		days := int32(binary.BigEndian.Uint32(column)) //nolint:gosec // in two's complement
		if days == math.MaxInt32 || days == math.MinInt32 {
			return false // infinity
		}
		*t = postgresFirstDate.AddDays(int(days))
		return true
	}
	return false
}
