package authorization

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/command"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/permission"
)

func (s *UnitService) unitRoutes() []httpx.Route {
	return slices.Concat(s.operationRoutes(), s.ledgerRoutes(), s.bulkRoutes())
}

// operationRoutes are the routes of operations on units.
func (s *UnitService) operationRoutes() []httpx.Route {
	return []httpx.Route{
		{
			Method: http.MethodPost, Path: "/authorizations/:id/reserve",
			Permission: permission.AuthorizationReserve, RecordScopes: owners.Scopes(),
			Name: "reserveUnits", Summary: "Reserve units",
			Description: "Holds units, for example for an appointment, until they are consumed or released, or until " +
				"`expiresInSeconds` have passed. The response has the reservation and the new balance. If there are too few " +
				"units, the error reports the number available.",
			Refusals: []*fault.Error{
				ErrNotFound, ErrNotActive, ErrOutsideDates, ErrInsufficientUnits, ErrCapExceeded,
				ErrLedgerDamaged,
			},
			Endpoint: httpx.Handle(http.StatusCreated, s.handleReserve),
		},
		{
			Method: http.MethodPost, Path: "/authorizations/:id/release",
			Permission: permission.AuthorizationRelease, RecordScopes: owners.Scopes(),
			Name: "releaseUnits", Summary: "Release reserved units",
			Description: "Returns reserved units to the available units. With `reservationId`, it releases some or all units " +
				"that the reservation still holds. Without it, units are taken from the oldest open reservations without an " +
				"appointment. The authorization can have any status.",
			Refusals: []*fault.Error{
				ErrNotFound, ErrReservationNotFound, ErrReservationClosed, ErrInsufficientReserved,
				ErrBelongsToAppointment,
			},
			Endpoint: httpx.Handle(http.StatusOK, s.handleRelease),
		},
		{
			Method: http.MethodPost, Path: "/authorizations/:id/consume",
			Permission: permission.AuthorizationConsume, RecordScopes: owners.Scopes(),
			Name: "consumeUnits", Summary: "Consume units",
			Description: "Turns reserved units into used units after a service was rendered. This also works after the " +
				"authorization has ended, because documentation is often late. Units beyond the reservation are taken from the " +
				"available units. Units that are not available are not booked, and are reported as `missingUnits`.",
			Refusals: []*fault.Error{
				ErrNotFound, ErrReservationNotFound, ErrReservationClosed, ErrInsufficientUnits, ErrNotActive, ErrOutsideDates,
				ErrBelongsToAppointment,
			},
			Endpoint: httpx.Handle(http.StatusOK, s.handleConsume),
		},
		{
			Method: http.MethodPost, Path: "/authorizations/:id/preview",
			Permission: permission.AuthorizationPreview, RecordScopes: owners.Scopes(),
			Name: "previewOperation", Summary: "Preview an operation on units",
			Description: "Returns the decision that reserve, release or consume would make right now, and the balance " +
				"afterwards. Nothing is written or reserved: another operation may come first.",
			Refusals: []*fault.Error{ErrNotFound},
			ReadOnly: true,
			Reads:    "authorization",
			Endpoint: httpx.Handle(http.StatusOK, s.handlePreview),
		},
	}
}

// ledgerRoutes are the routes of reservations and entries.
func (s *UnitService) ledgerRoutes() []httpx.Route {
	return []httpx.Route{
		{
			Method: http.MethodGet, Path: "/authorizations/:id/reservations",
			Permission: permission.AuthorizationRead, RecordScopes: owners.Scopes(),
			Name: "listReservations", Summary: "List an authorization's reservations",
			Description: "Returns open and closed reservations, in the order of creation.",
			Refusals:    []*fault.Error{ErrNotFound},
			Reads:       "authorization",
			Eventual:    true, Endpoint: httpx.Handle(http.StatusOK, s.handleReservations),
		},
		{
			Method: http.MethodGet, Path: "/authorizations/:id/entries",
			Permission: permission.AuthorizationRead, RecordScopes: owners.Scopes(),
			Name: "listEntries", Summary: "List an authorization's unit ledger",
			Description: "Returns every movement of units with its user, time, kind and the counters after it. Each entry " +
				"carries the hash of the previous entry, so changes that bypass the program can be detected.",
			Refusals: []*fault.Error{ErrNotFound},
			Reads:    "authorization",
			Eventual: true, Endpoint: httpx.Handle(http.StatusOK, s.handleEntries),
		},
	}
}

