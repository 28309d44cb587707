package authorization

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/command"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/outbox"
)

// Directory provides organizations, patients, insurances and service codes.
type Directory interface {
	// TimeZone returns the organization's time zone, which defines its dates.
	TimeZone(ctx context.Context, organization uuid.UUID) (*time.Location, error)
	// CheckReferences returns an error with the field of a reference that does not exist in the
	// caller's organization, or does not match the others.
	CheckReferences(ctx context.Context, patient, serviceCode uuid.UUID, insurance *uuid.UUID) error
	// WeekStarts returns the first day of the week of each insurance's payer. organizations[i] is
	// the organization of insurances[i].
	WeekStarts(ctx context.Context, organizations, insurances []uuid.UUID) ([]time.Weekday, error)
	// InsurancesOf returns the insurances of a payer, in the caller's organization.
	InsurancesOf(ctx context.Context, payer uuid.UUID) ([]uuid.UUID, error)
}

// Events publishes changes.
type Events interface {
	// Publish publishes each message once, in the transaction of the context, to the subscribers
	// with its permissions.
	Publish(ctx context.Context, messages []outbox.Message) error
}

// Service implements the use cases of authorizations and their units. It is safe for concurrent
// use. Unless documented otherwise, its methods act in the organization of the [identity.Caller] in
// the context, and fail without one.
type Service struct {
	database  *db.DB
	directory Directory
	events    Events
	audit     Audit
	clock     func() time.Time
	newID     func() uuid.UUID
	logger    logrus.FieldLogger
	store     store
	engine    *command.Engine
	commands  command.Executor[unitCommand, []Outcome]

	grace      time.Duration
	onVerified func(organization uuid.UUID, r Report)
}

// Dependencies has the dependencies of the service. Tests set the clock and the ids.
type Dependencies struct {
	Database  *db.DB
	Engine    *command.Engine
	Directory Directory
	Events    Events
	Audit     Audit
	Clock     func() time.Time
	NewID     func() uuid.UUID
	Logger    logrus.FieldLogger
	// SweeperGrace is the time that the sweeper has to release an expired hold before
	// [Service.Verify] reports it as overdue. 0: no sweeper runs, and no hold is reported.
	SweeperGrace time.Duration
	// OnVerified, if set, is called with the report of every verification. The organization is the
	// zero id for a verification of all.
	OnVerified func(organization uuid.UUID, r Report)
}

// New returns the service.
func New(d Dependencies) *Service {
	s := &Service{
		database: d.Database, directory: d.Directory, events: d.Events, audit: d.Audit, clock: d.Clock, newID: d.NewID, logger: d.Logger,
		engine: d.Engine, grace: d.SweeperGrace, onVerified: d.OnVerified,
	}
	if s.onVerified == nil {
		s.onVerified = func(uuid.UUID, Report) {}
	}
	s.commands = command.Add(s.engine, s.handler())
	return s
}

// now returns the current time with PostgreSQL's precision, so that an entry's hash matches its
// stored row.
func (s *Service) now() time.Time { return s.clock().UTC().Truncate(time.Microsecond) }

// moment returns the current time and its date in the organization's time zone.
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

// NewAuthorization has the fields of an authorization to create.
type NewAuthorization struct {
	PatientID     uuid.UUID
	ServiceCodeID uuid.UUID
	InsuranceID   *uuid.UUID
	AuthNumber    *string
	TotalUnits    int // 0 to [MaxUnits]
	StartDate     calendar.Date
	EndDate       calendar.Date
	Status        Status // Pending or Active; default: Active
	Caps          []Cap
	Notes         *string
}

// Create creates an authorization and returns it. The error is [fault.ErrInvalid] if a field is
// invalid.
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
	exists := func(ctx context.Context) (bool, error) { return s.store.exists(ctx, id) }
	return db.Serializable(ctx, s.database, "authorization.create", func(ctx context.Context) (View, error) {
		if db.InDoubt(ctx) { // an earlier attempt may have created it; see db.ProvenBy
			if done, err := exists(ctx); err != nil || done {
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
	}, db.ProvenBy(exists))
}

// check returns the caps, or the field errors.
func (n NewAuthorization) check() (Caps, error) {
	caps, fieldErrors := capsOf(n.Caps)
	if n.TotalUnits < 0 || n.TotalUnits > MaxUnits {
		fieldErrors = append(fieldErrors, fieldUnits("totalUnits", 0))
	}
	if n.EndDate.Before(n.StartDate) {
		fieldErrors = append(fieldErrors, fieldDatesOrder)
	}
	if n.Status != Pending && n.Status != Active {
		fieldErrors = append(fieldErrors, fault.Field{Field: "status", Code: "oneof", Message: "must be PENDING or ACTIVE"})
	}
	if len(fieldErrors) > 0 {
		return caps, fault.InvalidFields(fieldErrors...)
	}
	return caps, nil
}

// View is an authorization as of today: with its computed status, and with the units of expired
// holds counted as available.
type View struct {
	Authorization
	Status Status
}

func (a Authorization) viewOn(today calendar.Date) View {
	return View{Authorization: a, Status: a.StatusOn(today)}
}

// Get returns an authorization. The error is [ErrNotFound].
func (s *Service) Get(ctx context.Context, id uuid.UUID) (View, error) {
	return read(ctx, s, "authorization.get", func(ctx context.Context, at Moment) (View, error) {
		a, err := s.store.current(ctx, id, at.Now)
		if err == nil {
			show(ctx, a.ID, a.PatientID)
		}
		return a.viewOn(at.Today), err
	})
}

// List returns the authorizations that match the filter, in the order of creation unless the
// filter's page sets another.
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

// ofPayer resolves the filter's payer to its insurances.
func (s *Service) ofPayer(ctx context.Context, f *Filter) error {
	if f.PayerID == uuid.Nil {
		return nil
	}
	found, err := s.directory.InsurancesOf(ctx, f.PayerID)
	f.insurances = append([]uuid.UUID{}, found...) // never nil: a payer without insurances has no authorizations
	return err
}

// Reservations returns an authorization's reservations with an id after the given one, sorted by
// id. If open is not nil, it returns only open or only closed ones. It also returns the time of
// that state. The error is [ErrNotFound].
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

// Entries returns an authorization's ledger entries after the given sequence number, oldest first.
// The error is [ErrNotFound].
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
