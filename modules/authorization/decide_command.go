package authorization

import (
	"crypto/sha256"
	"maps"
	"slices"
	"time"

	"omnirapeutic/platform/command"
	"omnirapeutic/platform/outbox"
	"omnirapeutic/platform/record"
	"omnirapeutic/platform/trail"
)

// unitState is what one transaction has read for its commands. They are decided on it one after the
// other, and the results are written together. It does no I/O.
type unitState struct {
	now        time.Time
	prefetched reading
	accounts   map[record.Key]*accountChange // of every authorization that exists
	messages   []outbox.Message              // one per command and changed authorization
	trail      []trail.Event                 // one per operation that changed something
}

func newUnitState(now time.Time) *unitState {
	return &unitState{now: now, accounts: map[record.Key]*accountChange{}}
}

// accountChange is the result of operations on one authorization.
type accountChange struct {
	before, after account
	entries       []Entry
}

// authorization returns the current state, or the zero value if there is no such authorization.
func (s *unitState) authorization(key record.Key) Authorization {
	if current := s.accounts[key]; current != nil {
		return current.after.Authorization
	}
	return Authorization{}
}

// decide decides the operations of a command and collects the changes to write. A draft may append
// to the slices of an accountChange. The accountChange owns the result if it is kept; otherwise the
// next draft overwrites it. The error is [ErrLedgerDamaged], which is not stored, because the damage
// can be repaired.
func (s *unitState) decide(c unitCommand) (outcomes []Outcome, changed bool, err error) {
	at := momentIn(s.now, c.zone)
	outcomes = make([]Outcome, len(c.ops))
	drafts := make(map[record.Key]accountChange, 1)
	for i, op := range c.ops {
		key := c.key(op)
		current, ok := drafts[key]
		if !ok {
			existing := s.accounts[key]
			if existing == nil {
				outcomes[i] = Outcome{Refusal: ErrNotFound}
				continue
			}
			current = *existing
		}
		current.after, outcomes[i] = decideNext(current.after, op, at)
		if outcomes[i].Refusal.Is(ErrLedgerDamaged) {
			return nil, false, outcomes[i].Refusal
		}
		current.entries = append(current.entries, outcomes[i].Entries...)
		drafts[key] = current
	}
	changed = s.keep(c, drafts, outcomes)
	for i := range outcomes {
		outcomes[i].Today = at.Today
	}
	return outcomes, changed, nil
}

// keep takes over the changes of a command, unless it is undone. It reports whether there are any:
// an accepted operation counts as a change, except a sweep that found nothing.
func (s *unitState) keep(c unitCommand, drafts map[record.Key]accountChange, outcomes []Outcome) bool {
	if c.isRolledBack(outcomes) {
		for i, o := range outcomes {
			outcomes[i] = Outcome{Refusal: o.Refusal, Authorization: s.authorization(c.key(c.ops[i]))}
		}
		return false
	}
	for _, key := range slices.SortedFunc(maps.Keys(drafts), record.Key.Compare) {
		s.apply(drafts[key])
	}
	changed := false
	for i, o := range outcomes {
		if len(o.Entries) > 0 {
			s.trail = append(s.trail, unitEvent(c.ops[i], o, s.now))
		}
		changed = changed || len(o.Entries) > 0 || o.Refusal == nil && c.ops[i].Kind != Expire
	}
	return changed
}

// apply takes over the change of an account if it has new entries.
func (s *unitState) apply(draft accountChange) {
	current := s.accounts[draft.after.key()]
	if len(draft.entries) > len(current.entries) {
		*current = draft
		s.messages = append(s.messages, balanceMessage(draft))
	}
}

// isRolledBack reports whether nothing takes effect because an operation was refused.
func (c unitCommand) isRolledBack(outcomes []Outcome) bool { return c.atomic && refused(outcomes) > 0 }

func refused(outcomes []Outcome) int {
	n := 0
	for _, o := range outcomes {
		if o.Refusal != nil {
			n++
		}
	}
	return n
}

// changed returns the accounts that have entries, sorted. All transactions update authorizations in
// this order, so they cannot deadlock.
func (s *unitState) changed() []*accountChange {
	var changed []*accountChange
	for _, key := range slices.SortedFunc(maps.Keys(s.accounts), record.Key.Compare) {
		if current := s.accounts[key]; len(current.entries) > 0 {
			changed = append(changed, current)
		}
	}
	return changed
}

// bulkFingerprint returns a hash of all operations. A repeated bulk is therefore recognized only if
// it is identical.
func (c unitCommand) bulkFingerprint() []byte {
	sum := sha256.New()
	sum.Write([]byte("bulk"))
	if c.atomic {
		sum.Write([]byte("atomic"))
	}
	for _, op := range c.ops {
		sum.Write(op.fingerprint())
	}
	return sum.Sum(nil)
}

// unitCommand has the operations of one call: a single operation, or many. They are decided in
// order, each on the state that the previous one left, and each has its own outcome.
type unitCommand struct {
	command.Call
	zone   *time.Location // the organization's time zone
	ops    []Operation    // at least one
	atomic bool           // if one operation is refused, none takes effect
}

// key returns the key of the operation's authorization.
func (c unitCommand) key(op Operation) record.Key {
	return record.Of(c.OrganizationID, op.AuthorizationID)
}
