package appointments

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/operation"
	"omnirapeutic/platform/scheduling"
)

// The bounds of combined transactions: one of maxCombined requests takes some tens
// of milliseconds; a larger one would have others wait and be hardly faster.
const (
	maxCombined     = 128
	defaultQueue    = 10_000
	combinedTimeout = 30 * time.Second // where callers have no deadline before
)

// unitLane is the table whose lock keeps whoever changes units out of each other's
// way: other instances of the program, and the units' own transactions.
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

// carryOut carries out a request in a SERIALIZABLE transaction, together with
// others or by itself. A refusal is the error.
func (s *Service) carryOut(ctx context.Context, r request) (verdict, error) {
	done, err := s.carryOutInZone(ctx, r)
	for attempt := 1; attempt < zoneAttempts && errors.Is(err, errStaleZone); attempt++ {
		s.directory.ForgetTimeZone(r.caller.OrganizationID)
		done, err = s.carryOutInZone(ctx, r)
	}
	switch {
	case err != nil:
		return verdict{}, refusalOfConstraint(s.units.RefusalOf(err))
	case done.err != nil:
		return verdict{}, done.err
	case done.verdict.refusal != nil:
		return done.verdict, done.verdict.refusal
	}
	return done.verdict, nil
}

// zoneAttempts limits how often a request is parsed again after a change of its time zone. Each
// repetition needs another concurrent change.
const zoneAttempts = 5

// errStaleZone: a request was parsed with an outdated time zone. Processes cache zones for a while,
// and another process changed it.
var errStaleZone = errors.New("appointments: the organization's time zone has changed")

// carryOutInZone executes a request in the organization's cached time zone. The error is
// [errStaleZone] if the organization has another one.
func (s *Service) carryOutInZone(ctx context.Context, r request) (result, error) {
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
	return s.byItself(ctx, r)
}

// inItsZone reports whether the request was parsed with the organization's time zone in this
// transaction.
func (d *desk) inItsZone(r request) bool {
	rules, known := d.rules.Organizations[r.caller.OrganizationID]
	return !known || rules.TimeZone == r.zone.String()
}

// byItself carries out a request in a transaction of its own, once those before it
// are through: those of its organization, and operations on the units of its
// authorizations.
func (s *Service) byItself(ctx context.Context, r request) (result, error) {
	there, asked, err := s.there(ctx, r)
	if err != nil {
		return result{}, err
	}
	leave, err := s.lanes.EnterAll(ctx, lanesOf(needsOf(asked, there, s.now()), r))
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

// there returns the appointments that a request is about, and the request as it is
// for them, before it waits for its turn: by then they may be others, and all that
// was lost is an attempt.
func (s *Service) there(ctx context.Context, r request) (there map[scheduling.Key]Appointment, asked []request, err error) {
	asked = []request{r}
	if r.kind == book {
		return nil, asked, nil
	}
	there, err = db.Snapshot(ctx, s.database, "appointments.find", func(ctx context.Context) (map[scheduling.Key]Appointment, error) {
		found, each, err := s.readNamed(ctx, []request{r}, map[scheduling.Key]bool{})
		asked = each
		return found, err
	})
	return there, asked, err
}

// readNamed reads the appointments that the requests are about, those of their
// series or their authorization where they are for several, and the ones named
// already; it returns them, and the requests as they are for each.
func (s *Service) readNamed(ctx context.Context, requests []request, named map[scheduling.Key]bool) (map[scheduling.Key]Appointment, []request, error) {
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
	there, err := s.store.several(ctx, slices.SortedFunc(maps.Keys(named), compareKeys))
	if err != nil {
		return nil, nil, err
	}
	return there, spreadTransfers(spread(requests, members, there), backed, there), nil
}

// lanesOf returns the lanes of a request, in the order in which everybody enters
// them. A lane for each of the people would not do: new appointments of an
// organization stand beside each other in the indexes, whose pages SSI locks, so
// that requests about different people overtake each other all the same.
func lanesOf(n needs, r request) []uuid.UUID {
	lanes := []uuid.UUID{r.caller.OrganizationID}
	for _, h := range n.held {
		lanes = append(lanes, h.AuthorizationID)
	}
	slices.SortFunc(lanes, func(x, y uuid.UUID) int { return bytes.Compare(x[:], y[:]) })
	return slices.Compact(lanes)
}

// transact carries out requests of any organizations in one SERIALIZABLE
// transaction, in their order. Which they are it asks once it has the lane's lock:
// then those are among them that arrived while another transaction had it. The
// context may be nobody's.
func (s *Service) transact(ctx context.Context, name string, asked db.Batch[request], options ...db.Option) ([]result, error) {
	var rows []operation.Done // of the last attempt
	options = append(append(options, db.WritingLast()), operations.Once(&rows)...)
	return db.Serializable(ctx, s.database, name, func(ctx context.Context) ([]result, error) {
		requests := asked.All()
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
			case !d.inItsZone(r):
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

// open reads what the requests may meet, in a number of statements that does not
// depend on theirs: the appointments with those who take part, the account book,
// the directory's rules, and what else takes place.
func (s *Service) open(ctx context.Context, requests []request) (*desk, error) {
	d := &desk{
		scene:   scene{now: s.now(), appointments: map[scheduling.Key]Appointment{}, occupied: occupied{}, notFound: s.units.NotFound()},
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
	if d.book, err = s.units.Open(ctx, d.now, n.held); err != nil {
		return nil, err
	}
	if len(n.held) == 0 {
		return d, nil // of nothing that is there
	}
	if d.rules, err = s.directory.SchedulingRules(ctx, n.ask(d.book)); err != nil {
		return nil, err
	}
	n.addVisits(d.book, d.rules)
	d.occupied, err = s.store.slots(ctx, n)
	return d, err
}

// readDone reads, where there is doubt, which of the requests have been carried
// out, and returns the appointments that those are about.
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

// write writes what was decided: a statement for each table, whatever the number
// of rows, all of them in one round trip. Units come first: appointments refer to
// their reservations.
func (s *Service) write(ctx context.Context, d *desk) error {
	changed := make([]Appointment, len(d.changed))
	for i, key := range d.changed {
		changed[i] = d.appointments[key]
	}
	shrunk := make([]Appointment, 0, len(d.shrunk))
	for key := range d.shrunk {
		shrunk = append(shrunk, d.appointments[key])
	}
	return db.Together(ctx, func(ctx context.Context) error {
		if err := d.book.Write(ctx); err != nil {
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

// constraints say what a constraint of the database means to a person when it
// fires all the same: the rules in decide come first, it is the last line.
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
