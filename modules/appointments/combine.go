package appointments

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/authorization"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/operation"
	"omnirapeutic/platform/scheduling"
)

// The limits of combined transactions. A transaction of maxCombined requests takes tens of
// milliseconds. A larger one would hardly increase throughput, but would delay others.
const (
	maxCombined     = 128
	defaultQueue    = 10_000
	combinedTimeout = 30 * time.Second // for callers without an earlier deadline
)

// unitLane is the table whose lock serializes transactions that change units, across instances of
// the program and with the transactions of package authorization.
const unitLane = "unit_lane"

func (s *Service) newCombiner(queue int) *db.Combiner[request, result] {
	if queue == 0 {
		queue = defaultQueue
	}
	return db.NewCombiner(db.CombinerOptions[request]{
		Name: "appointments", Limit: maxCombined, Queue: queue, Timeout: combinedTimeout, Metrics: s.database.Metrics(),
	}, func(ctx context.Context, requests db.Batch[request]) ([]result, error) {
		return s.transact(ctx, "appointments.combined", requests, db.Locking(unitLane))
	})
}

// run runs a request in a SERIALIZABLE transaction, combined with others or alone. A refusal
// is returned as the error.
func (s *Service) run(ctx context.Context, r request) (verdict, error) {
	done, err := s.runInZone(ctx, r)
	for attempt := 1; attempt < zoneAttempts && errors.Is(err, errStaleZone); attempt++ {
		s.directory.ForgetTimeZone(r.caller.OrganizationID)
		done, err = s.runInZone(ctx, r)
	}
	switch {
	case err != nil:
		return verdict{}, refusalOfConstraint(authorization.RefusalOf(err))
	case done.err != nil:
		return verdict{}, done.err
	case done.verdict.refusal != nil:
		return done.verdict, done.verdict.refusal
	}
	return done.verdict, nil
}

// zoneAttempts is the maximum number of attempts after changes of the organization's time zone.
// Each further attempt needs another concurrent change.
const zoneAttempts = 5

// errStaleZone is returned if a request was parsed with an outdated time zone. Processes cache
// zones for a while, and another process has changed it.
var errStaleZone = errors.New("appointments: the organization's time zone has changed")

// runInZone executes a request in the organization's cached time zone. The error is
// [errStaleZone] if the organization has another one.
func (s *Service) runInZone(ctx context.Context, r request) (result, error) {
	zone, err := s.directory.TimeZone(ctx, r.caller.OrganizationID)
	if err != nil {
		return result{}, err
	}
	if r, err = s.inZone(r, zone); err != nil {
		return result{}, err
	}
	r = r.begin(s.now())
	if s.combiner != nil {
		return s.combiner.Do(ctx, db.Place{Organization: r.caller.OrganizationID, Subject: r.subject()}, r)
	}
	return s.runAlone(ctx, r)
}

// inCurrentZone reports whether the request was parsed with the organization's time zone as read in
// this transaction.
func (d *desk) inCurrentZone(r request) bool {
	rules, known := d.rules.Organizations[r.caller.OrganizationID]
	return !known || rules.TimeZone == r.zone.String()
}

// runAlone runs a request in its own transaction, after earlier requests of its organization and
// earlier operations on the units of its authorizations have finished.
func (s *Service) runAlone(ctx context.Context, r request) (result, error) {
	existing, requested, err := s.findNamed(ctx, r)
	if err != nil {
		return result{}, err
	}
	leave, err := s.lanes.EnterAll(ctx, lanesOf(needsOf(requested, existing, s.now()), r))
	if err != nil {
		return result{}, err
	}
	defer leave()
	results, err := s.transact(ctx, "appointments."+string(r.kind), db.BatchOf(r))
	if err != nil {
		return result{}, err
	}
	return results[0], nil
}

