package appointments

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/outbox"
	"omnirapeutic/platform/recent"
	"omnirapeutic/platform/scheduling"
	"omnirapeutic/platform/trail"
)

// Directory is what this module asks of the one that knows organizations, patients,
// practitioners, payers and service codes.
type Directory interface {
	// TimeZone returns the organization's time zone, in which dates begin and end.
	TimeZone(ctx context.Context, organization uuid.UUID) (*time.Location, error)
	// ForgetTimeZone removes the time zone from the cache, because it has changed.
	ForgetTimeZone(organization uuid.UUID)
	// SchedulingRules answers what bookings have to keep to, in the transaction of the context.
	SchedulingRules(ctx context.Context, q scheduling.Question) (scheduling.Rules, error)
}

// Events is told, in the transaction of a change, what has changed.
type Events interface {
	// Publish tells whoever holds their permissions, once and only if the transaction commits.
	Publish(ctx context.Context, messages []outbox.Message) error
}

// Audit is told, in the transaction of a change, who did what.
type Audit interface {
	// Record keeps the events if, and only if, the transaction commits.
	Record(ctx context.Context, events []trail.Event) error
	// Note keeps what changes nothing, and returns once that is committed. The error is
	// [trail.ErrNotRecorded].
	Note(ctx context.Context, events []trail.Event) error
}

// Callers knows the users of organizations.
type Callers interface {
	// Presently returns a user as they would be let in at this moment, read in the
	// transaction of the context. The error is [identity.ErrUnauthenticated] where nobody
	// would be let in.
	Presently(ctx context.Context, organization, user uuid.UUID) (identity.Caller, error)
}

// Service has the use cases of appointments and sessions. It is safe for
// concurrent use. Its methods act in the organization of the [identity.Caller] in
// the context and fail without one, unless they say otherwise.
type Service struct {
	database  *db.DB
	directory Directory
	units     Units
	events    Events
	audit     Audit
	callers   Callers
	clock     func() time.Time
	newID     func() uuid.UUID
	store     store
	combiner  *db.Combiner[request, result] // nil: every request has a transaction of its own
	lanes     *db.Lanes[uuid.UUID]

	// told has of which practitioners anything is said, so that a booking costs no
	// statement where there is nothing to warn of.
	told recent.Of[map[uuid.UUID]bool]
}

// Dependencies are what the service works with. The clock and the ids are passed
// in so that tests decide on both.
type Dependencies struct {
	Database  *db.DB
	Directory Directory
	Units     Units
	Events    Events
	Audit     Audit
	Callers   Callers
	Clock     func() time.Time
	NewID     func() uuid.UUID
	// Combine has the requests that arrive while a transaction is under way share the
	// next one. Without it, each has a transaction of its own.
	Combine bool
	// Lanes are where requests wait for each other that do not combine: those of the
	// units, so that bookings and operations on units do too.
	Lanes *db.Lanes[uuid.UUID]
	// Queue is how many requests may wait for their transaction; 0 stands for 10,000.
	Queue int
}

// New returns the service.
func New(d Dependencies) *Service {
	s := &Service{
		database: d.Database, directory: d.Directory, units: d.Units, events: d.Events, audit: d.Audit, callers: d.Callers,
		clock: d.Clock, newID: d.NewID, lanes: d.Lanes,
	}
	if d.Combine {
		s.combiner = s.newCombiner(d.Queue)
	}
	return s
}

// Waiting returns how many requests wait for their transaction.
func (s *Service) Waiting() int {
	if s.combiner == nil {
		return 0
	}
	return s.combiner.Waiting()
}

// Close waits for requests that are under way, and refuses new ones.
func (s *Service) Close() {
	if s.combiner != nil {
		s.combiner.Close()
	}
}

// now is the moment as PostgreSQL can keep it.
func (s *Service) now() time.Time { return s.clock().UTC().Truncate(time.Microsecond) }

// Outcome is what a request came to.
type Outcome struct {
	Appointment Appointment
	Session     *Session // of a completion
	Replayed    bool     // the answer of an earlier request with the same key
	// Occurrences are the appointments of what was asked for several of a series, in
	// the order of their times; nil where it was asked for one.
	Occurrences []Occurrence
}

