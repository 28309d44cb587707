package authorization

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/outbox"
)

// Directory is what this module asks of the one that knows organizations,
// patients, insurances and service codes.
type Directory interface {
	// TimeZone returns the organization's time zone, in which dates begin and end.
	TimeZone(ctx context.Context, organization uuid.UUID) (*time.Location, error)
	// CheckReferences returns an error that names the field where one of them is
	// not there, or does not fit the others, in the caller's organization.
	CheckReferences(ctx context.Context, patient, serviceCode uuid.UUID, insurance *uuid.UUID) error
	// WeekStarts returns where the weeks of insurances' payers begin, each insurance
	// being in the organization beside it.
	WeekStarts(ctx context.Context, organizations, insurances []uuid.UUID) ([]time.Weekday, error)
	// InsurancesOf returns the insurances of a payer, in the caller's organization.
	InsurancesOf(ctx context.Context, payer uuid.UUID) ([]uuid.UUID, error)
}

// Events is told, in the transaction of a change, what has changed.
type Events interface {
	// Publish tells whoever holds their permissions, once and only if the transaction commits.
	Publish(ctx context.Context, messages []outbox.Message) error
}

// Service has the use cases of authorizations and their units. It is safe for
// concurrent use. All of its methods act in the organization of the
// [identity.Caller] in the context and fail without one, unless they say otherwise.
type Service struct {
	database  *db.DB
	directory Directory
	events    Events
	audit     Audit
	clock     func() time.Time
	newID     func() uuid.UUID
	logger    logrus.FieldLogger
	store     store
	combiner  *db.Combiner[batch, result] // nil: every batch has a transaction of its own
	lanes     *db.Lanes[uuid.UUID]        // without a combiner: of authorizations whose units are changed

	grace            time.Duration
	onVerified       func(organization uuid.UUID, r Report)
	calendar         Calendar
	appointmentHolds func(ctx context.Context, organizations, authorizations []uuid.UUID) ([]AppointmentHold, error)
}

// Dependencies are what the service works with. The clock and the ids are
// passed in so that tests decide on both.
type Dependencies struct {
	Database  *db.DB
	Directory Directory
	Events    Events
	Audit     Audit
	Clock     func() time.Time
	NewID     func() uuid.UUID
	Logger    logrus.FieldLogger
	// Combine has the operations that arrive while a transaction is under way share
	// the next one. Without it, each has a transaction of its own.
	Combine bool
	// Lanes are where calls wait for each other that do not combine. Other modules
	// that change units in their transactions share them. Nil: this module has its own.
	Lanes *db.Lanes[uuid.UUID]
	// Queue is how many calls may wait for their transaction; 0 stands for 10,000.
	Queue int
	// SweeperGrace is how long the sweeper may take to release an expired hold
	// before [Service.Verify] calls it overdue; 0 where none runs, and nothing is.
	SweeperGrace time.Duration
	// AppointmentHolds returns, in the transaction of the context, what open appointments
	// hold of the authorizations, each of which is in the organization beside it:
	// [Service.Verify] compares. Nil: there are no appointments, and nothing is compared.
	AppointmentHolds func(ctx context.Context, organizations, authorizations []uuid.UUID) ([]AppointmentHold, error)
	// Calendar has the appointments that authorizations back. Nil: there are none.
	Calendar Calendar
	// OnVerified, if set, is called with the report of every verification, of one
	// organization or, with the zero id, of all.
	OnVerified func(organization uuid.UUID, r Report)
}

// New returns the service.
func New(d Dependencies) *Service {
	s := &Service{
		database: d.Database, directory: d.Directory, events: d.Events, audit: d.Audit, clock: d.Clock, newID: d.NewID, logger: d.Logger,
		lanes: d.Lanes, grace: d.SweeperGrace, onVerified: d.OnVerified, appointmentHolds: d.AppointmentHolds, calendar: d.Calendar,
	}
	if s.lanes == nil {
		s.lanes = new(db.Lanes[uuid.UUID])
	}
	if s.onVerified == nil {
		s.onVerified = func(uuid.UUID, Report) {}
	}
	if d.Combine {
		s.combiner = s.newCombiner(d.Queue)
	}
	return s
}

