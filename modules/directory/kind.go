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
	// settle returns what is wrong with the fields, whatever else there is, and
	// brings lists into their order.
	settle(today calendar.Date) []fault.Field
}

// kind is one noun of the directory, and what all of them can do. It has no state.
type kind[T any, P record[T]] struct {
	name   string       // in the names of operations
	absent *fault.Error // there is no such record in the caller's organization
	blank  T            // passes settle: what is wrong with a change made to it is wrong with the change by itself

	owners db.Owners // of its rows; the zero value: nobody, so that a limited reach leads to none

	told told // to the audit trail; the zero value: names of fields only

	// What is particular to the noun; each may be nil.
	refer func(ctx context.Context, record T) error  // checks, in the transaction, that what it refers to is there
	load  func(ctx context.Context, found []T) error // fills in what lies in other tables
	save  func(ctx context.Context, record *T) error // writes what lies in other tables
	whose func(record T) uuid.UUID                   // the patient whose data it is
}

// create gives the record its id, its organization and its version, and inserts it.
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
	if wrong := P(&created).settle(latestToday(now)); len(wrong) > 0 { // before taking a connection
		return none, fault.InvalidFields(wrong...)
	}
	today, err := s.today(ctx)
	if err != nil {
		return none, err
	}
	if wrong := P(&created).settle(today); len(wrong) > 0 {
		return none, fault.InvalidFields(wrong...)
	}
	id := P(&created).head().ID
	there := func(ctx context.Context) (bool, error) { return exists[T](ctx, id) }
	return db.Serializable(ctx, s.database, k.name+".create", func(ctx context.Context) (T, error) {
		if db.InDoubt(ctx) { // an attempt before this one may have done it: see db.ProvenBy
			if done, err := there(ctx); done || err != nil {
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
	}, db.ProvenBy(there))
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

// list reads the records of a page that match every condition.
func (k kind[T, P]) list(ctx context.Context, s *Service, p Page, where ...condition) ([]T, error) {
	return db.Snapshot(ctx, s.database, k.name+".list", func(ctx context.Context) ([]T, error) {
		found, err := find[T](ctx, p, k.owners, where)
		if err != nil {
			return nil, err
		}
		return found, k.loadParts(ctx, found)
	})
}

// change applies a change to a record and writes it, with its version counted up,
// if anything is different then. It refuses where the change is not meant for the
// version that is there. Without [db.ProvenBy]: a merge patch can be sent
// again when nobody knows whether it was committed.
func (k kind[T, P]) change(ctx context.Context, s *Service, id uuid.UUID, match patch.Match, apply func(*T)) (T, error) {
	var none T
	now := s.now()
	alone := k.blank
	apply(&alone)
	if wrong := P(&alone).settle(latestToday(now)); len(wrong) > 0 { // before any connection is taken
		return none, fault.InvalidFields(wrong...)
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
		if wrong := P(&after).settle(today); len(wrong) > 0 {
			return none, fault.InvalidFields(wrong...)
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

// record keeps in the audit trail that a record was entered, where before is nil, or changed.
func (k kind[T, P]) record(ctx context.Context, s *Service, before any, after T) error {
	return recordEvent(ctx, s, k.told, k.name, k.patientOf(after), before, after, *P(&after).head())
}

func (k kind[T, P]) patientOf(record T) *uuid.UUID {
	if k.whose == nil {
		return nil
	}
	return new(k.whose(record))
}

// show notes that records of patients are about to be shown to the caller. Of a
// list only the page knows which are.
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