// findNamed returns the current appointments of a request, and the request for each of them, before
// it waits for its locks. The appointments may change until then; this only costs another attempt.
func (s *Service) findNamed(ctx context.Context, r request) (existing map[scheduling.Key]Appointment, requested []request, err error) {
	requested = []request{r}
	if r.kind == book {
		return nil, requested, nil
	}
	existing, err = db.Snapshot(ctx, s.database, "appointments.find", func(ctx context.Context) (map[scheduling.Key]Appointment, error) {
		found, each, err := s.readNamed(ctx, []request{r}, map[scheduling.Key]bool{})
		requested = each
		return found, err
	})
	return existing, requested, err
}

// readNamed reads the appointments of the requests, those of their series or authorization for
// requests on several appointments, and those already named. It returns the appointments, and the
// request for each of them.
func (s *Service) readNamed(
	ctx context.Context, requests []request, named map[scheduling.Key]bool,
) (map[scheduling.Key]Appointment, []request, error) {
	backed, err := s.store.backed(ctx, requests)
	if err != nil {
		return nil, nil, err
	}
	var several []scheduling.Key
	for i, r := range requests {
		switch r.kind {
		case book:
		case transfer:
			for _, key := range backed[i] {
				named[key] = true
			}
		default:
			for _, part := range append(r.parts, r) {
				named[part.key()] = true
			}
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
			named[scheduling.Key{OrganizationID: key.OrganizationID, ID: id}] = true
		}
	}
	existing, err := s.store.several(ctx, slices.SortedFunc(maps.Keys(named), compareKeys))
	if err != nil {
		return nil, nil, err
	}
	return existing, spreadTransfers(spread(requests, members, existing), backed, existing), nil
}

// lanesOf returns the locks of a request, in the order in which all requests acquire them. A lock
// per person would not suffice: new appointments of an organization share index pages, which SSI
// locks, so that requests for different people would conflict.
func lanesOf(n needs, r request) []uuid.UUID {
	lanes := []uuid.UUID{r.caller.OrganizationID}
	for _, h := range n.held {
		lanes = append(lanes, h.AuthorizationID)
	}
	slices.SortFunc(lanes, func(x, y uuid.UUID) int { return bytes.Compare(x[:], y[:]) })
	return slices.Compact(lanes)
}

// transact runs requests of any organizations in one SERIALIZABLE transaction, in order. The set of
// requests is closed only after the lock is acquired, so it includes requests that arrived while
// another transaction held it. The context needs no caller.
func (s *Service) transact(ctx context.Context, name string, requested db.Batch[request], options ...db.Option) ([]result, error) {
	var rows []operation.Done // of the latest attempt
	options = append(append(options, db.WritesWithCommit()), operations.Once(&rows)...)
	return db.Serializable(ctx, s.database, name, func(ctx context.Context) ([]result, error) {
		requests := requested.All()
		if err := db.Admit(ctx, organizationsOf(requests)...); err != nil {
			return nil, err
		}
		d, err := s.open(ctx, requests)
		if err != nil {
			return nil, err
		}
		results := make([]result, len(requests))
		for i, r := range d.requests {
			switch {
			case !d.inCurrentZone(r):
				return nil, errStaleZone
			case d.overtaken(r):
				return nil, errOvertaken
			}
			results[i] = d.settle(r)
		}
		rows = d.rows
		return results, s.write(ctx, d)
	}, options...)
}

func organizationsOf(requests []request) []uuid.UUID {
	organizations := make([]uuid.UUID, len(requests))
	for i, r := range requests {
		organizations[i] = r.caller.OrganizationID
	}
	return organizations
}

