package authorization

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"slices"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/idempotency"
)

// batch is what one transaction carries out: a single operation, or many. Those
// on one authorization are decided in their order, each on the state that the one
// before it left, and each has its own outcome.
type batch struct {
	ops []Operation
	// atomic: where one of them is refused, none of them takes effect.
	atomic bool
}

// bind ties the operations to each other and to atomic, so that a repetition with
// the same ids is known to ask for all of the same things.
func (b batch) bind() {
	sum := sha256.New()
	if b.atomic {
		sum.Write([]byte("atomic"))
	}
	for _, op := range b.ops {
		sum.Write(op.fingerprint())
	}
	for i := range b.ops {
		b.ops[i].Bound = sum.Sum(nil)
	}
}

// authorizations returns the ids of the authorizations that it is about, each
// once, in the order in which all batches go through them, so that no two wait for
// each other.
func (b batch) authorizations() []uuid.UUID {
	all := make([]uuid.UUID, len(b.ops))
	for i, op := range b.ops {
		all[i] = op.AuthorizationID
	}
	slices.SortFunc(all, func(x, y uuid.UUID) int { return bytes.Compare(x[:], y[:]) })
	return slices.Compact(all)
}

// ids returns the ids of the operations.
func (b batch) ids() []uuid.UUID {
	all := make([]uuid.UUID, len(b.ops))
	for i, op := range b.ops {
		all[i] = op.ID
	}
	return all
}

// of returns the operations on one authorization, and their places in the batch.
func (b batch) of(authorization uuid.UUID) (ops []Operation, places []int) {
	for i, op := range b.ops {
		if op.AuthorizationID == authorization {
			ops, places = append(ops, op), append(places, i)
		}
	}
	return ops, places
}

// undone reports whether nothing took effect because something was refused.
func (b batch) undone(outcomes []Outcome) bool { return b.atomic && refused(outcomes) > 0 }

func refused(outcomes []Outcome) int {
	n := 0
	for _, o := range outcomes {
		if o.Refusal != nil {
			n++
		}
	}
	return n
}

// booking is what operations came to on one authorization.
type booking struct {
	before, after account
	entries       []Entry
}

// transact carries out a batch in one SERIALIZABLE transaction, once those before
// it on the same authorizations are through. Refusals are in the outcomes.
func (s *Service) transact(ctx context.Context, organization uuid.UUID, name string, b batch) ([]Outcome, error) {
	leave, err := s.enter(ctx, b.authorizations())
	if err != nil {
		return nil, err
	}
	defer leave()
	return db.Serializable(ctx, s.database, name, func(ctx context.Context) ([]Outcome, error) {
		at, err := s.moment(ctx, organization)
		if err != nil {
			return nil, err
		}
		outcomes, err := s.apply(ctx, b, at)
		for i := range outcomes {
			outcomes[i].Today = at.Today
		}
		return outcomes, err
	}, s.proof(b.ops), db.RetryConstraint(operationOnce))
}

// enter waits for the lanes of the authorizations, in their order.
func (s *Service) enter(ctx context.Context, authorizations []uuid.UUID) (leave func(), err error) {
	var entered []func()
	leave = func() {
		for _, each := range slices.Backward(entered) {
			each()
		}
	}
	for _, id := range authorizations {
		out, err := s.lanes.Enter(ctx, id)
		if err != nil {
			leave()
			return nil, err
		}
		entered = append(entered, out)
	}
	return leave, nil
}

// apply decides a batch inside a transaction and writes what came of it. That it
// was done before shows by its rows, which cannot be written twice; then the
// transaction is tried again, and finds them.
func (s *Service) apply(ctx context.Context, b batch, at Moment) ([]Outcome, error) {
	found, err := s.store.several(ctx, b.authorizations())
	if err != nil {
		return nil, err
	}
	if db.InDoubt(ctx) {
		if outcomes, err := s.recall(ctx, b, found); err != nil || outcomes != nil {
			return outcomes, err
		}
	}
	bookings, outcomes, err := s.decideAll(ctx, b, found, at)
	if err != nil {
		return nil, err
	}
	effective := refused(outcomes) < len(outcomes)
	if b.undone(outcomes) {
		effective = false
		forget(outcomes, b, found)
	} else if err := s.post(ctx, bookings); err != nil {
		return nil, err
	}
	// A sweep that found nothing needs no rows, nor do refusals that nobody can ask
	// for again, unless an attempt before this one may have been accepted: its COMMIT
	// may still be under way, and only the rows' keys make the two meet.
	if b.ops[0].Kind == Expire && len(bookings) == 0 {
		return outcomes, nil
	}
	if effective || b.ops[0].Repeatable || db.InDoubt(ctx) {
		err = s.store.remember(ctx, b.ops, outcomes, at.Now)
	}
	return outcomes, err
}