// bulkRoutes are the routes of many operations at once.
func (s *UnitService) bulkRoutes() []httpx.Route {
	return []httpx.Route{
		{
			// Each operation is checked against the permission for its kind.
			Method: http.MethodPost, Path: "/units/bulk", Permission: httpx.SignedIn,
			Name: "bulkOperations", Summary: "Run many operations on units",
			Description: "Runs up to 200 operations in one transaction, each with its own result. Accepted operations take " +
				"effect even if others are refused. With `atomic`, either all take effect or none. Operations on one " +
				"authorization are decided in the given order. Each operation needs the permission for its kind.",
			Refusals: []*fault.Error{ErrBulkRefused, identity.ErrForbidden},
			Endpoint: httpx.Handle(http.StatusOK, s.handleBulk),
		},
	}
}

// reservationBody is a reservation in API responses.
type reservationBody struct {
	ID              uuid.UUID     `json:"id"`
	AuthorizationID uuid.UUID     `json:"authorizationId"`
	Units           int           `json:"units"`
	ConsumedUnits   int           `json:"consumedUnits"`
	ReleasedUnits   int           `json:"releasedUnits"`
	Open            bool          `json:"open"` // Whether some units are left and it has not expired.
	ServiceDate     calendar.Date `json:"serviceDate"`
	ExpiresAt       *time.Time    `json:"expiresAt"` // The end of the hold. Null if it does not expire.
	// The appointment that holds the units. Null if it belongs to none.
	AppointmentID *uuid.UUID `json:"appointmentId"`
	Reference     *string    `json:"reference"`
	CreatedAt     time.Time  `json:"createdAt"`
	UpdatedAt     time.Time  `json:"updatedAt"`
	reservationReferences
}

// reservationBodyOf returns the reservation as of the given time.
func reservationBodyOf(r Reservation, now time.Time) reservationBody {
	return reservationBody{
		ID: r.ID, AuthorizationID: r.AuthorizationID, Units: r.Units, ConsumedUnits: r.Consumed, ReleasedUnits: r.Released,
		Open: r.OpenAt(now), ServiceDate: r.ServiceDate, ExpiresAt: r.ExpiresAt, AppointmentID: r.AppointmentID,
		Reference: r.Reference, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
	}
}

// reservationBodiesOf returns the reservations of an outcome as they were right after the
// operation, so that a replayed response is identical.
func reservationBodiesOf(found []Reservation) []reservationBody {
	bodies := make([]reservationBody, len(found))
	for i, r := range found {
		bodies[i] = reservationBodyOf(r, r.UpdatedAt)
	}
	return bodies
}

type reserveRequest struct {
	byID
	command.Keyed
	Units            int           `json:"units" validate:"required,min=1,max=10000000"`
	Reference        *string       `json:"reference" validate:"omitempty,min=1,max=200,text"`
	ExpiresInSeconds *int          `json:"expiresInSeconds" validate:"omitempty,min=1,max=2592000"`
	ServiceDate      calendar.Date `json:"serviceDate"`
}

func (r reserveRequest) reservation() NewReservation {
	n := NewReservation{Units: r.Units, ServiceDate: r.ServiceDate, Reference: r.Reference}
	if r.ExpiresInSeconds != nil {
		n.HoldFor = time.Duration(*r.ExpiresInSeconds) * time.Second
	}
	return n
}

type reserveAnswer struct {
	command.Replayed `json:"-"`

	Reservation   reservationBody `json:"reservation"`   // The new reservation.
	Authorization Body            `json:"authorization"` // The authorization after the operation.
}

func (s *UnitService) handleReserve(ctx context.Context, in reserveRequest) (reserveAnswer, error) {
	outcome, err := s.Reserve(ctx, in.ID, in.reservation(), in.Key)
	if err != nil {
		return reserveAnswer{Replayed: command.Replayed(outcome.Replayed)}, err
	}
	return reserveAnswer{
		command.Replayed(outcome.Replayed), reservationBodiesOf(outcome.Reservations)[0], BodyOf(outcome.view()),
	}, nil
}

type releaseRequest struct {
	byID
	command.Keyed
	ReservationID *uuid.UUID `json:"reservationId"`
	Units         *int       `json:"units" validate:"required_without=ReservationID,omitempty,min=1,max=10000000"`
	Reason        *string    `json:"reason" validate:"omitempty,min=1,max=500,text"`
}

