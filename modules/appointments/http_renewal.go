package appointments

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/authorization"
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/command"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/permission"
)

func (s *RenewalService) renewalRoutes() []httpx.Route {
	return []httpx.Route{
		{
			Method: http.MethodPatch, Path: "/authorizations/:id", Permission: permission.AuthorizationChange,
			Name: "changeAuthorization", Summary: "Change an authorization",
			Description: "A merge patch: omitted fields stay unchanged, and `null` clears an optional field. A new `totalUnits` is written " +
				"to the ledger with the `reason`, and also needs the permission `authorization:adjust`. It cannot be less than the used " +
				"and scheduled units. A change that would strand bookings is refused unless `strandedBookings` is given. `CANCEL` " +
				"cancels them and needs `appointment:cancel`. `MOVE` moves them to `moveToAuthorizationId` and needs " +
				"`appointment:reschedule`. Both happen in the same transaction as the change. `KEEP` leaves the bookings on an " +
				"authorization that is cancelled; they can still be cancelled, moved and completed. `POST /authorizations/{id}/impact` " +
				"lists them in advance.",
			Refusals: []*fault.Error{
				authorization.ErrNotFound, authorization.ErrTotalBelowBooked, authorization.ErrTransition,
				authorization.ErrReservationsOutsideDates, ErrBookingsStranded, ErrMove, ErrGroup,
			},
			Endpoint: httpx.Handle(http.StatusOK, s.handleChangeAuthorization),
		},
		{
			Method: http.MethodPost, Path: "/authorizations/:id/impact", Permission: permission.AuthorizationRead,
			RecordScopes: authorization.Scopes(), ReadOnly: true, Reads: authorization.Subject,
			Name: "previewAuthorizationChange", Summary: "List the bookings that a change would strand",
			Description: "Lists the SCHEDULED appointments that a change of the dates, the total or the status would strand: appointments " +
				"outside the new dates; all appointments from today on, if the authorization is cancelled; and, if the total is too " +
				"low, the latest appointments until the others fit. Nothing is written. Use `strandedBookings` in the change to cancel, " +
				"move or keep them.",
			Refusals: []*fault.Error{authorization.ErrNotFound},
			Endpoint: httpx.Handle(http.StatusOK, s.handleImpact),
		},
		{
			Method: http.MethodPost, Path: "/authorizations/:id/move-bookings", Permission: permission.AppointmentReschedule,
			Name: "moveBookings", Summary: "Move bookings to another authorization",
			Description: "For a renewal. Every SCHEDULED appointment on this authorization from the day `from` on (default: today) releases " +
				"its units here and reserves them on the other authorization of the same patient and service: all in one " +
				"transaction, or none. Time and staff stay. Each appointment is checked like a new booking: against the dates, the " +
				"state, the units and the caps of the other authorization, its payer's rounding, and the credentials, the state and " +
				"the other appointments of its participants. Of a group appointment only this patient's part moves. Without " +
				"appointments to move, nothing changes.",
			Refusals: []*fault.Error{authorization.ErrNotFound, ErrMove},
			Endpoint: httpx.Handle(http.StatusOK, s.handleMove),
		},
		{
			Method: http.MethodPost, Path: "/authorizations/:id/move-bookings/preview",
			Permission: permission.AppointmentPreview,
			ReadOnly:   true, Reads: subjectAppointment,
			Name: "previewMoveBookings", Summary: "Preview moving bookings",
			Description: "Returns the decision that `POST /authorizations/{id}/move-bookings` would make right now, for each booking. " +
				"Nothing is written or reserved.",
			Refusals: []*fault.Error{authorization.ErrNotFound},
			Endpoint: httpx.Handle(http.StatusOK, s.handlePreviewMove),
		},
	}
}

type changeAuthorizationRequest struct {
	authorization.ChangeRequest
	// The way to handle bookings that the change would strand. Without it, such a change is
	// refused.
	StrandedBookings Policy `json:"strandedBookings" validate:"omitempty,oneof=CANCEL MOVE KEEP"`
	// The authorization to which `MOVE` moves the bookings.
	MoveToAuthorizationID *uuid.UUID `json:"moveToAuthorizationId"`
}

func (s *RenewalService) handleChangeAuthorization(ctx context.Context, in changeAuthorizationRequest) (authorization.Body, error) {
	v, err := s.ChangeAuthorization(ctx, in.ID, AuthorizationChange{
		Change: in.Change(), Stranded: in.StrandedBookings, MoveTo: in.MoveToAuthorizationID,
	})
	return authorization.BodyOf(v), err
}

