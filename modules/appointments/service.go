package appointments

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/authorization"
	"omnirapeutic/platform/cache"
	"omnirapeutic/platform/command"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/outbox"
	"omnirapeutic/platform/record"
	"omnirapeutic/platform/scheduling"
	"omnirapeutic/platform/trail"
)

// Directory provides organizations, patients, practitioners, payers and service codes.
type Directory interface {
	// TimeZone returns the organization's time zone, which defines its dates.
	TimeZone(ctx context.Context, organization uuid.UUID) (*time.Location, error)
	// ForgetTimeZone removes the time zone from the cache, because it has changed.
	ForgetTimeZone(organization uuid.UUID)
	// SchedulingRules returns the rules for bookings, in the transaction of the context.
	SchedulingRules(ctx context.Context, q scheduling.Question) (scheduling.Rules, error)
}

// Events publishes changes.
type Events interface {
	// Publish publishes each message once, in the transaction of the context, to the subscribers
	// with its permissions.
	Publish(ctx context.Context, messages []outbox.Message) error
}

// Audit records events in the audit trail.
type Audit interface {
	// Record writes the events in the transaction of the context.
	Record(ctx context.Context, events []trail.Event) error
	// Note commits events that belong to no change, before it returns. The error is
	// [trail.ErrNotRecorded].
	Note(ctx context.Context, events []trail.Event) error
}

// Callers provides the users of organizations.
type Callers interface {
	// CurrentCaller returns a user with the current permissions, read in the transaction of the
	// context. The error is [identity.ErrUnauthenticated] if the user may not sign in.
	CurrentCaller(ctx context.Context, organization, user uuid.UUID) (identity.Caller, error)
}

// Service implements the use cases of appointments and sessions. It is safe for concurrent use.
// Unless documented otherwise, its methods act in the organization of the [identity.Caller] in the
// context, and fail without one.
type Service struct {
	database  *db.DB
	directory Directory
	events    Events
	audit     Audit
	callers   Callers
	clock     func() time.Time
	newID     func() uuid.UUID
	store     store
	commands  command.Executor[request, verdict]

	authorizations *authorization.Service // its ledger joins this module's transactions

	// withAvailability caches the practitioners with availability, so that a booking without
	// possible warnings needs no query.
	withAvailability cache.PerOrganization[map[uuid.UUID]bool]
}

// Dependencies has the dependencies of the service. Tests set the clock and the ids.
type Dependencies struct {
	Database  *db.DB
	Engine    *command.Engine
	Directory Directory
	// Authorizations has the ledger of units, which joins the transactions of appointments.
	Authorizations *authorization.Service
	Events         Events
	Audit          Audit
	Callers        Callers
	Clock          func() time.Time
	NewID          func() uuid.UUID
}

// New returns the service.
func New(d Dependencies) *Service {
	s := &Service{
		database: d.Database, directory: d.Directory, authorizations: d.Authorizations, events: d.Events, audit: d.Audit, callers: d.Callers,
		clock: d.Clock, newID: d.NewID,
	}
	s.commands = command.Add(d.Engine, s.handler())
	return s
}

// now returns the current time with PostgreSQL's precision.
func (s *Service) now() time.Time { return s.clock().UTC().Truncate(time.Microsecond) }

// Outcome is the result of a request.
type Outcome struct {
	Appointment Appointment
	Session     *Session // of a completion
	Replayed    bool     // whether it is the stored response of an earlier request with the same key
	// Occurrences has the results for several appointments of a series, sorted by start; nil for a
	// single appointment.
	Occurrences []Occurrence
}

// spans returns the times of the booked or changed appointments.
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

// Book books an appointment. It checks every rule, reserves units and writes the appointment, in
// one transaction and once per key. A refusal has all rules that the booking would break, see
// [fault.Error.Reasons]: [ErrPractitionerInactive], [ErrCredentialMissing],
// [ErrPractitionerOverlap], [ErrPatientOverlap], and those of the account book. Other errors:
// [fault.ErrInvalid] for unknown records and records that do not match, [command.ErrReused].
func (s *Service) Book(ctx context.Context, b Booking, key command.Key) (Outcome, error) {
	r, err := s.bookingRequest(ctx, b, key)
	if err != nil {
		return Outcome{}, err
	}
	return s.do(ctx, r)
}

// bookingRequest returns the request of a booking.
func (s *Service) bookingRequest(ctx context.Context, b Booking, key command.Key) (request, error) {
	r, err := s.request(ctx, book, s.newID(), key)
	if err != nil {
		return r, err
	}
	b.Span = b.Span.utc()
	r.booking = b
	return r, b.check()
}

