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

// The bounds of combined transactions. One of maxCombined operations takes some
// ten milliseconds; a larger one would have others wait and be hardly faster.
const (
	maxCombined     = 256
	defaultQueue    = 10_000
	combinedTimeout = 30 * time.Second // where callers have no deadline before
)

// unitLane is the table whose lock keeps instances of the program out of each
// other's way.
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

// carryOut carries out a batch in a SERIALIZABLE transaction, together with
// others or by itself. Refusals are in the outcomes.
func (s *Service) carryOut(ctx context.Context, name string, b batch) ([]Outcome, error) {
	var err error
	if b.zone, err = s.directory.TimeZone(ctx, b.organization); err != nil {
		return nil, err
	}
	var r result
	if s.combiner != nil {
		r, err = s.combiner.Do(ctx, placeOf(b.organization, b.ops[0].AuthorizationID), b)
	} else {
		r, err = s.byItself(ctx, name, b)
	}
	if err != nil {
		return nil, err
	}
	return r.outcomes, r.err
}

// byItself carries out a batch in a transaction of its own, once those before it
// on the same authorizations are through.
func (s *Service) byItself(ctx context.Context, name string, b batch) (result, error) {
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

// undisturbed calls fn, which changes authorizations, the first of the ids above all,
// in a transaction of its own, while no operation on them is under way in this process.
func (s *Service) undisturbed(ctx context.Context, organization uuid.UUID, ids []uuid.UUID, fn func(ctx context.Context, lane ...db.Option) error) error {
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

// placeOf returns where a call queues. There is one lane for all: two that touch
// the same rows make each other fail.
func placeOf(organization, authorization uuid.UUID) db.Place {
	return db.Place{Organization: organization, Subject: authorization}
}

// transact carries out batches of any organizations in one SERIALIZABLE
// transaction, in their order. Which they are it asks once it has the lane's lock:
// then those are among them that arrived while another instance had it. What those who
// have begun need is read in the round trip that waits for the lock. The context may be
// nobody's.
func (s *Service) transact(ctx context.Context, name string, asked db.Batch[batch], options ...db.Option) ([]result, error) {
	var rows []operation.Done // of the last attempt
	begun := asked.Begun()
	first := &reading{keys: keysOf(begun)}
	options = append(options, db.WritingLast(), db.ReadingFirst(organizationsOf(begun), func() db.Query { return s.store.several(first) }))
	options = append(options, operations.Once(&rows)...)
	results, err := db.Serializable(ctx, s.database, name, func(ctx context.Context) ([]result, error) {
		batches := asked.All()
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

// open reads what the batches may touch: in one statement the authorizations, and
// in one each, where they are needed at all, reservations, first days of weeks
// and what was done before. What the first reading has looked up is not read again.
func (s *Service) open(ctx context.Context, batches []batch, first *reading) (*desk, error) {
	d := &desk{
		now: s.now(), inDoubt: db.InDoubt(ctx),
		bookings: map[authorizationKey]*booking{}, done: map[operation.Key]operation.Done{},
	}
	asked := map[authorizationKey][]Operation{}
	for _, b := range batches {
		for _, op := range b.ops {
			asked[b.key(op)] = append(asked[b.key(op)], op)
		}
	}
	if d.inDoubt {
		var err error
		if d.done, err = operations.Find(ctx, operationsOf(batches)...); err != nil {
			return nil, err
		}
	}
	return d, s.read(ctx, d, asked, first)
}

// read puts the authorizations on the desk, with what the operations need to see. Those
// of the first reading are there already.
func (s *Service) read(ctx context.Context, d *desk, asked map[authorizationKey][]Operation, first *reading) error {
	rest := &reading{keys: first.missing(asked)}
	if len(rest.keys) > 0 {
		if err := db.Read(ctx, s.store.several(rest)); err != nil {
			return err
		}
	}
	for _, a := range slices.Concat(first.rows, rest.rows) {
		d.bookings[a.key()] = &booking{before: account{Authorization: a}}
	}
	if err := s.loadReservations(ctx, d, asked); err != nil {
		return err
	}
	if err := s.loadWeeks(ctx, d, asked); err != nil {
		return err
	}
	for _, made := range d.bookings {
		made.after = made.before
	}
	return nil
}

func (a Authorization) key() authorizationKey { return authorizationKey{a.OrganizationID, a.ID} }

func (s *Service) loadReservations(ctx context.Context, d *desk, asked map[authorizationKey][]Operation) error {
	var w wanted
	for key, made := range d.bookings {
		w.add(made.before.Authorization, asked[key], d.now)
	}
	if w.nothing() {
		return nil
	}
	rows, err := s.store.touchable(ctx, w, d.now)
	for _, r := range rows {
		key := authorizationKey{r.OrganizationID, r.AuthorizationID}
		d.bookings[key].before.reservations = append(d.bookings[key].before.reservations, r)
	}
	for _, made := range d.bookings {
		made.before.reservations = oldestFirst(made.before.reservations)
	}
	return err
}

// loadWeeks finds out where weeks begin, for reservations that a weekly cap may stand against.
func (s *Service) loadWeeks(ctx context.Context, d *desk, asked map[authorizationKey][]Operation) error {
	var capped []*booking
	var organizations, insurances []uuid.UUID
	for key, made := range d.bookings {
		a := made.before.Authorization
		reserves := slices.ContainsFunc(asked[key], func(op Operation) bool { return op.Kind == Reserve })
		if reserves && a.Caps.Week != nil && a.InsuranceID != nil {
			capped = append(capped, made)
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
	for i, made := range capped {
		made.before.weekStart = days[i]
	}
	return nil
}

// write writes what was decided on the desk: a statement for each table, whatever
// the number of rows, all of them in one round trip.
func (s *Service) write(ctx context.Context, d *desk) error {
	return db.Together(ctx, func(ctx context.Context) error {
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
