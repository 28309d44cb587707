package main

import (
	"encoding/binary"
	"time"

	"github.com/google/uuid"
)

// rows are rows in COPY's binary form. Writing ten million by hand is faster than with
// a general encoder.
type rows []byte

func (r *rows) begin() { *r = append(*r, "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"...) }
func (r *rows) end()   { *r = binary.BigEndian.AppendUint16(*r, 0xffff) }

func (r *rows) row(columns uint16) { *r = binary.BigEndian.AppendUint16(*r, columns) }
func (r *rows) length(n uint32)    { *r = binary.BigEndian.AppendUint32(*r, n) }
func (r *rows) null()              { r.length(0xffffffff) }

func (r *rows) bytes(b []byte) {
	r.length(uint32(len(b))) //nolint:gosec // a hash
	*r = append(*r, b...)
}

func (r *rows) text(s string) {
	r.length(uint32(len(s))) //nolint:gosec // a word
	*r = append(*r, s...)
}

func (r *rows) id(ids ...uuid.UUID) {
	for _, id := range ids {
		r.bytes(id[:])
	}
}

func (r *rows) int4(numbers ...int) {
	for _, n := range numbers {
		r.length(4)
		*r = binary.BigEndian.AppendUint32(*r, uint32(n)) //nolint:gosec // in two's complement
	}
}

func (r *rows) int8(n int64) {
	r.length(8)
	*r = binary.BigEndian.AppendUint64(*r, uint64(n)) //nolint:gosec // as above
}

// PostgreSQL's epoch.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func (r *rows) time(t time.Time) { r.int8(t.Sub(epoch).Microseconds()) }
func (r *rows) date(t time.Time) { r.int4(int(t.Sub(epoch) / (24 * time.Hour))) }
