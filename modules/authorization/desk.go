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

// desk is where batches are decided, one after the other, on what a transaction
// has read for all of them; what came of it is written at once. It does no I/O.
type desk struct {
	now time.Time
	// inDoubt: what is to be written may be there already, see [db.InDoubt].
	inDoubt bool

	bookings map[authorizationKey]*booking    // of every authorization that is there
	done     map[operation.Key]operation.Done // carried out before, or on this desk
	messages []outbox.Message                 // one for each batch and authorization that it changed
	trail    []trail.Event                    // one for each operation that changed something
	rows     []operation.Done                 // those that are still to be written
}

// booking is what operations came to on one authorization.
type booking struct {
	before, after account
	entries       []Entry
}

// settle decides a batch on the state that those before it left.
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

// recall returns the outcomes of operations that were carried out before, nil
// where they were not. The rows of a batch are written together, so either all of
// them are there or none, unless somebody asks for something else.
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
			// A sure answer, and so no error: this call has not been carried out.
			return []Outcome{{Refusal: idempotency.ErrReused}}, nil
		}
		var err error
		if outcomes[i], err = recall(d.authorization(b.key(op)), row); err != nil {
			return nil, err
		}
	}
	return outcomes, nil
}

// authorization returns it as it stands, the zero value where it is not there.
func (d *desk) authorization(key authorizationKey) Authorization {
	if made := d.bookings[key]; made != nil {
		return made.after.Authorization
	}
	return Authorization{}
}

// decide decides the operations of a batch, and keeps what is to be written of it.
// What a draft appends to slices of the bookings is theirs once it is kept, and
// overwritten by the next one where it is not.
func (d *desk) decide(b batch, at Moment) ([]Outcome, error) {
	outcomes := make([]Outcome, len(b.ops))
	drafts := make(map[authorizationKey]booking, 1)
	for i, op := range b.ops {
		key := b.key(op)
		made, begun := drafts[key]
		if !begun {
			there := d.bookings[key]
			if there == nil {
				outcomes[i] = Outcome{Refusal: ErrNotFound}
				continue
			}
			made = *there
		}
		made.after, outcomes[i] = decideNext(made.after, op, at)
		if outcomes[i].Refusal.Is(ErrBooksDamaged) {
			return nil, outcomes[i].Refusal // not to be remembered: it is to be repaired
		}
		made.entries = append(made.entries, outcomes[i].Entries...)
		drafts[key] = made
	}
	return outcomes, d.keep(b, drafts, outcomes)
}

// keep takes over what a batch has changed, unless it is undone, and remembers it.
func (d *desk) keep(b batch, drafts map[authorizationKey]booking, outcomes []Outcome) error {
	effective := refused(outcomes) < len(outcomes)
	if b.undone(outcomes) {
		effective = false
		d.forget(b, outcomes)
	} else {
		for _, id := range b.authorizations() {
			key := authorizationKey{b.organization, id}
			made, ok := drafts[key]
			if !ok || len(made.entries) == len(d.bookings[key].entries) {
				continue
			}
			*d.bookings[key] = made
			d.messages = append(d.messages, balanceMessage(made))
		}
		for i, o := range outcomes {
			if len(o.Entries) > 0 {
				d.trail = append(d.trail, unitEvent(b.ops[i], o, d.now))
			}
		}
	}
	// A sweep that found nothing needs no rows, nor do refusals that nobody can ask
	// for again, unless an attempt before this one may have been accepted: its COMMIT
	// may still be under way, and only the rows' keys make the two meet.
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

// forget takes out of the outcomes what would have been, had nothing been refused.
func (d *desk) forget(b batch, outcomes []Outcome) {
	for i, o := range outcomes {
		outcomes[i] = Outcome{Refusal: o.Refusal, Authorization: d.authorization(b.key(b.ops[i]))}
	}
}

// changed returns the bookings that have entries, in the order in which all
// transactions go through authorizations, so that no two wait for each other.
func (d *desk) changed() []*booking {
	var changed []*booking
	for _, key := range slices.SortedFunc(maps.Keys(d.bookings), compareKeys) {
		if made := d.bookings[key]; len(made.entries) > 0 {
			changed = append(changed, made)
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

// split returns the halves of keys as columns.
func split(keys []authorizationKey) (organizations, ids []uuid.UUID) {
	organizations, ids = make([]uuid.UUID, len(keys)), make([]uuid.UUID, len(keys))
	for i, key := range keys {
		organizations[i], ids[i] = key.organization, key.id
	}
	return organizations, ids
}
