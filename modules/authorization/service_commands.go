package authorization

import (
	"context"
	"slices"
	"strconv"

	"github.com/google/uuid"

	"omnirapeutic/platform/command"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/record"
)

// commands executes commands on units.
type commands struct {
	base
	executor command.Executor[unitCommand, []Outcome]
}

func newCommands(b base) *commands {
	c := &commands{base: b}
	c.executor = command.Add(b.Engine, c.handler())
	return c
}

// handler returns how commands on units are executed.
func (s *commands) handler() command.Handler[unitCommand, *unitState, []Outcome] {
	return command.Handler[unitCommand, *unitState, []Outcome]{
		Name:     "units",
		Weight:   func(c unitCommand) int { return len(c.ops) },
		Prefetch: s.prefetch,
		Load:     s.load,
		Decide:   (*unitState).decide,
		Save:     s.save,
		Answer:   storedOutcomesOf,
		Replay:   (*unitState).replay,
	}
}

// newCommand returns a command of the caller with the operations. The first one's authorization
// decides its turn in the queue.
func (s *commands) newCommand(caller identity.Caller, kind string, key command.Key, ops ...Operation) unitCommand {
	c := unitCommand{Call: s.executor.NewCall(caller, kind, key), ops: ops}
	c.Subject = ops[0].AuthorizationID
	for i := range ops {
		ops[i].ID, ops[i].NewID = operationID(c.ID, i), s.NewID()
		ops[i].ActorID, ops[i].RequestID, ops[i].Address, ops[i].GrantID = caller.UserID, caller.RequestID, caller.Address,
			caller.GrantID
	}
	c.Fingerprint = ops[0].fingerprint()
	return c
}

// operationID returns the id of an operation of a command, by its index.
func operationID(command uuid.UUID, i int) uuid.UUID {
	if i == 0 {
		return command
	}
	return uuid.NewSHA1(command, []byte(strconv.Itoa(i)))
}

// run executes a command. Refusals are in the outcomes.
func (s *commands) run(ctx context.Context, c unitCommand) ([]Outcome, error) {
	var err error
	if c.zone, err = s.Directory.TimeZone(ctx, c.OrganizationID); err != nil {
		return nil, err
	}
	outcomes, replayed, err := s.executor.Do(ctx, c)
	for i := range outcomes {
		outcomes[i].Replayed = replayed
	}
	return outcomes, RefusalOf(err)
}

// prefetch returns the query for the authorizations of the commands.
func (s *commands) prefetch(first []unitCommand) (*unitState, []db.Query) {
	state := &unitState{}
	state.prefetched.keys = keysOf(first)
	return state, []db.Query{s.store.several(&state.prefetched)}
}

func keysOf(commands []unitCommand) []record.Key {
	var keys []record.Key
	for _, c := range commands {
		for _, op := range c.ops {
			keys = append(keys, c.key(op))
		}
	}
	slices.SortFunc(keys, record.Key.Compare)
	return slices.Compact(keys)
}

// load reads the state that the commands may change: one statement for the authorizations that were
// not prefetched and, if needed, one each for reservations and first days of weeks.
func (s *commands) load(ctx context.Context, prefetched *unitState, commands []unitCommand) (*unitState, error) {
	state := newUnitState(s.now())
	if prefetched != nil {
		state.prefetched = prefetched.prefetched
	}
	requested := map[record.Key][]Operation{}
	for _, c := range commands {
		for _, op := range c.ops {
			requested[c.key(op)] = append(requested[c.key(op)], op)
		}
	}
	return state, s.loadAccounts(ctx, state, requested)
}

// loadAccounts reads the authorizations with the reservations that the operations need.
func (s *commands) loadAccounts(ctx context.Context, state *unitState, requested map[record.Key][]Operation) error {
	rest := &reading{keys: slices.DeleteFunc(state.prefetched.missing(requested), func(key record.Key) bool {
		return state.accounts[key] != nil
	})}
	if len(rest.keys) > 0 {
		if err := db.Read(ctx, s.store.several(rest)); err != nil {
			return err
		}
	}
	for _, a := range slices.Concat(state.prefetched.rows, rest.rows) {
		state.accounts[a.key()] = &accountChange{before: account{Authorization: a}}
	}
	if err := s.loadReservations(ctx, state, requested); err != nil {
		return err
	}
	if err := s.loadWeeks(ctx, state, requested); err != nil {
		return err
	}
	for _, current := range state.accounts {
		current.after = current.before
	}
	return nil
}

func (s *commands) loadReservations(ctx context.Context, state *unitState, requested map[record.Key][]Operation) error {
	var w reservationNeeds
	for key, current := range state.accounts {
		w.add(current.before.Authorization, requested[key], state.now)
	}
	if w.isEmpty() {
		return nil
	}
	rows, err := s.store.touchable(ctx, w, state.now)
	for _, r := range rows {
		before := &state.accounts[record.Of(r.OrganizationID, r.AuthorizationID)].before
		before.reservations = append(before.reservations, r)
	}
	for _, current := range state.accounts {
		current.before.reservations = oldestFirst(current.before.reservations)
	}
	return err
}

// loadWeeks looks up the first day of the week for reservations that are subject to a weekly cap.
func (s *commands) loadWeeks(ctx context.Context, state *unitState, requested map[record.Key][]Operation) error {
	var capped []*accountChange
	var organizations, insurances []uuid.UUID
	for key, current := range state.accounts {
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
	days, err := s.Directory.WeekStarts(ctx, organizations, insurances)
	if err != nil {
		return err
	}
	for i, current := range capped {
		current.before.weekStart = days[i]
	}
	return nil
}

// save writes the changes, with one statement per table.
func (s *commands) save(ctx context.Context, state *unitState) error {
	if changed := state.changed(); len(changed) > 0 {
		if err := s.store.post(ctx, changed); err != nil {
			return err
		}
	}
	if err := s.Events.Publish(ctx, state.messages); err != nil {
		return err
	}
	return s.Audit.Record(ctx, state.trail)
}
