package audit

import (
	"crypto/sha256"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
)

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
func hashOf(previous Hash, position int64, r eventRow) Hash {
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

// completeRows returns the events of the complete rows, these rows, and the rows with a missing event,
// which was deleted. The other events of such a row stay unsealed and are reported; once sealed,
// they would hide the deletion.
func completeRows(waiting []unsealedEvent) (events []eventRow, rows, missed []unsealedRow) {
	incomplete := map[unsealedRow]bool{}
	for _, w := range waiting {
		if r := w.row(); w.Event.Sequence == 0 && !incomplete[r] {
			incomplete[r] = true
			missed = append(missed, r)
		}
	}
	events = make([]eventRow, 0, len(waiting))
	for _, w := range waiting {
		r := w.row()
		if incomplete[r] {
			continue
		}
		events = append(events, w.Event)
		if w.Event.Sequence == w.First {
			rows = append(rows, r)
		}
	}
	return events, rows, missed
}

// assignSeals assigns the next positions of their chains to the events and advances the heads.
func assignSeals(heads []head, waiting []eventRow) []seal {
	seals := make([]seal, len(waiting))
	at := map[string]*head{}
	for i := range heads {
		at[heads[i].OrganizationID.String()] = &heads[i]
	}
	for i, r := range waiting {
		h := at[r.OrganizationID.String()]
		h.Position++
		h.Hash = hashOf(h.Hash, h.Position, r)
		seals[i] = seal{r.OrganizationID, h.Position, r.OccurredAt, r.Sequence, h.Hash}
	}
	return seals
}

// unsealedRow names a row of audit_unsealed: the events that one statement has recorded for an
// organization.
type unsealedRow struct {
	OrganizationID uuid.UUID
	First          int64
}

// chainPart is a section of a chain in one snapshot.
type chainPart struct {
	checkpoint *head // the newest one
	removed    int64 // removed events, up to the checkpoint
	chainHead  head  // the chain's head
	waiting    int
	links      []link       // after the requested position
	lists      []storedList // lists of the links' events that were not checked before
}

// firstPosition is the position before the first entry of the chain.
func (p chainPart) firstPosition() int64 {
	if p.checkpoint == nil {
		return 0
	}
	return p.checkpoint.Position
}

// link is a seal with its event, if the event exists.
type link struct {
	Position     int64
	SealSequence int64
	Hash         Hash
	EventExists  bool
	Event        eventRow `gorm:"embedded"` // named, because gorm ignores unexported embedded types
}

// check verifies the links and returns the new head.
func (p chainPart) check(at head, r *Findings) head {
	for _, l := range p.links {
		if l.Position <= at.Position { // before the checkpoint: not removed with the other seals
			r.add(Finding{
				at.OrganizationID, "position", l.Position, l.SealSequence, "none up to " + fmt.Sprint(at.Position),
				"a seal",
			})
			continue
		}
		r.Events++
		if l.Position != at.Position+1 {
			r.add(Finding{
				at.OrganizationID, "position", l.Position, l.SealSequence, fmt.Sprint(at.Position + 1),
				fmt.Sprint(l.Position),
			})
		}
		if !l.EventExists {
			r.add(Finding{at.OrganizationID, "event", l.Position, l.SealSequence, "an event", "none"})
		} else if hash := hashOf(at.Hash, l.Position, l.Event); hash != l.Hash {
			r.add(Finding{at.OrganizationID, "hash", l.Position, l.SealSequence, hash.String(), l.Hash.String()})
		}
		at.Position, at.Hash = l.Position, l.Hash
	}
	return at
}

func (p chainPart) checkHead(at head, r *Findings) {
	if p.chainHead.Position != at.Position {
		r.add(Finding{
			at.OrganizationID, "position", 0, 0, fmt.Sprintf("%d as the last one", p.chainHead.Position),
			fmt.Sprint(at.Position),
		})
	}
	if p.chainHead.Hash != at.Hash {
		r.add(Finding{at.OrganizationID, "head", 0, 0, at.Hash.String(), p.chainHead.Hash.String()})
	}
}

// head is the last position and hash of a chain.
type head struct {
	OrganizationID uuid.UUID
	Position       int64
	Hash           Hash // at the position; the genesis hash at position 0
}