// Change changes an appointment. A change of the time, the staff or the authorization is checked
// like a booking, and is possible only while the appointment is [Scheduled]. The reservation
// changes by the difference. Errors: [ErrNotFound], [patch.ErrStale], [ErrTransition], and those of
// [Service.Book].
//
// For several appointments of a series, it changes all or none: the error is [ErrSeries]. Each
// moves by the same number of days, to the same time of day.
func (s *Service) Change(ctx context.Context, id uuid.UUID, c Change, scope Scope) (Outcome, error) {
	if c.Practitioners.Given {
		if err := errorOf(staffErrors(c.Practitioners.Value)); err != nil {
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

// Start records that an appointment began at the time; nil: now. Errors: [ErrNotFound],
// [ErrTransition], [ErrStartTooEarly], [ErrStartTooLate], and [fault.ErrInvalid] for a time in the
// future or more than 24 hours ago.
func (s *Service) Start(ctx context.Context, id uuid.UUID, at *time.Time, key command.Key) (Outcome, error) {
	r, err := s.request(ctx, start, id, key)
	if err != nil {
		return Outcome{}, err
	}
	r.started = at
	return s.do(ctx, r)
}

// Reopen undoes the start of an appointment without a session: it is [Scheduled] again. Errors:
// [ErrNotFound], [ErrTransition].
func (s *Service) Reopen(ctx context.Context, id uuid.UUID, reason string, key command.Key) (Outcome, error) {
	return s.end(ctx, reopen, id, &reason, ScopeOne, key)
}

// Cancel releases the units that the appointment holds, and records the user, the time, the reason
// and whether it was late. For a series, it cancels all SCHEDULED appointments of the scope.
// Errors: [ErrNotFound], [ErrTransition].
func (s *Service) Cancel(ctx context.Context, id uuid.UUID, reason *string, scope Scope, key command.Key) (Outcome, error) {
	return s.end(ctx, cancel, id, reason, scope, key)
}

// NoShow records that the patient did not come. It releases the appointment's units, or consumes
// them if the organization has configured that. Errors: [ErrNotFound], [ErrTransition], and
// [ErrNotBegun] before the start.
func (s *Service) NoShow(ctx context.Context, id uuid.UUID, reason *string, key command.Key) (Outcome, error) {
	return s.end(ctx, noShow, id, reason, ScopeOne, key)
}

func (s *Service) end(ctx context.Context, k kind, id uuid.UUID, reason *string, scope Scope, key command.Key) (Outcome, error) {
	r, err := s.request(ctx, k, id, key)
	if err != nil {
		return Outcome{}, err
	}
	r.reason, r.scope = reason, scope
	return s.do(ctx, r)
}

// Complete writes the appointment's session and consumes the units of its actual time, exactly
// once, even if it is called repeatedly or concurrently. Units that the authorization does not
// cover are reported as unauthorized, never booked. Errors: [ErrNotFound], [ErrTransition],
// [ErrUnconfirmed] for times that differ much from the booked ones, [fault.ErrInvalid] for
// impossible times.
func (s *Service) Complete(ctx context.Context, id uuid.UUID, c Completion, key command.Key) (Outcome, error) {
	r, err := s.request(ctx, complete, id, key)
	if err != nil {
		return Outcome{}, err
	}
	r.completion = c
	return s.do(ctx, r)
}

// request returns a new request of the caller on an appointment, with all ids that it may need.
func (s *Service) request(ctx context.Context, k kind, appointment uuid.UUID, key command.Key) (request, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return request{}, err
	}
	r := request{
		Call: s.commands.NewCall(caller, string(k), key), kind: k, caller: caller, appointment: appointment, session: s.newID(),
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
	v, err := s.run(ctx, r)
	if err != nil {
		err = s.withAlternatives(ctx, r, err)
	}
	o := Outcome{Appointment: sees.of(v.appointment), Replayed: v.replayed, Occurrences: v.occurrences}
	if v.session != nil {
		o.Session = new(sees.ofSession(*v.session))
	}
	return o, err
}

// Get returns an appointment as the caller may see it. The error is [ErrNotFound], also outside the
// caller's record scope.
func (s *Service) Get(ctx context.Context, id uuid.UUID) (Appointment, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return Appointment{}, err
	}
	key := record.Of(caller.OrganizationID, id)
	return db.Snapshot(ctx, s.database, "appointments.get", func(ctx context.Context) (Appointment, error) {
		if err := s.requireReached(ctx, []uuid.UUID{id}); err != nil {
			return Appointment{}, err
		}
		found, err := s.store.several(ctx, []record.Key{key})
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

// Filter narrows a list of appointments. Zero values do not filter.
type Filter struct {
	PatientID      uuid.UUID
	PractitionerID uuid.UUID
	SeriesID       uuid.UUID
	Statuses       []Status
	Days           Days
	Page           db.Keyset // sorted by start
}

// List returns the appointments that match the filter, within the caller's record scope and as the
// caller may see them.
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