// spans returns the times of the appointments that were booked or changed.
func (o Outcome) spans() []Span {
	if o.Occurrences == nil {
		return []Span{o.Appointment.Span}
	}
	var all []Span
	for _, each := range o.Occurrences {
		if each.AppointmentID != nil {
			all = append(all, Span{each.StartTime, each.EndTime})
		}
	}
	return all
}

// Book makes an appointment: every rule is asked, units are reserved and the
// appointment is written, all of it or nothing, once per key. A refusal tells every
// rule that stands against it, see [fault.Error.Reasons]: [ErrPractitionerInactive],
// [ErrCredentialMissing], [ErrPractitionerOverlap], [ErrPatientOverlap], and those of
// the account book. Other refusals: [fault.ErrInvalid] for what does not exist or does
// not fit, [idempotency.ErrReused].
func (s *Service) Book(ctx context.Context, b Booking, key Key) (Outcome, error) {
	r, err := s.bookingRequest(ctx, b, key)
	if err != nil {
		return Outcome{}, err
	}
	return s.do(ctx, r)
}

// bookingRequest is a booking as a request.
func (s *Service) bookingRequest(ctx context.Context, b Booking, key Key) (request, error) {
	r, err := s.request(ctx, book, s.newID(), key)
	if err != nil {
		return r, err
	}
	b.Span = b.Span.utc()
	r.booking = b
	return r, b.check()
}

// Change changes an appointment. Its time, its staff and its authorization change
// by the rules of a booking, and only while it is [Scheduled]; its reservation by
// the difference. Refusals: [ErrNotFound], [patch.ErrStale], [ErrTransition], those
// of [Service.Book].
//
// For several appointments of a series it is all of them or none, or [ErrSeries]:
// each moves by as many days, to the same time of day.
func (s *Service) Change(ctx context.Context, id uuid.UUID, c Change, scope Scope) (Outcome, error) {
	if c.Practitioners.Given {
		if err := errorOf(wrongStaff(c.Practitioners.Value)); err != nil {
			return Outcome{}, err
		}
	}
	r, err := s.request(ctx, reschedule, id, "")
	if err != nil {
		return Outcome{}, err
	}
	r.change, r.scope = c, scope
	return s.do(ctx, r)
}

// Start records that an appointment began at the time; nil: now. Refusals: [ErrNotFound],
// [ErrTransition], [ErrStartTooEarly], [ErrStartTooLate], and [fault.ErrInvalid] for a time in the
// future or more than 24 hours back.
func (s *Service) Start(ctx context.Context, id uuid.UUID, at *time.Time, key Key) (Outcome, error) {
	r, err := s.request(ctx, start, id, key)
	if err != nil {
		return Outcome{}, err
	}
	r.started = at
	return s.do(ctx, r)
}

// Reopen undoes the start of an appointment without a session: it is [Scheduled] again. Refusals:
// [ErrNotFound], [ErrTransition].
func (s *Service) Reopen(ctx context.Context, id uuid.UUID, reason string, key Key) (Outcome, error) {
	return s.end(ctx, reopen, id, &reason, ScopeOne, key)
}

// Cancel gives back exactly what the appointment holds, and notes who cancelled it,
// when, why, and whether that was late. Refusals: [ErrNotFound], [ErrTransition].
// For several appointments of a series it is all of them that are SCHEDULED.
func (s *Service) Cancel(ctx context.Context, id uuid.UUID, reason *string, scope Scope, key Key) (Outcome, error) {
	return s.end(ctx, cancel, id, reason, scope, key)
}

// NoShow notes that the patient did not come. What the appointment holds goes back,
// unless the organization has it used up. Refusals: [ErrNotFound], [ErrTransition],
// [ErrNotBegun] before its start.
func (s *Service) NoShow(ctx context.Context, id uuid.UUID, reason *string, key Key) (Outcome, error) {
	return s.end(ctx, noShow, id, reason, ScopeOne, key)
}

func (s *Service) end(ctx context.Context, k kind, id uuid.UUID, reason *string, scope Scope, key Key) (Outcome, error) {
	r, err := s.request(ctx, k, id, key)
	if err != nil {
		return Outcome{}, err
	}
	r.reason, r.scope = reason, scope
	return s.do(ctx, r)
}

