package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

// ArchivePeriod selects the events of an archive by their time. Each trail begins with the first event that is not
// older than From, or after its checkpoint, and ends before the first event that is not older than Before.
type ArchivePeriod struct {
	From, Before time.Time
}

// listBatch is the number of lists that are read at once.
const listBatch = 500

// Archive writes the sealed events of a period of all trails, with their lists, and returns the manifest. It verifies
// the chains while it reads; the error is [ErrDamaged] if an event has another hash. The caller checks the
// permission; Archive reads across organizations.
func (s *Service) Archive(ctx context.Context, period ArchivePeriod, to io.Writer) (Manifest, error) {
	organizations, err := s.Organizations(ctx)
	if err != nil {
		return Manifest{}, err
	}
	version, err := db.WantedSchemaVersion()
	if err != nil {
		return Manifest{}, err
	}
	w := newArchiveWriter(to)
	if err := w.write(archiveLine{Header: &archiveHeader{archiveFormat, version, s.now()}}); err != nil {
		return w.manifest, err
	}
	for _, organization := range organizations {
		if err := s.archiveTrail(ctx, organization, period, w); err != nil {
			return w.manifest, err
		}
	}
	return w.manifest, w.finish()
}

// archiveTrail writes the events of one trail, in parts.
func (s *Service) archiveTrail(
	ctx context.Context, organization uuid.UUID, period ArchivePeriod, w *archiveWriter,
) error {
	t, err := s.planArchive(ctx, organization, period)
	if err != nil || t == nil {
		return err
	}
	if err := w.write(archiveLine{Trail: t}); err != nil {
		return err
	}
	named := map[uuid.UUID]bool{}
	previous, err := db.ParseHash(t.Previous)
	if err != nil {
		return err
	}
	at := head{organization, t.First - 1, previous}
	for at.Position < t.Last {
		part := section{at.Position, min(at.Position+sectionLength, t.Last)}
		if at, err = s.archiveSection(ctx, part, at, named, w); err != nil {
			return err
		}
	}
	if at.Hash.String() != t.Hash {
		return fmt.Errorf("%w: the hash at position %d of %s has changed", ErrDamaged, t.Last, organization)
	}
	archived := *t
	if archived.Lists, err = s.archiveLists(ctx, organization, named, w); err != nil {
		return err
	}
	w.manifest.Trails = append(w.manifest.Trails, archived)
	w.manifest.Events += archived.Last - archived.First + 1
	return nil
}

// planArchive returns the positions of a trail that belong to a period; nil if there are none.
func (s *Service) planArchive(
	ctx context.Context, organization uuid.UUID, period ArchivePeriod,
) (*ArchivedTrail, error) {
	return db.Snapshot(ctx, s.database, "audit.archive", func(ctx context.Context) (*ArchivedTrail, error) {
		if err := db.Admit(ctx, organization); err != nil {
			return nil, err
		}
		state, err := s.store.chainState(ctx, organization)
		if err != nil {
			return nil, err
		}
		start := state.start(head{organization, 0, genesis(organization)})
		if !period.From.IsZero() {
			older, err := s.store.lastBefore(ctx, organization, period.From)
			if err != nil {
				return nil, err
			}
			if older != nil && older.Position > start.Position {
				start.Position, start.Hash = older.Position, older.Hash
			}
		}
		last, err := s.store.lastBefore(ctx, organization, period.Before)
		if err != nil || last == nil || last.Position <= start.Position {
			return nil, err
		}
		return &ArchivedTrail{
			OrganizationID: organization, First: start.Position + 1, Previous: start.Hash.String(), Last: last.Position,
			Hash: last.Hash.String(),
		}, nil
	})
}

// archiveSection writes the events of a section after a position, and returns the last one.
func (s *Service) archiveSection(
	ctx context.Context, of section, at head, named map[uuid.UUID]bool, w *archiveWriter,
) (head, error) {
	var links []link
	_, err := db.Snapshot(ctx, s.database, "audit.archive", func(ctx context.Context) (struct{}, error) {
		links = links[:0]
		if err := db.Admit(ctx, at.OrganizationID); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, s.store.links(ctx, at.OrganizationID, of, func(l *link) { links = append(links, *l) })
	})
	if err != nil {
		return at, err
	}
	for i := range links {
		l := &links[i]
		if l.Position != at.Position+1 || !l.EventExists || hashOf(at.Hash, l.Position, &l.Event) != l.Hash {
			return at, fmt.Errorf("%w: position %d of %s", ErrDamaged, at.Position+1, at.OrganizationID)
		}
		if ref := l.Event.listRef(); ref != nil && l.Event.SubjectID != nil {
			named[*l.Event.SubjectID] = true
		}
		if err := w.write(archiveLine{Event: archivedEventOf(l)}); err != nil {
			return at, err
		}
		at.Position, at.Hash = l.Position, l.Hash
	}
	if at.Position != of.last {
		return at, fmt.Errorf("%w: position %d of %s is missing", ErrDamaged, at.Position+1, at.OrganizationID)
	}
	return at, nil
}

