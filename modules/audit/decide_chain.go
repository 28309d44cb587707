package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/record"
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
func hashOf(previous Hash, position int64, r *eventRow) Hash {
	var buffer [1024]byte // enough unless the values before and after are long
	b := buffer[:0]
	line := func(s string) { b = append(append(b, s...), '\n') }
	number := func(n int64) { b = append(strconv.AppendInt(b, n, 10), '\n') }
	id := func(id *uuid.UUID) {
		if id != nil {
			b = record.AppendID(b, *id)
		}
		b = append(b, '\n')
	}
	text := func(s *string) {
		if s != nil {
			b = append(b, *s...)
		}
		b = append(b, '\n')
	}
	b = append(hex.AppendEncode(b, previous[:]), '\n')
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
	for i := range waiting {
		r := &waiting[i]
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

// chainState is the state of a chain in one snapshot.
type chainState struct {
	checkpoint   *head     // the newest one
	checkpointAt time.Time // when it was written
	removed      int64     // removed events, up to the checkpoint
	chainHead    head      // the chain's head
	waiting      int
}

// firstPosition is the position before the first entry of the chain.
func (c chainState) firstPosition() int64 {
	if c.checkpoint == nil {
		return 0
	}
	return c.checkpoint.Position
}

// compareVerified compares the last seal up to a position that was verified before with the hash that it
// had.
func compareVerified(verified Head, seal head) (r Findings) {
	expected := fmt.Sprintf("position %d with the hash %s, which was verified before", verified.Position, verified.Hash)
	if found := fmt.Sprintf("position %d with the hash %s", seal.Position, seal.Hash); seal.Position != verified.Position ||
		seal.Hash.String() != verified.Hash {
		r.add(Finding{seal.OrganizationID, "checkpoint", verified.Position, 0, expected, found})
	}
	return r
}

// link is a seal with its event, if the event exists.
type link struct {
	Position     int64
	SealSequence int64
	Hash         Hash
	EventExists  bool
	Event        eventRow
}

// section is a range of positions of a chain: those after the first one, up to and including the last
// one. The last section has no end.
type section struct {
	after, last int64
}

// sectionCheck checks a section of a chain. Links are added in the order of their positions, and are not
// kept.
type sectionCheck struct {
	chainState
	at         head // the last link
	isRemoving bool // rows up to the checkpoint are no problem, because they are being removed
	named      []namedList
	findings   Findings
}

// start returns the last link before a section: the last seal, or the checkpoint if it is newer.
func (c chainState) start(lastSeal head) head {
	if k := c.checkpoint; k != nil && k.Position > lastSeal.Position {
		return *k
	}
	return lastSeal
}

// add checks the next link.
func (c *sectionCheck) add(l *link) {
	if c.isRemoving && l.Position <= c.firstPosition() {
		return
	}
	if l.Position <= c.at.Position { // before the checkpoint: not removed with the other seals
		c.findings.add(Finding{
			c.at.OrganizationID, "position", l.Position, l.SealSequence, "none up to " + fmt.Sprint(c.at.Position),
			"a seal",
		})
		return
	}
	c.findings.Events++
	if l.Position != c.at.Position+1 {
		c.findings.add(Finding{
			c.at.OrganizationID, "position", l.Position, l.SealSequence, fmt.Sprint(c.at.Position + 1),
			fmt.Sprint(l.Position),
		})
	}
	if !l.EventExists {
		c.findings.add(Finding{c.at.OrganizationID, "event", l.Position, l.SealSequence, "an event", "none"})
	} else if hash := hashOf(c.at.Hash, l.Position, &l.Event); hash != l.Hash {
		c.findings.add(Finding{c.at.OrganizationID, "hash", l.Position, l.SealSequence, hash.String(), l.Hash.String()})
	}
	if ref := l.Event.listRef(); ref != nil && l.Event.SubjectID != nil {
		c.named = append(c.named, namedList{l.Position, l.SealSequence, *l.Event.SubjectID, ref.SHA256})
	}
	c.at.Position, c.at.Hash = l.Position, l.Hash
}

// finish compares the last link with the head of the chain.
func (c *sectionCheck) finish() {
	if c.chainHead.Position != c.at.Position {
		c.findings.add(Finding{
			c.at.OrganizationID, "position", 0, 0, fmt.Sprintf("%d as the last one", c.chainHead.Position),
			fmt.Sprint(c.at.Position),
		})
	}
	if c.chainHead.Hash != c.at.Hash {
		c.findings.add(Finding{c.at.OrganizationID, "head", 0, 0, c.at.Hash.String(), c.chainHead.Hash.String()})
	}
	c.findings.Removed, c.findings.Waiting = c.removed, c.waiting
	if c.chainHead.Position > 0 {
		c.findings.Heads = []Head{{c.at.OrganizationID, c.chainHead.Position, c.chainHead.Hash.String()}}
	}
}

// head is the last position and hash of a chain.
type head struct {
	OrganizationID uuid.UUID
	Position       int64
	Hash           Hash // at the position; the genesis hash at position 0
}
