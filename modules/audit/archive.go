package audit

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/trail"
)

// archiveFormat is the name and the version of the format: lines of JSON. The first line is a header. For each trail
// there follow a line of the trail, its events in the order of their positions, and the lists that they name. The last
// line is the manifest.
const archiveFormat = "omnirapeutic audit archive 1"

// ErrArchive is returned for an archive that was changed or is not complete.
var ErrArchive = errors.New("audit: the archive was changed, or is not complete")

// archiveLine is a line of an archive. Exactly one member is set.
type archiveLine struct {
	Header   *archiveHeader `json:"header,omitempty"`
	Trail    *ArchivedTrail `json:"trail,omitempty"`
	Event    *archivedEvent `json:"event,omitempty"`
	List     *archivedList  `json:"list,omitempty"`
	Manifest *Manifest      `json:"manifest,omitempty"`
}

type archiveHeader struct {
	Format        string    `json:"format"`
	SchemaVersion int64     `json:"schemaVersion"` // of the program that has written it
	WrittenAt     time.Time `json:"writtenAt"`
}

// ArchivedTrail is the part of a trail that an archive has.
type ArchivedTrail struct {
	OrganizationID uuid.UUID `json:"organizationId"`
	First          int64     `json:"first"`    // position of the first event
	Previous       string    `json:"previous"` // hash of the position before it
	Last           int64     `json:"last"`     // position of the last event
	Hash           string    `json:"hash"`     // at this position
	Lists          int       `json:"lists"`    // number of lists; only in the manifest
}

// Manifest is the content of an archive.
type Manifest struct {
	Trails []ArchivedTrail `json:"trails"`
	Events int64           `json:"events"`
	SHA256 string          `json:"sha256"` // of all lines before the manifest, not compressed, in hexadecimal
}

// archivedEvent is an event in an archive.
type archivedEvent struct {
	Position    int64         `json:"position"`
	Hash        string        `json:"hash"`
	Sequence    int64         `json:"sequence"`
	OccurredAt  time.Time     `json:"occurredAt"`
	ActorID     *uuid.UUID    `json:"actorId,omitempty"`
	RequestID   string        `json:"requestId,omitempty"`
	Action      string        `json:"action"`
	Outcome     trail.Outcome `json:"outcome"`
	SubjectType string        `json:"subjectType,omitempty"`
	SubjectID   *uuid.UUID    `json:"subjectId,omitempty"`
	PatientID   *uuid.UUID    `json:"patientId,omitempty"`
	Address     string        `json:"address,omitempty"`
	GrantID     *uuid.UUID    `json:"grantId,omitempty"`
	Before      *string       `json:"before,omitempty"` // JSON, as text, because the hash is computed over it
	After       *string       `json:"after,omitempty"`
}

func archivedEventOf(l *link) *archivedEvent {
	e := l.Event
	return &archivedEvent{
		Position: l.Position, Hash: l.Hash.String(), Sequence: e.Sequence, OccurredAt: e.OccurredAt, ActorID: e.ActorID,
		RequestID: e.RequestID, Action: e.Action, Outcome: e.Outcome, SubjectType: e.SubjectType, SubjectID: e.SubjectID,
		PatientID: e.PatientID, Address: e.Address, GrantID: e.GrantID, Before: e.Before, After: e.After,
	}
}

// row returns the event of an organization as the trail has it.
func (e *archivedEvent) row(organization uuid.UUID) eventRow {
	return eventRow{
		OrganizationID: organization, Sequence: e.Sequence, OccurredAt: e.OccurredAt, ActorID: e.ActorID,
		RequestID: e.RequestID, Action: e.Action, Outcome: e.Outcome, SubjectType: e.SubjectType, SubjectID: e.SubjectID,
		PatientID: e.PatientID, Address: e.Address, GrantID: e.GrantID, Before: e.Before, After: e.After,
	}
}