// Waiting returns how many calls wait for their transaction.
func (s *Service) Waiting() int {
	if s.combiner == nil {
		return 0
	}
	return s.combiner.Waiting()
}

// Close waits for operations that are under way, and refuses new ones.
func (s *Service) Close() {
	if s.combiner != nil {
		s.combiner.Close()
	}
}

// now is the moment as PostgreSQL can keep it: an entry's hash must not know more than its row.
func (s *Service) now() time.Time { return s.clock().UTC().Truncate(time.Microsecond) }

// moment returns now, and the date that it has in the organization's time zone.
func (s *Service) moment(ctx context.Context, organization uuid.UUID) (Moment, error) {
	zone, err := s.directory.TimeZone(ctx, organization)
	if err != nil {
		return Moment{}, err
	}
	return momentIn(s.now(), zone), nil
}

func momentIn(now time.Time, zone *time.Location) Moment {
	return Moment{Now: now, Today: calendar.DateIn(now, zone)}
}

// NewAuthorization is what a person enters.
type NewAuthorization struct {
	PatientID     uuid.UUID
	ServiceCodeID uuid.UUID
	InsuranceID   *uuid.UUID
	AuthNumber    *string
	TotalUnits    int // 0 to [MaxUnits]
	StartDate     calendar.Date
	EndDate       calendar.Date
	Status        Status // Pending or Active; empty: Active
	Caps          []Cap
	Notes         *string
}

// Create enters an authorization and returns it. The error is
// [fault.ErrInvalid] where a field does not fit.
func (s *Service) Create(ctx context.Context, n NewAuthorization) (View, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return View{}, err
	}
	if n.Status == "" {
		n.Status = Active
	}
	caps, err := n.check()
	if err != nil {
		return View{}, err
	}
	id := s.newID()
	there := func(ctx context.Context) (bool, error) { return s.store.exists(ctx, id) }
	return db.Serializable(ctx, s.database, "authorization.create", func(ctx context.Context) (View, error) {
		if db.InDoubt(ctx) { // an attempt before this one may have done it: see db.ProvenBy
			if done, err := there(ctx); err != nil || done {
				v, getErr := s.Get(ctx, id)
				return v, errors.Join(err, getErr)
			}
		}
		at, err := s.moment(ctx, caller.OrganizationID)
		if err != nil {
			return View{}, err
		}
		if err := s.directory.CheckReferences(ctx, n.PatientID, n.ServiceCodeID, n.InsuranceID); err != nil {
			return View{}, err
		}
		a := Authorization{
			OrganizationID: caller.OrganizationID,
			ID:             id,
			PatientID:      n.PatientID,
			InsuranceID:    n.InsuranceID,
			ServiceCodeID:  n.ServiceCodeID,
			AuthNumber:     n.AuthNumber,
			Balance:        Balance{Total: n.TotalUnits},
			Caps:           caps,
			Booked:         caps.nothingBooked(),
			StartDate:      n.StartDate,
			EndDate:        n.EndDate,
			Decision:       n.Status,
			Notes:          n.Notes,
			Version:        1,
			InitialUnits:   n.TotalUnits,
			LastHash:       genesis(caller.OrganizationID, id, n.TotalUnits),
			CreatedAt:      at.Now,
			UpdatedAt:      at.Now,
		}
		if err := s.store.insert(ctx, &a); err != nil {
			return View{}, err
		}
		return a.viewOn(at.Today), s.recordTerms(ctx, "create", nil, &a, nil, at.Now)
	}, db.ProvenBy(there))
}

// check returns the caps, or what is wrong with the fields.
func (n NewAuthorization) check() (Caps, error) {
	caps, wrong := capsOf(n.Caps)
	if n.TotalUnits < 0 || n.TotalUnits > MaxUnits {
		wrong = append(wrong, fieldUnits("totalUnits", 0))
	}
	if n.EndDate.Before(n.StartDate) {
		wrong = append(wrong, fieldDatesOrder)
	}
	if n.Status != Pending && n.Status != Active {
		wrong = append(wrong, fault.Field{Field: "status", Code: "oneof", Message: "must be PENDING or ACTIVE"})
	}
	if len(wrong) > 0 {
		return caps, fault.InvalidFields(wrong...)
	}
	return caps, nil
}