type impactRequest struct {
	byID
	// The new number of authorized units.
	TotalUnits patch.Field[int] `json:"totalUnits" validate:"omitempty,min=0,max=10000000"`
	// The new first day.
	StartDate patch.Field[calendar.Date] `json:"startDate"`
	// The new last day.
	EndDate patch.Field[calendar.Date] `json:"endDate"`
	// The new status.
	Status patch.Field[authorization.Status] `json:"status" validate:"omitempty,oneof=PENDING ACTIVE CANCELLED"`
}

// strandedBookingBody is an appointment that the authorization would no longer cover.
type strandedBookingBody struct {
	AppointmentID uuid.UUID     `json:"appointmentId"`
	StartTime     time.Time     `json:"startTime"`
	EndTime       time.Time     `json:"endTime"`
	ServiceDate   calendar.Date `json:"serviceDate"`
	// The number of units that the booking holds on the authorization.
	Units           int         `json:"units"`
	PractitionerIDs []uuid.UUID `json:"practitionerIds"`
	// The reason why the authorization would no longer cover the booking.
	Cause Cause `json:"cause"`
}

// impactBody is the effect of a change on booked appointments.
type impactBody struct {
	Bookings   []strandedBookingBody `json:"bookings"`   // The stranded bookings, sorted by start.
	Units      int                   `json:"units"`      // The number of units that the stranded bookings hold.
	TotalUnits int                   `json:"totalUnits"` // The number of authorized units after the change.
	UsedUnits  int                   `json:"usedUnits"`  // The number of used units before the change.
	// The number of scheduled units before the change, including the stranded bookings.
	ScheduledUnits int `json:"scheduledUnits"`
	// The number of units that the total would lack even without the stranded bookings.
	MissingUnits int `json:"missingUnits"`
	// The number of reservations outside the dates without a SCHEDULED appointment. Settle
	// these separately.
	OtherReservations int `json:"otherReservations"`
}

func (s *RenewalService) handleImpact(ctx context.Context, in impactRequest) (impactBody, error) {
	i, err := s.Impact(ctx, in.ID, authorization.Change{
		TotalUnits: in.TotalUnits, StartDate: in.StartDate, EndDate: in.EndDate, Status: in.Status,
	})
	b := impactBody{
		Bookings: i.bookings(), Units: i.Units, TotalUnits: i.Total, UsedUnits: i.Used, ScheduledUnits: i.Scheduled,
		MissingUnits: i.MissingUnits, OtherReservations: i.OtherOutside,
	}
	return b, err
}

// transferBody selects the bookings to move.
type transferBody struct {
	// The authorization to which the bookings move.
	ToAuthorizationID uuid.UUID `json:"toAuthorizationId" validate:"required"`
	// The first service date to move, which may be in the past. The default is today.
	From calendar.Date `json:"from"`
}

func (b transferBody) transfer(from uuid.UUID) Transfer {
	return Transfer{From: from, To: b.ToAuthorizationID, Since: b.From}
}

type moveBookingsRequest struct {
	byID
	command.Keyed
	transferBody
	// The reason, which is stored in the ledgers of both authorizations.
	Reason *string `json:"reason" validate:"omitempty,min=1,max=500,text"`
}

// movedBody has the moved bookings.
type movedBody struct {
	command.Replayed `json:"-"`

	AuthorizationID   uuid.UUID `json:"authorizationId"`
	ToAuthorizationID uuid.UUID `json:"toAuthorizationId"` // The authorization to which the bookings moved.
	Moved             int       `json:"moved"`             // The number of moved bookings.
	// The number of units that they hold on the other authorization.
	Units       int          `json:"units"`
	Occurrences []Occurrence `json:"occurrences"` // The moved bookings, sorted by start.
}

func (s *RenewalService) handleMove(ctx context.Context, in moveBookingsRequest) (movedBody, error) {
	m, err := s.MoveBookings(ctx, in.transfer(in.ID), in.Reason, in.Key)
	b := movedBody{
		AuthorizationID: in.ID, ToAuthorizationID: in.ToAuthorizationID, Moved: len(m.Occurrences),
		Occurrences: append([]Occurrence{}, m.Occurrences...), Replayed: command.Replayed(m.Replayed),
	}
	for _, o := range m.Occurrences {
		b.Units += o.Units
	}
	return b, err
}

type previewMoveRequest struct {
	byID
	transferBody
}

// movePreviewBody is the result of a preview.
type movePreviewBody struct {
	Movable     bool         `json:"movable"`     // Whether all bookings break no rule.
	Occurrences []Occurrence `json:"occurrences"` // The bookings, sorted by start.
}

func (s *RenewalService) handlePreviewMove(ctx context.Context, in previewMoveRequest) (movePreviewBody, error) {
	m, err := s.PreviewMove(ctx, in.transfer(in.ID))
	b := movePreviewBody{Movable: true, Occurrences: append([]Occurrence{}, m.Occurrences...)}
	for _, o := range m.Occurrences {
		b.Movable = b.Movable && len(o.Reasons) == 0
	}
	return b, err
}