func (r releaseRequest) settlement() Settlement {
	n := Settlement{ReservationID: r.ReservationID, Reason: r.Reason}
	if r.Units != nil {
		n.Units = *r.Units
	}
	return n
}

type releaseAnswer struct {
	command.Replayed `json:"-"`

	Reservations  []reservationBody `json:"reservations"`  // The changed reservations.
	Authorization Body              `json:"authorization"` // The authorization after the operation.
}

func (s *UnitService) handleRelease(ctx context.Context, in releaseRequest) (releaseAnswer, error) {
	outcome, err := s.Release(ctx, in.ID, in.settlement(), in.Key)
	if err != nil {
		return releaseAnswer{Replayed: command.Replayed(outcome.Replayed)}, err
	}
	return releaseAnswer{
		command.Replayed(outcome.Replayed), reservationBodiesOf(outcome.Reservations),
		BodyOf(outcome.view()),
	}, nil
}

type consumeRequest struct {
	byID
	command.Keyed
	ReservationID *uuid.UUID    `json:"reservationId"`
	Units         *int          `json:"units" validate:"required_without=ReservationID,omitempty,min=1,max=10000000"`
	ServiceDate   calendar.Date `json:"serviceDate"`
	// The treatment of the rest of a named reservation.
	Remainder string  `json:"remainder" validate:"omitempty,oneof=release keep"`
	Reason    *string `json:"reason" validate:"omitempty,min=1,max=500,text"`
}

func (r consumeRequest) settlement() Settlement {
	n := releaseRequest{ReservationID: r.ReservationID, Units: r.Units, Reason: r.Reason}.settlement()
	n.ServiceDate = r.ServiceDate
	n.KeepRest = r.Remainder == "keep"
	return n
}

type consumeAnswer struct {
	command.Replayed `json:"-"`

	Reservations  []reservationBody `json:"reservations"`  // The changed reservations.
	Authorization Body              `json:"authorization"` // The authorization after the operation.
	ConsumedUnits int               `json:"consumedUnits"`
	// The number of worked units that are neither reserved nor available. They are not booked.
	MissingUnits int `json:"missingUnits"`
}

func (s *UnitService) handleConsume(ctx context.Context, in consumeRequest) (consumeAnswer, error) {
	outcome, err := s.Consume(ctx, in.ID, in.settlement(), in.Key)
	if err != nil {
		return consumeAnswer{Replayed: command.Replayed(outcome.Replayed)}, err
	}
	return consumeAnswer{
		command.Replayed(outcome.Replayed), reservationBodiesOf(outcome.Reservations), BodyOf(outcome.view()),
		outcome.Consumed, outcome.Missing,
	}, nil
}

type previewRequest struct {
	byID
	// The operation.
	Operation        EntryKind     `json:"operation" validate:"omitempty,oneof=reserve release consume"`
	ReservationID    *uuid.UUID    `json:"reservationId"`
	Units            *int          `json:"units" validate:"required_without=ReservationID,omitempty,min=1,max=10000000"`
	ServiceDate      calendar.Date `json:"serviceDate"`
	ExpiresInSeconds *int          `json:"expiresInSeconds" validate:"omitempty,min=1,max=2592000"`
	Remainder        string        `json:"remainder" validate:"omitempty,oneof=release keep"`
}

type previewAnswer struct {
	Allowed bool `json:"allowed"` // Whether the operation would be accepted.
	// The error that the operation would return. Null if it would be accepted.
	Refusal       *fault.Reason `json:"refusal"`
	Authorization Body          `json:"authorization"` // The authorization after the operation.
	ConsumedUnits int           `json:"consumedUnits"`
	MissingUnits  int           `json:"missingUnits"`
}

func (s *UnitService) handlePreview(ctx context.Context, in previewRequest) (previewAnswer, error) {
	outcome, err := s.previewOf(ctx, in)
	if err != nil {
		return previewAnswer{}, err
	}
	answer := previewAnswer{
		Allowed: outcome.Refusal == nil, Authorization: BodyOf(outcome.view()), ConsumedUnits: outcome.Consumed,
		MissingUnits: outcome.Missing,
	}
	if r := outcome.Refusal; r != nil {
		answer.Refusal = new(r.Reason())
	}
	return answer, nil
}

