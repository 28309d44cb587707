package directory

import (
	"context"
	"reflect"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/trail"
)

// storedRecord is a noun of the directory: a pointer to a struct that embeds [Record].
type storedRecord[T any] interface {
	*T
	head() *Record
	// normalize returns an error for each invalid field and sorts lists.
	normalize(today calendar.Date) []fault.Field
}

// crud implements the common operations of one noun of the directory. It has no state.
type crud[T any, P storedRecord[T]] struct {
	name     string       // in the names of operations
	notFound *fault.Error // the error for an unknown record
	valid    T            // a valid record: errors after applying a change to it are errors of the change

	store recordStore[T]

	recorded func(record T) recordedFields // the fields of the record for the audit trail

	// Hooks of the noun; each may be nil.
	checkReferences func(ctx context.Context, record T) error  // checks references, in the transaction
	loadParts       func(ctx context.Context, found []T) error // loads data of other tables
	saveParts       func(ctx context.Context, record *T) error // writes data of other tables
	patientOf       func(record T) uuid.UUID                   // the patient whose data it is
}

// create sets the id, organization and version of a record and inserts it.
func (k crud[T, P]) create(ctx context.Context, s *Service, created T) (T, error) {
	var none T
	caller, err := identity.From(ctx)
	if err != nil {
		return none, err
	}
	now := s.now()
	*P(&created).head() = Record{
		ID: s.newID(), OrganizationID: caller.OrganizationID, Version: 1, CreatedAt: now, UpdatedAt: now,
	}
	if fieldErrors := P(&created).normalize(latestToday(now)); len(fieldErrors) > 0 { // before taking a connection
		return none, fault.InvalidFields(fieldErrors...)
	}
	today, err := s.today(ctx)
	if err != nil {
		return none, err
	}
	if fieldErrors := P(&created).normalize(today); len(fieldErrors) > 0 {
		return none, fault.InvalidFields(fieldErrors...)
	}
	id := P(&created).head().ID
	stored := func(ctx context.Context) (bool, error) { return k.store.exists(ctx, id) }
	return db.Serializable(ctx, s.database, k.name+".create", func(ctx context.Context) (T, error) {
		if db.InDoubt(ctx) { // an earlier attempt may have committed: see db.ProvenBy
			if exists, err := stored(ctx); exists || err != nil {
				return created, err
			}
		}
		if k.checkReferences != nil {
			if err := k.checkReferences(ctx, created); err != nil {
				return none, err
			}
		}
		if err := k.store.insert(ctx, &created); err != nil {
			return none, err
		}
		if err := k.savePartsOf(ctx, &created); err != nil {
			return none, err
		}
		return created, k.record(ctx, s, nil, &created)
	}, db.ProvenBy(stored))
}

// get reads one record.
func (k crud[T, P]) get(ctx context.Context, s *Service, id uuid.UUID) (T, error) {
	return db.Snapshot(ctx, s.database, k.name+".get", func(ctx context.Context) (T, error) {
		found, err := k.read(ctx, id)
		if err == nil {
			k.show(ctx, found)
		}
		return found, err
	})
}

// several returns the records of the ids within the caller's record scope, in the transaction of the context.
func (k crud[T, P]) several(ctx context.Context, ids []uuid.UUID) ([]T, error) {
	found, err := k.store.several(ctx, ids)
	if err != nil {
		return nil, err
	}
	k.show(ctx, found...)
	return found, k.loadPartsOf(ctx, found)
}

// list returns a page of the records that match every condition.
func (k crud[T, P]) list(ctx context.Context, s *Service, p Page, where ...condition) ([]T, error) {
	return db.Snapshot(ctx, s.database, k.name+".list", func(ctx context.Context) ([]T, error) {
		found, err := k.store.list(ctx, p, where)
		if err != nil {
			return nil, err
		}
		return found, k.loadPartsOf(ctx, found)
	})
}

// change applies a change to a record. If the record has changed, it writes it with the next
// version. It returns [patch.ErrStale] if match names another version. It works without
// [db.ProvenBy]: a merge patch can be repeated after an unknown outcome.
func (k crud[T, P]) change(
	ctx context.Context, s *Service, id uuid.UUID, match patch.Match, apply func(*T),
) (T, error) {
	var none T
	now := s.now()
	changes := k.valid
	apply(&changes)
	if fieldErrors := P(&changes).normalize(latestToday(now)); len(fieldErrors) > 0 { // before any connection is taken
		return none, fault.InvalidFields(fieldErrors...)
	}
	today, err := s.today(ctx)
	if err != nil {
		return none, err
	}
	return db.Serializable(ctx, s.database, k.name+".change", func(ctx context.Context) (T, error) {
		before, err := k.read(ctx, id)
		if err != nil {
			return none, err
		}
		if err := match.Check(k.versionOf(before)); err != nil {
			return none, err
		}
		after := before
		apply(&after)
		if fieldErrors := P(&after).normalize(today); len(fieldErrors) > 0 {
			return none, fault.InvalidFields(fieldErrors...)
		}
		if reflect.DeepEqual(before, after) {
			return before, nil
		}
		head := P(&after).head()
		head.Version++
		head.UpdatedAt = now
		if err := k.store.update(ctx, &after, id); err != nil {
			return none, err
		}
		if err := k.savePartsOf(ctx, &after); err != nil {
			return none, err
		}
		return after, k.record(ctx, s, &before, &after)
	})
}

// record records in the audit trail that a record was created (before is nil) or changed.
func (k crud[T, P]) record(ctx context.Context, s *Service, before, after *T) error {
	var previous recordedFields
	if before != nil {
		previous = k.recorded(*before)
	}
	return recordEvent(ctx, s, k.name, k.patientIDOf(*after), previous, k.recorded(*after), *P(after).head())
}

func (k crud[T, P]) patientIDOf(record T) *uuid.UUID {
	if k.patientOf == nil {
		return nil
	}
	return new(k.patientOf(record))
}

// show records that patients' records are shown to the caller. Only the endpoint of a list knows
// which ones are on its page.
func (k crud[T, P]) show(ctx context.Context, found ...T) {
	if k.patientOf == nil {
		return
	}
	for _, r := range found {
		trail.Show(ctx, trail.Subject{Type: k.name, ID: P(&r).head().ID, PatientID: k.patientOf(r)})
	}
}

func (crud[T, P]) versionOf(record T) int { return P(&record).head().Version }

func (k crud[T, P]) read(ctx context.Context, id uuid.UUID) (T, error) {
	found, err := k.store.get(ctx, id)
	if db.IsNotFound(err) {
		return found, k.notFound
	}
	if err != nil {
		return found, err
	}
	records := []T{found}
	err = k.loadPartsOf(ctx, records)
	return records[0], err
}

func (k crud[T, P]) loadPartsOf(ctx context.Context, found []T) error {
	if k.loadParts == nil || len(found) == 0 {
		return nil
	}
	return k.loadParts(ctx, found)
}

func (k crud[T, P]) savePartsOf(ctx context.Context, saved *T) error {
	if k.saveParts == nil {
		return nil
	}
	return k.saveParts(ctx, saved)
}