// Complete writes the appointment's session and consumes the units of its actual time, exactly
// once, even if it is called often or concurrently. Units that the authorization does not cover are
// reported as unauthorized, never booked. Refusals: [ErrNotFound], [ErrTransition],
// [ErrUnconfirmed] for times that differ much from the booked ones, [fault.ErrInvalid] for
// impossible times.
func (s *Service) Complete(ctx context.Context, id uuid.UUID, c Completion, key Key) (Outcome, error) {
	r, err := s.request(ctx, complete, id, key)
	if err != nil {
		return Outcome{}, err
	}
	r.completion = c
	return s.do(ctx, r)
}

// request begins a request of the caller's on an appointment, with all the ids that
// it may need.
func (s *Service) request(ctx context.Context, k kind, appointment uuid.UUID, key Key) (request, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return request{}, err
	}
	r := request{kind: k, caller: caller, operation: s.newID(), call: s.newID(), appointment: appointment, session: s.newID()}
	if key != "" {
		r.repeatable = true
		name := caller.OrganizationID.String() + "\n" + caller.UserID.String() + "\n" + string(key)
		r.operation = uuid.NewSHA1(keyNamespace, []byte(name))
	}
	r.reservations = make([]uuid.UUID, MaxPatients)
	for i := range r.reservations {
		r.reservations[i] = s.newID()
	}
	return r, nil
}

func (s *Service) do(ctx context.Context, r request) (Outcome, error) {
	sees, err := s.admit(ctx, r)
	if err != nil {
		return Outcome{}, err
	}
	v, err := s.carryOut(ctx, r)
	if err != nil {
		err = s.offering(ctx, r, err)
	}
	o := Outcome{Appointment: sees.of(v.appointment), Replayed: v.replayed, Occurrences: v.occurrences}
	if v.session != nil {
		o.Session = new(sees.ofSession(*v.session))
	}
	return o, err
}

// Get returns an appointment as the caller sees it. The error is [ErrNotFound] where
// there is none within the caller's reach.
func (s *Service) Get(ctx context.Context, id uuid.UUID) (Appointment, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return Appointment{}, err
	}
	key := scheduling.Key{OrganizationID: caller.OrganizationID, ID: id}
	return db.Snapshot(ctx, s.database, "appointments.get", func(ctx context.Context) (Appointment, error) {
		if err := s.requireReached(ctx, []uuid.UUID{id}); err != nil {
			return Appointment{}, err
		}
		found, err := s.store.several(ctx, []scheduling.Key{key})
		if err != nil {
			return Appointment{}, err
		}
		a, ok := found[key]
		if !ok {
			return Appointment{}, ErrNotFound
		}
		seen, err := s.within(ctx, []Appointment{a})
		showAppointments(ctx, seen...)
		return seen[0], err
	})
}

// Filter narrows a list of appointments; zero values do not narrow it.
type Filter struct {
	PatientID      uuid.UUID
	PractitionerID uuid.UUID
	SeriesID       uuid.UUID
	Statuses       []Status
	Days           Days
	Page           db.Keyset // in the order of their starts
}

// List returns appointments that pass the filter, within the caller's reach and as
// the caller sees them.
func (s *Service) List(ctx context.Context, f Filter) ([]Appointment, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return nil, err
	}
	zone, err := s.directory.TimeZone(ctx, caller.OrganizationID)
	if err != nil {
		return nil, err
	}
	return db.Snapshot(ctx, s.database, "appointments.list", func(ctx context.Context) ([]Appointment, error) {
		found, err := s.store.list(ctx, f, f.Days.in(zone))
		if err != nil {
			return nil, err
		}
		found, err = s.within(ctx, found)
		showAppointments(ctx, found...)
		return found, err
	})
}

// ForgetOperations deletes what is remembered of requests that are older than the
// given time, of all organizations, and returns how many those were.
func (s *Service) ForgetOperations(ctx context.Context, older time.Duration) (int64, error) {
	return operations.Forget(ctx, s.database, "appointments.forget", s.now().Add(-older))
}

// Holds returns what open appointments hold of the authorizations, and what sessions have
// used of them, by their own account, each authorization being in the organization beside it. It works in the
// transaction of the context and needs no caller.
func (s *Service) Holds(ctx context.Context, organizations, authorizations []uuid.UUID) ([]Hold, error) {
	return s.store.holds(ctx, organizations, authorizations)
}
