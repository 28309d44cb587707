package authorization

import (
	"bytes"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/idempotency"
	"omnirapeutic/platform/operation"
	"omnirapeutic/platform/outbox"
	"omnirapeutic/platform/trail"
)

// desk decides batches one after the other, on the state that a transaction has read for all of
// them. The results are written together. It does no I/O.
type desk struct {
	now time.Time
	// If inDoubt is set, an earlier attempt may already have written the changes; see [db.InDoubt].
	inDoubt bool

	bookings map[authorizationKey]*booking    // of every authorization that exists
	done     map[operation.Key]operation.Done // stored before, or decided on this desk
	messages []outbox.Message                 // one per batch and changed authorization
	trail    []trail.Event                    // one per operation that changed something
	rows     []operation.Done                 // not yet written
}

// booking is the result of operations on one authorization.
type booking struct {
	before, after account
	entries       []Entry
}

// settle decides a batch on the state that earlier batches left.
func (d *desk) settle(b batch) result {
	at := momentIn(d.now, b.zone)
	outcomes, err := d.recall(b)
	if outcomes == nil && err == nil {
		outcomes, err = d.decide(b, at)
	}
	if err != nil {
		return result{err: err}
	}
	for i := range outcomes {
		outcomes[i].Today = at.Today
	}
	return result{outcomes: outcomes}
}

// recall returns the stored outcomes of a repeated batch, or nil if it is new. The rows of a batch
// are written together, so either all exist or none, unless the request differs.
func (d *desk) recall(b batch) ([]Outcome, error) {
	known := func(op Operation) (operation.Done, bool) {
		row, ok := d.done[b.operationKey(op)]
		return row, ok
	}
	if !slices.ContainsFunc(b.ops, func(op Operation) bool { _, ok := known(op); return ok }) {
		return nil, nil
	}
	outcomes := make([]Outcome, len(b.ops))
	for i, op := range b.ops {
		row, ok := known(op)
		if !ok || !bytes.Equal(row.Fingerprint, op.fingerprint()) {
			// No error: this response is final, because the call has not been run.
			return []Outcome{{Refusal: idempotency.ErrReused}}, nil
		}
		var err error
		if outcomes[i], err = recall(d.authorization(b.key(op)), row); err != nil {
			return nil, err
		}
	}
	return outcomes, nil
}

// authorization returns the current state, or the zero value if there is no such authorization.
func (d *desk) authorization(key authorizationKey) Authorization {
	if current := d.bookings[key]; current != nil {
		return current.after.Authorization
	}
	return Authorization{}
}

// decide decides the operations of a batch and collects the changes to write. A draft may append to
// the slices of a booking. The booking owns the result if it is kept; otherwise the next draft
// overwrites it.
func (d *desk) decide(b batch, at Moment) ([]Outcome, error) {
	outcomes := make([]Outcome, len(b.ops))
	drafts := make(map[authorizationKey]booking, 1)
	for i, op := range b.ops {
		key := b.key(op)
		current, ok := drafts[key]
		if !ok {
			existing := d.bookings[key]
			if existing == nil {
				outcomes[i] = Outcome{Refusal: ErrNotFound}
				continue
			}
			current = *existing
		}
		current.after, outcomes[i] = decideNext(current.after, op, at)
		if outcomes[i].Refusal.Is(ErrBooksDamaged) {
			return nil, outcomes[i].Refusal // not stored, because the damage can be repaired
		}
		current.entries = append(current.entries, outcomes[i].Entries...)
		drafts[key] = current
	}
	return outcomes, d.keep(b, drafts, outcomes)
}

// keep takes over the changes of a batch, unless it is undone, and stores its outcomes.
func (d *desk) keep(b batch, drafts map[authorizationKey]booking, outcomes []Outcome) error {
	effective := refused(outcomes) < len(outcomes)
	if b.undone(outcomes) {
		effective = false
		d.forget(b, outcomes)
	} else {
		for _, id := range b.authorizations() {
			key := authorizationKey{b.organization, id}
			current, ok := drafts[key]
			if !ok || len(current.entries) == len(d.bookings[key].entries) {
				continue
			}
			*d.bookings[key] = current
			d.messages = append(d.messages, balanceMessage(current))
		}
		for i, o := range outcomes {
			if len(o.Entries) > 0 {
				d.trail = append(d.trail, unitEvent(b.ops[i], o, d.now))
			}
		}
	}
	// A sweep that found nothing needs no rows. Neither do refusals without a key, unless an
	// earlier attempt may have been accepted: its COMMIT may still be running, and only the rows'
	// keys make the two conflict.
	if b.ops[0].Kind == Expire && len(outcomes[0].Entries) == 0 {
		return nil
	}
	if !effective && !b.ops[0].Repeatable && !d.inDoubt {
		return nil
	}
	for i, op := range b.ops {
		row, err := b.done(op, outcomes[i], d.now)
		if err != nil {
			return err
		}
		d.rows = append(d.rows, row)
		d.done[row.Key] = row
	}
	return nil
}

// forget removes from the outcomes the changes that did not take effect.
func (d *desk) forget(b batch, outcomes []Outcome) {
	for i, o := range outcomes {
		outcomes[i] = Outcome{Refusal: o.Refusal, Authorization: d.authorization(b.key(b.ops[i]))}
	}
}

// changed returns the bookings that have entries, sorted. All transactions update authorizations in
// this order, so they cannot deadlock.
func (d *desk) changed() []*booking {
	var changed []*booking
	for _, key := range slices.SortedFunc(maps.Keys(d.bookings), compareKeys) {
		if current := d.bookings[key]; len(current.entries) > 0 {
			changed = append(changed, current)
		}
	}
	return changed
}

func compareKeys(x, y authorizationKey) int {
	if c := bytes.Compare(x.organization[:], y.organization[:]); c != 0 {
		return c
	}
	return bytes.Compare(x.id[:], y.id[:])
}

// split returns the columns of the keys.
func split(keys []authorizationKey) (organizations, ids []uuid.UUID) {
	organizations, ids = make([]uuid.UUID, len(keys)), make([]uuid.UUID, len(keys))
	for i, key := range keys {
		organizations[i], ids[i] = key.organization, key.id
	}
	return organizations, ids
}