// archivedList is a list in an archive.
type archivedList struct {
	ID      uuid.UUID `json:"id"`
	Day     string    `json:"day"`
	Size    int       `json:"size"`
	Records string    `json:"records"`
}

func (l *archivedList) list(organization uuid.UUID) list {
	return list{OrganizationID: organization, ID: l.ID, Day: l.Day, Size: l.Size, Records: l.Records}
}

// archiveWriter writes the lines of an archive.
type archiveWriter struct {
	to       io.Writer
	sum      hash.Hash
	manifest Manifest
}

func newArchiveWriter(to io.Writer) *archiveWriter {
	return &archiveWriter{to: to, sum: sha256.New(), manifest: Manifest{Trails: []ArchivedTrail{}}}
}

func (w *archiveWriter) write(l archiveLine) error {
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	text = append(text, '\n')
	_, _ = w.sum.Write(text) // never fails
	_, err = w.to.Write(text)
	return err
}

// finish writes the manifest.
func (w *archiveWriter) finish() error {
	w.manifest.SHA256 = hex.EncodeToString(w.sum.Sum(nil))
	return w.write(archiveLine{Manifest: &w.manifest})
}

// archiveVisitor gets the verified content of an archive. Its functions may be nil.
type archiveVisitor struct {
	event func(organization uuid.UUID, e *archivedEvent) error
	list  func(l list) error
}

// VerifyArchive reads an archive to its end, and recomputes the chain of each trail, the hash of each list, and the
// hash of the whole. The error is [ErrArchive] with the reason if one differs. It needs no database.
func VerifyArchive(from io.Reader) (Manifest, error) { return readArchive(from, archiveVisitor{}) }

func readArchive(from io.Reader, visitor archiveVisitor) (Manifest, error) {
	r := archiveReader{visitor: visitor, sum: sha256.New()}
	lines := bufio.NewReader(from)
	for {
		text, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(text) == 0 && r.isFinished {
			return r.manifest, nil
		}
		if err != nil {
			return r.manifest, fmt.Errorf("%w: %w", ErrArchive, err)
		}
		if err := r.read(text); err != nil {
			return r.manifest, err
		}
	}
}

// archiveReader verifies the lines of an archive.
type archiveReader struct {
	visitor    archiveVisitor
	sum        hash.Hash
	hasHeader  bool
	isFinished bool
	trails     []ArchivedTrail // as read
	at         head            // the last event
	named      map[uuid.UUID]string
	events     int64
	manifest   Manifest
}

func wrong(format string, arguments ...any) error {
	return fmt.Errorf("%w: %s", ErrArchive, fmt.Sprintf(format, arguments...))
}

func (r *archiveReader) read(text []byte) error {
	var l archiveLine
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&l); err != nil {
		return wrong("a line is not JSON of this format: %v", err)
	}
	if r.isFinished || !r.hasHeader && l.Header == nil {
		return wrong("it does not begin with a header, or does not end with a manifest")
	}
	var err error
	switch {
	case l.Header != nil:
		if r.hasHeader || l.Header.Format != archiveFormat {
			return wrong("its format is not %q", archiveFormat)
		}
		r.hasHeader = true
	case l.Trail != nil:
		err = r.startTrail(*l.Trail)
	case l.Event != nil:
		err = r.addEvent(l.Event)
	case l.List != nil:
		err = r.addList(l.List)
	case l.Manifest != nil:
		err = r.finish(*l.Manifest)
	default:
		err = wrong("a line is empty")
	}
	_, _ = r.sum.Write(text) // never fails
	return err
}

func (r *archiveReader) startTrail(t ArchivedTrail) error {
	if err := r.endTrail(); err != nil {
		return err
	}
	if t.First < 1 || t.First == 1 && t.Previous != genesis(t.OrganizationID).String() {
		return wrong("the trail of %s does not begin with its first position", t.OrganizationID)
	}
	previous, err := db.ParseHash(t.Previous)
	if err != nil {
		return wrong("a hash is not one: %v", err)
	}
	r.trails = append(r.trails, t)
	r.at, r.named = head{t.OrganizationID, t.First - 1, previous}, map[uuid.UUID]string{}
	return nil
}

