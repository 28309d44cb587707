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

// record is a noun of the directory: a pointer to a struct that embeds [Record].
type record[T any] interface {
	*T
	head() *Record
	// settle returns an error for each invalid field and sorts lists.
	settle(today calendar.Date) []fault.Field
}

// kind implements the common operations of one noun of the directory. It has no state.
type kind[T any, P record[T]] struct {
	name   string       // in the names of operations
	absent *fault.Error // the error for an unknown record
	blank  T            // a valid record: errors after applying a change to it are errors of the change

	owners db.Owners // the record scope of its rows; the zero value: no rows for callers with a limited scope

	recorded recordedFields // the fields whose values the audit trail stores; the zero value: none

	// Hooks of the noun; each may be nil.
	refer func(ctx context.Context, record T) error  // checks references, in the transaction
	load  func(ctx context.Context, found []T) error // loads data of other tables
	save  func(ctx context.Context, record *T) error // writes data of other tables
	whose func(record T) uuid.UUID                   // the patient whose data it is
}

// create sets the id, organization and version of a record and inserts it.
func (k kind[T, P]) create(ctx context.Context, s *Service, created T) (T, error) {
	var none T
	caller, err := identity.From(ctx)
	if err != nil {
		return none, err
	}
	now := s.now()
	*P(&created).head() = Record{
		ID: s.newID(), OrganizationID: caller.OrganizationID, Version: 1, CreatedAt: now, UpdatedAt: now,
	}
	if fieldErrors := P(&created).settle(latestToday(now)); len(fieldErrors) > 0 { // before taking a connection
		return none, fault.InvalidFields(fieldErrors...)
	}
	today, err := s.today(ctx)
	if err != nil {
		return none, err
	}
	if fieldErrors := P(&created).settle(today); len(fieldErrors) > 0 {
		return none, fault.InvalidFields(fieldErrors...)
	}
	id := P(&created).head().ID
	stored := func(ctx context.Context) (bool, error) { return exists[T](ctx, id) }
	return db.Serializable(ctx, s.database, k.name+".create", func(ctx context.Context) (T, error) {
		if db.InDoubt(ctx) { // an earlier attempt may have committed: see db.ProvenBy
			if done, err := stored(ctx); done || err != nil {
				return created, err
			}
		}
		if k.refer != nil {
			if err := k.refer(ctx, created); err != nil {
				return none, err
			}
		}
		if err := insert(ctx, &created); err != nil {
			return none, err
		}
		if err := k.saveParts(ctx, &created); err != nil {
			return none, err
		}
		return created, k.record(ctx, s, nil, created)
	}, db.ProvenBy(stored))
}

// get reads one record.
func (k kind[T, P]) get(ctx context.Context, s *Service, id uuid.UUID) (T, error) {
	return db.Snapshot(ctx, s.database, k.name+".get", func(ctx context.Context) (T, error) {
		found, err := k.take(ctx, id)
		if err == nil {
			k.show(ctx, found)
		}
		return found, err
	})
}

// list returns a page of the records that match every condition.
func (k kind[T, P]) list(ctx context.Context, s *Service, p Page, where ...condition) ([]T, error) {
	return db.Snapshot(ctx, s.database, k.name+".list", func(ctx context.Context) ([]T, error) {
		found, err := find[T](ctx, p, k.owners, where)
		if err != nil {
			return nil, err
		}
		return found, k.loadParts(ctx, found)
	})
}

// change applies a change to a record. If the record has changed, it writes it with the next
// version. It returns [patch.ErrStale] if match names another version. It works without
// [db.ProvenBy]: a merge patch can be repeated after an unknown outcome.
func (k kind[T, P]) change(
	ctx context.Context, s *Service, id uuid.UUID, match patch.Match, apply func(*T),
) (T, error) {
	var none T
	now := s.now()
	alone := k.blank
	apply(&alone)
	if fieldErrors := P(&alone).settle(latestToday(now)); len(fieldErrors) > 0 { // before any connection is taken
		return none, fault.InvalidFields(fieldErrors...)
	}
	today, err := s.today(ctx)
	if err != nil {
		return none, err
	}
	return db.Serializable(ctx, s.database, k.name+".change", func(ctx context.Context) (T, error) {
		before, err := k.take(ctx, id)
		if err != nil {
			return none, err
		}
		if err := match.Check(k.versionOf(before)); err != nil {
			return none, err
		}
		after := before
		apply(&after)
		if fieldErrors := P(&after).settle(today); len(fieldErrors) > 0 {
			return none, fault.InvalidFields(fieldErrors...)
		}
		if reflect.DeepEqual(before, after) {
			return before, nil
		}
		head := P(&after).head()
		head.Version++
		head.UpdatedAt = now
		if err := update(ctx, &after, id); err != nil {
			return none, err
		}
		if err := k.saveParts(ctx, &after); err != nil {
			return none, err
		}
		return after, k.record(ctx, s, before, after)
	})
}

// record records in the audit trail that a record was created (before is nil) or changed.
func (k kind[T, P]) record(ctx context.Context, s *Service, before any, after T) error {
	return recordEvent(ctx, s, k.recorded, k.name, k.patientOf(after), before, after, *P(&after).head())
}

func (k kind[T, P]) patientOf(record T) *uuid.UUID {
	if k.whose == nil {
		return nil
	}
	return new(k.whose(record))
}

// show records that patients' records are shown to the caller. Only the endpoint of a list knows
// which ones are on its page.
func (k kind[T, P]) show(ctx context.Context, found ...T) {
	if k.whose == nil {
		return
	}
	for _, each := range found {
		trail.Show(ctx, trail.Subject{Type: k.name, ID: P(&each).head().ID, PatientID: k.whose(each)})
	}
}

func (kind[T, P]) versionOf(record T) int { return P(&record).head().Version }

func (k kind[T, P]) take(ctx context.Context, id uuid.UUID) (T, error) {
	found, err := take[T](ctx, id, k.owners)
	if db.IsNotFound(err) {
		return found, k.absent
	}
	if err != nil {
		return found, err
	}
	one := []T{found}
	err = k.loadParts(ctx, one)
	return one[0], err
}

func (k kind[T, P]) loadParts(ctx context.Context, found []T) error {
	if k.load == nil || len(found) == 0 {
		return nil
	}
	return k.load(ctx, found)
}

func (k kind[T, P]) saveParts(ctx context.Context, saved *T) error {
	if k.save == nil {
		return nil
	}
	return k.save(ctx, saved)
}
