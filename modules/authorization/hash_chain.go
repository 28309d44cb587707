package authorization

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/record"
)

// Hash is a hash of the chain.
type Hash = db.Hash

// genesis returns the hash before the first entry. It includes the authorization's id and initial
// units. Entries therefore cannot be moved to another authorization, and the grant cannot be
// changed outside the ledger.
func genesis(organization, authorization uuid.UUID, initialUnits int) Hash {
	return sha256.Sum256(fmt.Appendf(nil, "omnirapeutic unit ledger\n%s\n%s\n%d\n", organization, authorization,
		initialUnits))
}

// computeHash returns the SHA-256 of the previous entry's hash and the entry's fields, one per
// line, in this order. Only the last line can contain line breaks, so no two entries have the same
// text. The format is simple so that an auditor can recompute it in SQL (docs/operations.md).
func (e *Entry) computeHash() Hash {
	var buffer [512]byte // enough unless the reason is long
	b := buffer[:0]
	number := func(n int64) { b = append(strconv.AppendInt(b, n, 10), '\n') }
	id := func(id uuid.UUID) { b = append(record.AppendID(b, id), '\n') }
	line := func(s string) { b = append(append(b, s...), '\n') }
	b = append(hex.AppendEncode(b, e.PreviousHash[:]), '\n')
	id(e.AuthorizationID)
	number(e.Sequence)
	line(string(e.Kind))
	number(int64(e.Units))
	if e.ReservationID != nil {
		b = record.AppendID(b, *e.ReservationID)
	}
	b = append(b, '\n')
	b = append(e.ServiceDate.Append(b), '\n')
	id(e.OperationID)
	id(e.ActorID)
	line(e.RequestID)
	number(int64(e.TotalAfter))
	number(int64(e.UsedAfter))
	number(int64(e.ScheduledAfter))
	number(e.OccurredAt.UnixMicro())
	if e.Corrects != nil {
		number(*e.Corrects)
	}
	if e.Reason != nil {
		line(*e.Reason)
	}
	return sha256.Sum256(b)
}