// post writes what was decided, and tells that balances have changed.
func (s *Service) post(ctx context.Context, bookings []booking) error {
	if err := s.store.post(ctx, bookings); err != nil {
		return err
	}
	for _, b := range bookings {
		if err := s.publishBalance(ctx, b.after.Authorization, b.entries[len(b.entries)-1].Kind); err != nil {
			return err
		}
	}
	return nil
}

// forget takes out of the outcomes what would have been, had nothing been refused.
func forget(outcomes []Outcome, b batch, found map[uuid.UUID]Authorization) {
	for i, o := range outcomes {
		outcomes[i] = Outcome{Refusal: o.Refusal, Authorization: found[b.ops[i].AuthorizationID]}
	}
}

// recall returns the outcomes of operations that were carried out before, nil
// where they were not. The rows of a batch are written together, so either all of
// them are there or none, unless somebody asks for something else.
func (s *Service) recall(ctx context.Context, b batch, found map[uuid.UUID]Authorization) ([]Outcome, error) {
	rows, err := s.store.done(ctx, b.ids())
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	outcomes := make([]Outcome, len(b.ops))
	for i, op := range b.ops {
		row, ok := rows[op.ID]
		if !ok || !bytes.Equal(row.Fingerprint, op.fingerprint()) {
			// A sure answer, and so no error: this call has not been carried out.
			return []Outcome{{Refusal: idempotency.ErrReused}}, nil
		}
		if outcomes[i], err = recall(found[op.AuthorizationID], row.Outcome); err != nil {
			return nil, err
		}
	}
	return outcomes, nil
}

// decideAll reads what the operations may touch, and decides them.
func (s *Service) decideAll(ctx context.Context, b batch, found map[uuid.UUID]Authorization, at Moment) ([]booking, []Outcome, error) {
	outcomes := make([]Outcome, len(b.ops))
	var bookings []booking
	for _, id := range b.authorizations() {
		ops, places := b.of(id)
		a, ok := found[id]
		if !ok {
			for _, i := range places {
				outcomes[i] = Outcome{Refusal: ErrNotFound}
			}
			continue
		}
		before, err := s.load(ctx, a, ops, at)
		if err != nil {
			return nil, nil, err
		}
		made := booking{before: before, after: before}
		for i, op := range ops {
			var o Outcome
			made.after, o = decide(made.after, op, at)
			if o.Refusal.Is(ErrBooksDamaged) {
				return nil, nil, o.Refusal // not to be remembered: it is to be repaired
			}
			made.entries = append(made.entries, o.Entries...)
			outcomes[places[i]] = o
		}
		if len(made.entries) > 0 {
			bookings = append(bookings, made)
		}
	}
	return bookings, outcomes, nil
}

// load reads what decide needs to see of an authorization for the operations.
func (s *Service) load(ctx context.Context, a Authorization, ops []Operation, at Moment) (account, error) {
	loaded := account{Authorization: a}
	var err error
	if loaded.reservations, err = s.store.touchable(ctx, a, ops, at.Now); err != nil {
		return loaded, err
	}
	reserves := slices.ContainsFunc(ops, func(op Operation) bool { return op.Kind == Reserve })
	if reserves && a.Caps.Week != nil && a.InsuranceID != nil {
		loaded.weekStart, err = s.directory.WeekStartsOn(ctx, *a.InsuranceID)
	}
	return loaded, err
}

// proof finds out after an ambiguous COMMIT whether this very call took effect.
// Another one with the same key may have; then this one is tried again, finds
// that, and answers as the other did.
func (s *Service) proof(ops []Operation) db.Option {
	return db.ProvenBy(func(ctx context.Context) (bool, error) {
		first := ops[0] // the rows of a batch are written together
		rows, err := s.store.done(ctx, []uuid.UUID{first.ID})
		row, there := rows[first.ID]
		if err != nil || !there {
			return false, err
		}
		var m memory
		err = json.Unmarshal(row.Outcome, &m)
		return m.Call == first.NewID, err
	})
}
