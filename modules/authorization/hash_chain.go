package authorization

import (
	"crypto/sha256"
	"fmt"
	"strconv"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
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
	b := make([]byte, 0, 512)
	line := func(s string) { b = append(append(b, s...), '\n') }
	number := func(n int64) { b = append(strconv.AppendInt(b, n, 10), '\n') }
	line(e.PreviousHash.String())
	line(e.AuthorizationID.String())
	number(e.Sequence)
	line(string(e.Kind))
	number(int64(e.Units))
	line(text(e.ReservationID))
	line(e.ServiceDate.String())
	line(e.OperationID.String())
	line(e.ActorID.String())
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
