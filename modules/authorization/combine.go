package authorization

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/operation"
)

// The limits of combined transactions. A transaction of maxCombined operations takes tens of
// milliseconds. A larger one would hardly increase throughput, but would delay others.
const (
	maxCombined     = 256
	defaultQueue    = 10_000
	combinedTimeout = 30 * time.Second // for callers without an earlier deadline
)

// unitLane is the table whose lock serializes combined transactions across instances of the
// program.
const unitLane = "unit_lane"

func (s *Service) newCombiner(queue int) *db.Combiner[batch, result] {
	if queue == 0 {
		queue = defaultQueue
	}
	return db.NewCombiner(db.CombinerOptions[batch]{
		Name: "units", Limit: maxCombined, Queue: queue, Timeout: combinedTimeout,
		Size:    func(b batch) int { return len(b.ops) },
		Metrics: s.database.Metrics(),
	}, func(ctx context.Context, batches db.Batch[batch]) ([]result, error) {
		return s.transact(ctx, "units.combined", batches, db.Locking(unitLane))
	})
}

// run runs a batch in a SERIALIZABLE transaction, combined with others or alone. Refusals are
// in the outcomes.
func (s *Service) run(ctx context.Context, name string, b batch) ([]Outcome, error) {
	var err error
	if b.zone, err = s.directory.TimeZone(ctx, b.organization); err != nil {
		return nil, err
	}
	var r result
	if s.combiner != nil {
		r, err = s.combiner.Do(ctx, placeOf(b.organization, b.ops[0].AuthorizationID), b)
	} else {
		r, err = s.runAlone(ctx, name, b)
	}
	if err != nil {
		return nil, err
	}
	return r.outcomes, r.err
}

// runAlone runs a batch in its own transaction, after earlier batches on the same authorizations
// have finished.
func (s *Service) runAlone(ctx context.Context, name string, b batch) (result, error) {
	leave, err := s.lanes.EnterAll(ctx, b.authorizations())
	if err != nil {
		return result{}, err
	}
	defer leave()
	results, err := s.transact(ctx, name, db.BatchOf(b))
	if err != nil {
		return result{}, err
	}
	return results[0], nil
}

// runExclusive calls fn in its own transaction, while no other operation on the given authorizations
// runs in this process. The first id is the authorization that fn mainly changes.
func (s *Service) runExclusive(
	ctx context.Context, organization uuid.UUID, ids []uuid.UUID, fn func(ctx context.Context, lane ...db.Option) error,
) error {
	if s.combiner != nil {
		return s.combiner.Alone(ctx, placeOf(organization, ids[0]), func(ctx context.Context) error {
			return fn(ctx, db.Locking(unitLane))
		})
	}
	ids = slices.SortedFunc(slices.Values(ids), func(x, y uuid.UUID) int { return bytes.Compare(x[:], y[:]) })
	leave, err := s.lanes.EnterAll(ctx, ids)
	if err != nil {
		return err
	}
	defer leave()
	return fn(ctx)
}

// placeOf returns the queue of a call. All calls share one queue, because two transactions that
// touch the same rows would conflict.
func placeOf(organization, authorization uuid.UUID) db.Place {
	return db.Place{Organization: organization, Subject: authorization}
}

// transact runs batches of any organizations in one SERIALIZABLE transaction, in order. The set of
// batches is closed only after the lock is acquired, so it includes requests that arrived while
// another instance held it. The reads of the first batches are sent in the round trip that acquires
// the lock. The context needs no caller.
func (s *Service) transact(ctx context.Context, name string, requested db.Batch[batch], options ...db.Option) ([]result, error) {
	var rows []operation.Done // of the latest attempt
	early := requested.Begun()
	first := &reading{keys: keysOf(early)}
	options = append(options, db.WritesWithCommit(), db.ReadsWithBegin(organizationsOf(early), func() db.Query { return s.store.several(first) }))
	options = append(options, operations.Once(&rows)...)
	results, err := db.Serializable(ctx, s.database, name, func(ctx context.Context) ([]result, error) {
		batches := requested.All()
		if err := db.Admit(ctx, organizationsOf(batches)...); err != nil {
			return nil, err
		}
		d, err := s.open(ctx, batches, first)
		if err != nil {
			return nil, err
		}
		results := make([]result, len(batches))
		for i, b := range batches {
			results[i] = d.settle(b)
		}
		rows = d.rows
		return results, s.write(ctx, d)
	}, options...)
	return results, RefusalOf(err)
}