// View is an authorization as it counts today: with its computed status, and
// with the units of expired holds available again.
type View struct {
	Authorization
	Status Status
}

func (a Authorization) viewOn(today calendar.Date) View {
	return View{Authorization: a, Status: a.StatusOn(today)}
}

// Get returns an authorization. The error is [ErrNotFound] where there is none.
func (s *Service) Get(ctx context.Context, id uuid.UUID) (View, error) {
	return read(ctx, s, "authorization.get", func(ctx context.Context, at Moment) (View, error) {
		a, err := s.store.current(ctx, id, at.Now)
		if err == nil {
			show(ctx, a.ID, a.PatientID)
		}
		return a.viewOn(at.Today), err
	})
}

// List returns authorizations that pass the filter, in the order in which they
// were made.
func (s *Service) List(ctx context.Context, f Filter) ([]View, error) {
	return read(ctx, s, "authorization.list", func(ctx context.Context, at Moment) ([]View, error) {
		found, err := s.list(ctx, f, at)
		views := make([]View, len(found))
		for i, a := range found {
			views[i] = a.viewOn(at.Today)
		}
		return views, err
	})
}

func (s *Service) list(ctx context.Context, f Filter, at Moment) ([]Authorization, error) {
	if err := s.ofPayer(ctx, &f); err != nil {
		return nil, err
	}
	return s.store.list(ctx, f, at)
}

// ofPayer asks for the insurances of the filter's payer.
func (s *Service) ofPayer(ctx context.Context, f *Filter) error {
	if f.PayerID == uuid.Nil {
		return nil
	}
	found, err := s.directory.InsurancesOf(ctx, f.PayerID)
	f.insurances = append([]uuid.UUID{}, found...) // never nil: a payer without insurances has no authorizations
	return err
}

// Reservations returns an authorization's reservations with an id after the given one, sorted by
// id. If open is given, it returns only open or only closed ones. It also returns the time of that
// state. The error is [ErrNotFound] if there is no such authorization.
func (s *Service) Reservations(
	ctx context.Context, authorization uuid.UUID, open *bool, after uuid.UUID, limit int,
) ([]Reservation, time.Time, error) {
	var now time.Time
	found, err := read(ctx, s, "authorization.reservations", func(ctx context.Context, at Moment) ([]Reservation, error) {
		now = at.Now
		a, err := s.store.get(ctx, authorization)
		if err != nil {
			return nil, err
		}
		show(ctx, a.ID, a.PatientID)
		return s.store.reservations(ctx, authorization, open, after, limit, now)
	})
	return found, now, err
}

// Entries returns an authorization's ledger, oldest first, the entries after
// the given sequence number. The error is [ErrNotFound] where there is no such
// authorization.
func (s *Service) Entries(ctx context.Context, authorization uuid.UUID, after int64, limit int) ([]Entry, error) {
	return read(ctx, s, "authorization.entries", func(ctx context.Context, _ Moment) ([]Entry, error) {
		a, err := s.store.get(ctx, authorization)
		if err != nil {
			return nil, err
		}
		show(ctx, a.ID, a.PatientID)
		return s.store.entries(ctx, authorization, after, limit)
	})
}

func read[T any](ctx context.Context, s *Service, operation string, fn func(context.Context, Moment) (T, error)) (T, error) {
	var none T
	caller, err := identity.From(ctx)
	if err != nil {
		return none, err
	}
	return db.Snapshot(ctx, s.database, operation, func(ctx context.Context) (T, error) {
		at, err := s.moment(ctx, caller.OrganizationID)
		if err != nil {
			return none, err
		}
		return fn(ctx, at)
	})
}

var fieldDatesOrder = fault.Field{Field: "endDate", Code: "gtefield", Message: "must not be before startDate"}
