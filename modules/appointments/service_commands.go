package appointments

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/authorization"
	"omnirapeutic/platform/command"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/record"
)

// weight is a request's share of a batch. A request takes about twice as long as an operation on
// units.
const weight = 2

// commands executes requests that change appointments.
type commands struct {
	base
	executor command.Executor[request, verdict]
}

func newCommands(b base) *commands {
	c := &commands{base: b}
	c.executor = command.Add(b.Engine, c.handler())
	return c
}

// handler returns how requests are executed.
func (s *commands) handler() command.Handler[request, *bookingState, verdict] {
	return command.Handler[request, *bookingState, verdict]{
		Name:   "appointments",
		Weight: func(request) int { return weight },
		Prefetch: func(first []request) (*bookingState, []db.Query) {
			state := &bookingState{prefetched: appointmentReading{keys: namedIn(first)}}
			return state, state.prefetched.queries()
		},
		Load:   s.load,
		Decide: (*bookingState).decide,
		Save:   s.save,
		Answer: func(v verdict) any { return storedVerdictOf(v) },
		Replay: (*bookingState).replay,
	}
}

// run executes a request. A refusal is returned as the error.
func (s *commands) run(ctx context.Context, r request) (verdict, error) {
	v, err := s.runInZone(ctx, r)
	for attempt := 1; attempt < zoneAttempts && errors.Is(err, errStaleZone); attempt++ {
		s.Directory.ForgetTimeZone(r.caller.OrganizationID)
		v, err = s.runInZone(ctx, r)
	}
	return v, err
}

// zoneAttempts is the maximum number of attempts after changes of the organization's time zone.
// Each further attempt needs another concurrent change.
const zoneAttempts = 5

// errStaleZone is returned if a request was parsed with an outdated time zone. Processes cache
// zones for a while, and another process has changed it.
var errStaleZone = errors.New("appointments: the organization's time zone has changed")

// runInZone executes a request in the organization's cached time zone. The error is [errStaleZone]
// if the organization has another one.
func (s *commands) runInZone(ctx context.Context, r request) (verdict, error) {
	zone, err := s.Directory.TimeZone(ctx, r.caller.OrganizationID)
	if err != nil {
		return verdict{}, err
	}
	if r, err = s.inZone(r, zone); err != nil {
		return verdict{}, err
	}
	return s.execute(ctx, r.withFirstDay(s.now()))
}

// execute executes a request together with others or, inside a transaction, in that transaction. A
// refusal is returned as the error.
func (s *commands) execute(ctx context.Context, r request) (verdict, error) {
	r.Subject, r.Fingerprint = r.subject(), r.fingerprint()
	v, replayed, err := s.executor.Do(ctx, r)
	v.replayed = replayed
	switch {
	case err != nil:
		return verdict{}, refusalOfConstraint(authorization.RefusalOf(err))
	case v.refusal != nil:
		return v, v.refusal
	}
	return v, nil
}

// namedIn returns the keys of the appointments that the requests name, in order.
func namedIn(requests []request) []record.Key {
	named := map[record.Key]bool{}
	for _, r := range requests {
		if r.kind == book || r.kind == transfer {
			continue
		}
		for _, part := range append(r.parts, r) {
			named[part.key()] = true
		}
	}
	return slices.SortedFunc(maps.Keys(named), record.Key.Compare)
}

// readNamed reads the appointments of the requests that were not prefetched, and for requests on
// several appointments all of their series or authorization. It returns the appointments, and the requests with
// a part for each of them.
func (s *commands) readNamed(
	ctx context.Context, prefetched appointmentReading, requests []request,
) (map[record.Key]Appointment, []request, error) {
	named := map[record.Key]bool{}
	backed, err := s.store.backed(ctx, requests)
	if err != nil {
		return nil, nil, err
	}
	var several []record.Key
	for i, r := range requests {
		for _, key := range backed[i] {
			named[key] = true
		}
		if r.scope.several() {
			several = append(several, r.key())
		}
	}
	members, err := s.store.seriesOf(ctx, several)
	if err != nil {
		return nil, nil, err
	}
	for key, ids := range members {
		for _, id := range ids {
			named[record.Of(key.OrganizationID, id)] = true
		}
	}
	for _, key := range namedIn(requests) {
		named[key] = true
	}
	for _, key := range prefetched.keys {
		delete(named, key)
	}
	existing, err := s.store.several(ctx, slices.SortedFunc(maps.Keys(named), record.Key.Compare))
	if err != nil {
		return nil, nil, err
	}
	for _, a := range prefetched.appointments() {
		existing[a.key()] = a
	}
	return existing, spreadTransfers(spread(requests, members, existing), backed, existing), nil
}