func organizationsOf(batches []batch) []uuid.UUID {
	organizations := make([]uuid.UUID, len(batches))
	for i, b := range batches {
		organizations[i] = b.organization
	}
	return organizations
}

func keysOf(batches []batch) []authorizationKey {
	var keys []authorizationKey
	for _, b := range batches {
		for _, op := range b.ops {
			keys = append(keys, b.key(op))
		}
	}
	slices.SortFunc(keys, compareKeys)
	return slices.Compact(keys)
}

func operationsOf(batches []batch) []operation.Key {
	var keys []operation.Key
	for _, b := range batches {
		for _, op := range b.ops {
			keys = append(keys, b.operationKey(op))
		}
	}
	return keys
}

// open reads the state that the batches may touch: one statement for the authorizations and, if
// needed, one each for reservations, first days of weeks, and stored operations. It does not repeat
// the lookups of the first reading.
func (s *Service) open(ctx context.Context, batches []batch, first *reading) (*desk, error) {
	d := &desk{
		now: s.now(), inDoubt: db.InDoubt(ctx),
		bookings: map[authorizationKey]*booking{}, done: map[operation.Key]operation.Done{},
	}
	requested := map[authorizationKey][]Operation{}
	for _, b := range batches {
		for _, op := range b.ops {
			requested[b.key(op)] = append(requested[b.key(op)], op)
		}
	}
	if d.inDoubt {
		var err error
		if d.done, err = operations.Find(ctx, operationsOf(batches)...); err != nil {
			return nil, err
		}
	}
	return d, s.read(ctx, d, requested, first)
}

// read puts the authorizations on the desk with the reservations that the operations need.
// Authorizations of the first reading are already there.
func (s *Service) read(ctx context.Context, d *desk, requested map[authorizationKey][]Operation, first *reading) error {
	rest := &reading{keys: first.missing(requested)}
	if len(rest.keys) > 0 {
		if err := db.Read(ctx, s.store.several(rest)); err != nil {
			return err
		}
	}
	for _, a := range slices.Concat(first.rows, rest.rows) {
		d.bookings[a.key()] = &booking{before: account{Authorization: a}}
	}
	if err := s.loadReservations(ctx, d, requested); err != nil {
		return err
	}
	if err := s.loadWeeks(ctx, d, requested); err != nil {
		return err
	}
	for _, current := range d.bookings {
		current.after = current.before
	}
	return nil
}

func (a Authorization) key() authorizationKey { return authorizationKey{a.OrganizationID, a.ID} }

func (s *Service) loadReservations(ctx context.Context, d *desk, requested map[authorizationKey][]Operation) error {
	var w wanted
	for key, current := range d.bookings {
		w.add(current.before.Authorization, requested[key], d.now)
	}
	if w.nothing() {
		return nil
	}
	rows, err := s.store.touchable(ctx, w, d.now)
	for _, r := range rows {
		key := authorizationKey{r.OrganizationID, r.AuthorizationID}
		d.bookings[key].before.reservations = append(d.bookings[key].before.reservations, r)
	}
	for _, current := range d.bookings {
		current.before.reservations = oldestFirst(current.before.reservations)
	}
	return err
}

// loadWeeks looks up the first day of the week for reservations that are subject to a weekly cap.
func (s *Service) loadWeeks(ctx context.Context, d *desk, requested map[authorizationKey][]Operation) error {
	var capped []*booking
	var organizations, insurances []uuid.UUID
	for key, current := range d.bookings {
		a := current.before.Authorization
		reserves := slices.ContainsFunc(requested[key], func(op Operation) bool { return op.Kind == Reserve })
		if reserves && a.Caps.Week != nil && a.InsuranceID != nil {
			capped = append(capped, current)
			organizations, insurances = append(organizations, a.OrganizationID), append(insurances, *a.InsuranceID)
		}
	}
	if len(capped) == 0 {
		return nil
	}
	days, err := s.directory.WeekStarts(ctx, organizations, insurances)
	if err != nil {
		return err
	}
	for i, current := range capped {
		current.before.weekStart = days[i]
	}
	return nil
}

// write writes the decisions of the desk in one round trip, with one statement per table.
func (s *Service) write(ctx context.Context, d *desk) error {
	return db.Pipeline(ctx, func(ctx context.Context) error {
		if changed := d.changed(); len(changed) > 0 {
			if err := s.store.post(ctx, changed); err != nil {
				return err
			}
		}
		if err := s.events.Publish(ctx, d.messages); err != nil {
			return err
		}
		if err := s.audit.Record(ctx, d.trail); err != nil {
			return err
		}
		return operations.Write(ctx, d.rows)
	})
}