// archiveLists writes the named lists of a trail, and returns their number.
func (s *Service) archiveLists(
	ctx context.Context, organization uuid.UUID, named map[uuid.UUID]bool, w *archiveWriter,
) (int, error) {
	ids := make([]uuid.UUID, 0, len(named))
	for id := range named {
		ids = append(ids, id)
	}
	for at := 0; at < len(ids); at += listBatch {
		part := ids[at:min(at+listBatch, len(ids))]
		lists, err := db.Snapshot(ctx, s.database, "audit.archive", func(ctx context.Context) ([]archivedList, error) {
			if err := db.Admit(ctx, organization); err != nil {
				return nil, err
			}
			return s.store.archivedLists(ctx, organization, part)
		})
		if err != nil {
			return 0, err
		}
		if len(lists) != len(part) {
			return 0, fmt.Errorf("%w: a list of %s is missing", ErrDamaged, organization)
		}
		for i := range lists {
			if err := w.write(archiveLine{List: &lists[i]}); err != nil {
				return 0, err
			}
		}
	}
	return len(ids), nil
}

// ErrNotRemoved is returned for an archive with events that the trail still has.
var ErrNotRemoved = errors.New("audit: the trail still has events of the archive, so they are not restored")

// Restore makes the events of an archive searchable again. It verifies the archive, and compares it with the
// checkpoints of the removals that it spans. The restored events are copies in a table of their own, so the trails
// and their verification stay as they are. Restoring an archive again changes nothing. Restore must run as the owner
// of the tables. Open opens the archive from its beginning, and is called several times.
func (s *Service) Restore(ctx context.Context, open func() (io.ReadCloser, error)) (Manifest, error) {
	m, err := s.checkArchive(ctx, open)
	if err != nil {
		return m, err
	}
	_, err = db.ReadCommitted(ctx, s.database, "audit.restore", func(ctx context.Context) (struct{}, error) {
		from, err := open()
		if err != nil {
			return struct{}{}, err
		}
		batch := restoreBatch{store: s.store, archive: m.SHA256}
		_, err = readArchive(from, archiveVisitor{
			event: func(organization uuid.UUID, e *archivedEvent) error { return batch.addEvent(ctx, organization, e) },
			list:  func(l list) error { return s.store.restoreList(ctx, l) },
		})
		return struct{}{}, errors.Join(err, batch.flush(ctx), from.Close())
	}, db.AllOrganizations())
	return m, err
}

// checkArchive verifies an archive, alone and against the checkpoints.
func (s *Service) checkArchive(ctx context.Context, open func() (io.ReadCloser, error)) (Manifest, error) {
	type place struct {
		organization uuid.UUID
		position     int64
	}
	checkpoints, err := db.Snapshot(ctx, s.database, "audit.restore", s.store.checkpoints, db.AllOrganizations())
	if err != nil {
		return Manifest{}, err
	}
	hashes, newest := map[place]Hash{}, map[uuid.UUID]int64{}
	for _, c := range checkpoints {
		hashes[place{c.OrganizationID, c.Position}] = c.Hash
		newest[c.OrganizationID] = max(newest[c.OrganizationID], c.Position)
	}
	from, err := open()
	if err != nil {
		return Manifest{}, err
	}
	m, err := readArchive(from, archiveVisitor{event: func(organization uuid.UUID, e *archivedEvent) error {
		if hash, exists := hashes[place{organization, e.Position}]; exists && hash.String() != e.Hash {
			return wrong("position %d of %s has another hash than its checkpoint", e.Position, organization)
		}
		return nil
	}})
	if err := errors.Join(err, from.Close()); err != nil {
		return m, err
	}
	for _, t := range m.Trails {
		if t.Last > newest[t.OrganizationID] {
			return m, fmt.Errorf("%w: %s", ErrNotRemoved, t.OrganizationID)
		}
		if hash, exists := hashes[place{t.OrganizationID, t.First - 1}]; exists && hash.String() != t.Previous {
			return m, wrong("the trail of %s does not continue from its checkpoint", t.OrganizationID)
		}
	}
	return m, nil
}

// restoreBatch collects events for one statement.
type restoreBatch struct {
	store
	archive string
	rows    []restoredRow
}

// restoredRow is an event of an archive.
type restoredRow struct {
	organization uuid.UUID
	event        archivedEvent
}

func (b *restoreBatch) addEvent(ctx context.Context, organization uuid.UUID, e *archivedEvent) error {
	if b.rows = append(b.rows, restoredRow{organization, *e}); len(b.rows) < maxReplayBatch {
		return nil
	}
	return b.flush(ctx)
}

func (b *restoreBatch) flush(ctx context.Context) error {
	if len(b.rows) == 0 {
		return nil
	}
	err := b.restoreEvents(ctx, b.archive, b.rows)
	b.rows = b.rows[:0]
	return err
}