func (s *UnitService) previewOf(ctx context.Context, in previewRequest) (Outcome, error) {
	if in.Operation == "" || in.Operation == Reserve {
		if in.Units == nil {
			return Outcome{}, fault.InvalidFields(fault.Field{Field: "units", Code: "required", Message: "must be given"})
		}
		r := reserveRequest{Units: *in.Units, ServiceDate: in.ServiceDate, ExpiresInSeconds: in.ExpiresInSeconds}
		return s.PreviewReserve(ctx, in.ID, r.reservation())
	}
	c := consumeRequest{
		ReservationID: in.ReservationID, Units: in.Units, ServiceDate: in.ServiceDate, Remainder: in.Remainder,
	}
	return s.PreviewSettlement(ctx, in.Operation, in.ID, c.settlement())
}

type reservationsRequest struct {
	byID
	httpx.PageQuery
	Open *bool `query:"open"` // Whether the reservations are open.
}

func (s *UnitService) handleReservations(
	ctx context.Context, in reservationsRequest,
) (httpx.Page[reservationBody], error) {
	var after uuid.UUID
	if err := in.DecodeCursor(&after); err != nil {
		return httpx.Page[reservationBody]{}, err
	}
	found, at, err := s.Reservations(ctx, in.ID, in.Open, after, in.Size()+1)
	body := func(r Reservation) reservationBody { return reservationBodyOf(r, at) }
	return httpx.PageOf(in.PageQuery, found, body, func(r Reservation) any { return r.ID }), err
}

// entryBody is a ledger entry in API responses.
type entryBody struct {
	// The position in the ledger of the authorization.
	Sequence int64     `json:"sequence"`
	Kind     EntryKind `json:"kind"` // The kind of the movement.
	// The sequence number of the consumption that this entry takes back. Null unless `kind` is `reverse`.
	Corrects      *int64     `json:"corrects"`
	Units         int        `json:"units"`
	ReservationID *uuid.UUID `json:"reservationId"` // The reservation whose units moved.
	// The date of the service. Null if the entry is not about a service.
	ServiceDate calendar.Date `json:"serviceDate" null:"true"`
	OperationID uuid.UUID     `json:"operationId"`                             // The id of the command.
	ActorID     uuid.UUID     `json:"actorId"`                                 // The user or the API key that acted.
	RequestID   string        `json:"requestId"`                               // The id of the request.
	Reason      *string       `json:"reason" needs:"authorization:read-notes"` // The reason of the movement.
	// The number of authorized units after the movement.
	TotalUnitsAfter int `json:"totalUnitsAfter"`
	// The number of used units after the movement.
	UsedUnitsAfter int `json:"usedUnitsAfter"`
	// The number of scheduled units after the movement.
	ScheduledUnitsAfter int `json:"scheduledUnitsAfter"`
	// The number of available units after the movement.
	AvailableUnitsAfter int       `json:"availableUnitsAfter"`
	OccurredAt          time.Time `json:"occurredAt"`
	PreviousHash        string    `json:"previousHash"` // The hash of the previous entry.
	// The hash of this entry and all earlier ones.
	Hash string `json:"hash"`
}

func entryBodyOf(e Entry) entryBody {
	return entryBody{
		Sequence: e.Sequence, Kind: e.Kind, Corrects: e.Corrects, Units: e.Units, ReservationID: e.ReservationID, ServiceDate: e.ServiceDate,
		OperationID: e.OperationID, ActorID: e.ActorID, RequestID: e.RequestID, Reason: e.Reason,
		TotalUnitsAfter: e.TotalAfter, UsedUnitsAfter: e.UsedAfter, ScheduledUnitsAfter: e.ScheduledAfter,
		AvailableUnitsAfter: e.After().Available(), OccurredAt: e.OccurredAt,
		PreviousHash: e.PreviousHash.String(), Hash: e.Hash.String(),
	}
}

type entriesRequest struct {
	byID
	httpx.PageQuery
}

func (s *UnitService) handleEntries(ctx context.Context, in entriesRequest) (httpx.Page[entryBody], error) {
	var after int64
	if err := in.DecodeCursor(&after); err != nil {
		return httpx.Page[entryBody]{}, err
	}
	found, err := s.Entries(ctx, in.ID, after, in.Size()+1)
	return httpx.PageOf(in.PageQuery, found, entryBodyOf, func(e Entry) any { return e.Sequence }), err
}