func (r *archiveReader) addEvent(e *archivedEvent) error {
	if len(r.trails) == 0 || e.Position != r.at.Position+1 {
		return wrong("position %d follows position %d", e.Position, r.at.Position)
	}
	row := e.row(r.at.OrganizationID)
	found := hashOf(r.at.Hash, e.Position, &row)
	if found.String() != e.Hash {
		return wrong("position %d of %s has another hash", e.Position, r.at.OrganizationID)
	}
	r.at.Position, r.at.Hash = e.Position, found
	r.events++
	if ref := row.listRef(); ref != nil && row.SubjectID != nil {
		r.named[*row.SubjectID] = ref.SHA256
	}
	if r.visitor.event == nil {
		return nil
	}
	return r.visitor.event(r.at.OrganizationID, e)
}

func (r *archiveReader) addList(a *archivedList) error {
	l := a.list(r.at.OrganizationID)
	if hash, isNamed := r.named[l.ID]; len(r.trails) == 0 || !isNamed || l.hash().String() != hash {
		return wrong("no event names the list %s, or it has another hash", l.ID)
	}
	delete(r.named, l.ID)
	r.trails[len(r.trails)-1].Lists++
	if r.visitor.list == nil {
		return nil
	}
	return r.visitor.list(l)
}

// endTrail checks that the last trail has all events and lists.
func (r *archiveReader) endTrail() error {
	if len(r.trails) == 0 {
		return nil
	}
	t := r.trails[len(r.trails)-1]
	if r.at.Position != t.Last || r.at.Hash.String() != t.Hash {
		return wrong("the trail of %s ends at position %d instead of %d", t.OrganizationID, r.at.Position, t.Last)
	}
	if len(r.named) > 0 {
		return wrong("%d lists of the trail of %s are missing", len(r.named), t.OrganizationID)
	}
	return nil
}

func (r *archiveReader) finish(m Manifest) error {
	if err := r.endTrail(); err != nil {
		return err
	}
	if m.Events != r.events || len(m.Trails) != len(r.trails) || m.SHA256 != hex.EncodeToString(r.sum.Sum(nil)) {
		return wrong("its content differs from its manifest")
	}
	for i, t := range m.Trails {
		if t != r.trails[i] {
			return wrong("the trail of %s differs from the manifest", t.OrganizationID)
		}
	}
	r.manifest, r.isFinished = m, true
	return nil
}

// covers returns an error unless the archive has all events that a removal removes, with the same hashes. It
// verifies the archive.
func covers(from io.Reader, removed []Checkpoint) error {
	missing := map[uuid.UUID]Checkpoint{}
	for _, c := range removed {
		missing[c.OrganizationID] = c
	}
	m, err := readArchive(from, archiveVisitor{event: func(organization uuid.UUID, e *archivedEvent) error {
		if c, wanted := missing[organization]; wanted && c.Position == e.Position && c.Hash.String() == e.Hash {
			delete(missing, organization)
		}
		return nil
	}})
	if err != nil {
		return err
	}
	first := map[uuid.UUID]int64{}
	for _, t := range m.Trails {
		first[t.OrganizationID] = t.First
	}
	for _, c := range removed {
		if _, isMissing := missing[c.OrganizationID]; isMissing || first[c.OrganizationID] > c.Position-c.Removed+1 {
			return fmt.Errorf("%w %s up to position %d", ErrNotArchived, c.OrganizationID, c.Position)
		}
	}
	return nil
}

// ErrNotArchived is returned for a removal of events that the given archive does not have.
var ErrNotArchived = errors.New("audit: nothing is removed, because the archive does not have all events of the trail")