// load reads the state that the requests may need, in a fixed number of statements: the
// appointments with their participants, the ledger, the directory's rules, and other
// appointments.
func (s *commands) load(ctx context.Context, prefetched *bookingState, requests []request) (*bookingState, error) {
	state := &bookingState{
		records: records{
			now: s.now(), appointments: map[record.Key]Appointment{}, sessions: map[record.Key]Session{},
			written: map[record.Key]bool{}, occupied: occupied{},
		},
		expanded: map[uuid.UUID]request{}, shrunk: map[record.Key]bool{}, edited: map[record.Key]bool{},
	}
	if prefetched != nil {
		state.prefetched = prefetched.prefetched
	}
	existing, expanded, err := s.readNamed(ctx, state.prefetched, requests)
	if err != nil {
		return nil, err
	}
	state.appointments = existing
	for _, r := range expanded {
		state.expanded[r.CallID] = r
	}
	if err := s.loadReasons(ctx, &state.records, expanded); err != nil {
		return nil, err
	}
	if err := s.loadMissed(ctx, &state.records, expanded); err != nil {
		return nil, err
	}
	n := needsOf(expanded, existing, state.now)
	if state.ledger, err = s.Authorizations.OpenLedger(ctx, state.now, n.held); err != nil {
		return nil, err
	}
	if len(n.held) == 0 {
		return state, nil // nothing to look up
	}
	if state.rules, err = s.Directory.SchedulingRules(ctx, n.rulesQuery(state.ledger)); err != nil {
		return nil, err
	}
	n.addVisits(state.ledger, state.rules)
	if state.occupied, err = s.store.slots(ctx, n); err != nil {
		return nil, err
	}
	return state, s.loadVisits(ctx, &state.records, n)
}

// loadVisits reads the other appointments of the visits that the requests may change, and the
// sessions that may get new versions. It runs no statement if there are none.
func (s *commands) loadVisits(ctx context.Context, state *records, n needs) error {
	if others := n.others(state); len(others) > 0 {
		found, err := s.store.several(ctx, others)
		if err != nil {
			return err
		}
		if err := state.ledger.Load(ctx, heldBy(found)); err != nil {
			return err
		}
		rules, err := s.Directory.SchedulingRules(ctx, n.rulesQueryOfOthers(state.ledger, found))
		if err != nil {
			return err
		}
		maps.Copy(state.rules.Payers, rules.Payers)
		maps.Copy(state.appointments, found)
	}
	overlapping, err := s.store.several(ctx, n.overlapping(state))
	if err != nil {
		return err
	}
	maps.Copy(state.appointments, overlapping)
	var completed []record.Key
	for key, a := range state.appointments {
		if a.SessionID != nil && (n.corrects || len(n.visits) > 0) {
			completed = append(completed, key)
		}
	}
	slices.SortFunc(completed, record.Key.Compare)
	state.sessions, err = s.store.sessionsOf(ctx, completed)
	return err
}

// save writes the decisions, with one statement per table. Units come first, because appointments
// refer to their reservations.
func (s *commands) save(ctx context.Context, state *bookingState) error {
	if err := state.ledger.Write(ctx); err != nil {
		return err
	}
	if err := s.store.insertSeries(ctx, state.series); err != nil {
		return err
	}
	changed, shrunk := state.toSave()
	if err := s.store.save(ctx, changed, shrunk); err != nil {
		return err
	}
	if err := db.AfterCommit(ctx, func(context.Context) { s.reminders.add(s.now(), changed) }); err != nil {
		return err
	}
	if err := s.store.saveSessions(ctx, state.saved); err != nil {
		return err
	}
	if err := s.Events.Publish(ctx, state.messages); err != nil {
		return err
	}
	return s.Audit.Record(ctx, state.events)
}

// request returns a new request of the caller on an appointment, with all ids that it may need.
func (s *commands) request(ctx context.Context, k kind, appointment uuid.UUID, key command.Key) (request, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return request{}, err
	}
	r := request{
		Call: s.executor.NewCall(caller, string(k), key), kind: k, caller: caller, appointment: appointment,
		session: s.NewID(),
	}
	r.reservations = make([]uuid.UUID, MaxPatients)
	for i := range r.reservations {
		r.reservations[i] = s.NewID()
	}
	return r, nil
}

// inZone returns the request in the organization's time zone: the appointments of a series have the
// same time of day there.
func (s *commands) inZone(r request, zone *time.Location) (request, error) {
	known := r.zone != nil && r.zone.String() == zone.String()
	r.zone = zone
	if r.rule == "" || known {
		return r, nil
	}
	rule, err := ParseRule(r.rule)
	if err != nil {
		return r, err
	}
	spans, err := rule.Occurrences(r.booking.Span, zone)
	if err != nil {
		return r, err
	}
	r.parts = nil
	var parts []request
	for i, span := range spans {
		part := r
		part.booking.Span = span
		if i > 0 {
			part.appointment = s.NewID()
			part.reservations = s.newIDs(len(r.booking.Patients))
		}
		parts = append(parts, part)
	}
	r.parts = parts
	return r, nil
}