// open reads the state that the requests may need, in a fixed number of statements: the
// appointments with their participants, the account book, the directory's rules, and other
// appointments.
func (s *Service) open(ctx context.Context, requests []request) (*desk, error) {
	d := &desk{
		scene:   scene{now: s.now(), appointments: map[scheduling.Key]Appointment{}, occupied: occupied{}},
		inDoubt: db.InDoubt(ctx), done: map[operation.Key]operation.Done{}, written: map[uuid.UUID]Session{},
		shrunk: map[scheduling.Key]bool{}, edited: map[scheduling.Key]bool{},
	}
	named, err := s.readDone(ctx, d, requests)
	if err != nil {
		return nil, err
	}
	if d.appointments, d.requests, err = s.readNamed(ctx, requests, named); err != nil {
		return nil, err
	}
	n := needsOf(d.requests, d.appointments, d.now)
	if d.ledger, err = s.authorizations.OpenLedger(ctx, d.now, n.held); err != nil {
		return nil, err
	}
	if len(n.held) == 0 {
		return d, nil // nothing to look up
	}
	if d.rules, err = s.directory.SchedulingRules(ctx, n.ask(d.ledger)); err != nil {
		return nil, err
	}
	n.addVisits(d.ledger, d.rules)
	d.occupied, err = s.store.slots(ctx, n)
	return d, err
}

// readDone reads, if an earlier attempt may have committed, which requests are stored already. It
// returns the keys of their appointments.
func (s *Service) readDone(ctx context.Context, d *desk, requests []request) (map[scheduling.Key]bool, error) {
	named := map[scheduling.Key]bool{}
	if !d.inDoubt {
		return named, nil
	}
	keys := make([]operation.Key, len(requests))
	for i, r := range requests {
		keys[i] = r.operationKey()
	}
	var err error
	if d.done, err = operations.Find(ctx, keys...); err != nil {
		return nil, err
	}
	for key, row := range d.done {
		var m memory
		if err := row.Recall(&m); err != nil {
			return nil, err
		}
		if m.Appointment != nil {
			named[scheduling.Key{OrganizationID: key.OrganizationID, ID: m.Appointment.ID}] = true
		}
	}
	d.written, err = s.store.narratives(ctx, slices.SortedFunc(maps.Keys(named), compareKeys))
	return named, err
}

// write writes the decisions in one round trip, with one statement per table. Units come first,
// because appointments refer to their reservations.
func (s *Service) write(ctx context.Context, d *desk) error {
	changed := make([]Appointment, len(d.changed))
	for i, key := range d.changed {
		changed[i] = d.appointments[key]
	}
	shrunk := make([]Appointment, 0, len(d.shrunk))
	for key := range d.shrunk {
		shrunk = append(shrunk, d.appointments[key])
	}
	return db.Pipeline(ctx, func(ctx context.Context) error {
		if err := d.ledger.Write(ctx); err != nil {
			return err
		}
		if err := s.store.insertSeries(ctx, d.series); err != nil {
			return err
		}
		if err := s.store.save(ctx, changed, shrunk); err != nil {
			return err
		}
		if err := s.store.insertSessions(ctx, d.sessions); err != nil {
			return err
		}
		if err := s.events.Publish(ctx, d.messages); err != nil {
			return err
		}
		if err := s.audit.Record(ctx, d.events); err != nil {
			return err
		}
		return operations.Write(ctx, d.rows)
	})
}

func keyOf(a Appointment) scheduling.Key {
	return scheduling.Key{OrganizationID: a.OrganizationID, ID: a.ID}
}

func compareKeys(x, y scheduling.Key) int {
	if c := bytes.Compare(x.OrganizationID[:], y.OrganizationID[:]); c != 0 {
		return c
	}
	return bytes.Compare(x.ID[:], y.ID[:])
}

// constraints maps database constraints to errors. The rules in decide are checked first; the
// constraints are the last line of defense.
var constraints = map[string]*fault.Error{
	"appointment_practitioners_in_one_place": ErrPractitionerOverlap,
	"appointment_patients_once_in_each_lane": ErrPatientOverlap,
	"appointments_times_in_order":            fault.ErrInvalid,
	"appointments_whole_minutes":             fault.ErrInvalid,
	"appointment_practitioners_practitioner": fault.ErrInvalid,
	"appointment_patients_patient":           fault.ErrInvalid,
	"appointment_patients_authorization":     fault.ErrInvalid,
	"sessions_one_for_each_appointment":      ErrTransition,
}

func refusalOfConstraint(err error) error {
	if refusal, ok := constraints[db.ConstraintOf(err)]; ok {
		return refusal.Because(err)
	}
	return err
}
