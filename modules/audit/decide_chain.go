package audit

import (
	"crypto/sha256"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

// Hash is a link of the chain.
type Hash = db.Hash

// genesis is the hash before the first position. It contains the organization, so that the chain
// of one cannot be used for another.
func genesis(organization uuid.UUID) Hash {
	return sha256.Sum256(fmt.Appendf(nil, "omnirapeutic audit trail\n%s\n", organization))
}

// seal is the position and hash of an event in its organization's chain.
type seal struct {
	OrganizationID uuid.UUID
	Position       int64 // 1, 2, 3, …
	OccurredAt     time.Time
	Sequence       int64
	Hash           Hash
}

// hashOf returns the SHA-256 of the event at a position: the hash of the previous position, then
// one field per line in the order below. No field contains a line break: texts are ids, constants
// of the program or JSON, which escapes them. The form is plain so that an auditor can recompute
// it with SQL alone (docs/operations.md).
func hashOf(previous Hash, position int64, r row) Hash {
	b := make([]byte, 0, 768)
	line := func(s string) { b = append(append(b, s...), '\n') }
	number := func(n int64) { b = append(strconv.AppendInt(b, n, 10), '\n') }
	id := func(id *uuid.UUID) {
		if id == nil {
			line("")
			return
		}
		line(id.String())
	}
	text := func(s *string) {
		if s == nil {
			line("")
			return
		}
		line(*s)
	}
	line(previous.String())
	number(position)
	number(r.Sequence)
	number(r.OccurredAt.UnixMicro())
	id(r.ActorID)
	line(r.RequestID)
	line(r.Action)
	line(string(r.Outcome))
	line(r.SubjectType)
	id(r.SubjectID)
	id(r.PatientID)
	line(r.Address)
	id(r.GrantID)
	text(r.Before)
	text(r.After)
	return sha256.Sum256(b)
}
