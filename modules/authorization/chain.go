package authorization

import (
	"crypto/sha256"
	"fmt"
	"strconv"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

// Hash is a link of the chain.
type Hash = db.Hash

// genesis is the hash before the first entry. It is bound to the authorization
// and to what was granted at first, so that entries of one cannot be passed off
// as another's, and the grant cannot be changed beside the ledger.
func genesis(organization, authorization uuid.UUID, initialUnits int) Hash {
	return sha256.Sum256(fmt.Appendf(nil, "omnirapeutic unit ledger\n%s\n%s\n%d\n", organization, authorization, initialUnits))
}

// computeHash returns the SHA-256 of the entry's fields, one a line, in the order
// written here, after the hash of the entry before it. Only the last line may
// hold line breaks, so no two entries have the same text. The form is plain so
// that an auditor can recompute it with nothing but SQL (docs/operations.md).
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
	if e.Reason != nil {
		line(*e.Reason)
	}
	return sha256.Sum256(b)
}
