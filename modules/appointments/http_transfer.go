package appointments

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"omnirapeutic/modules/authorization"
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/command"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/permission"
)

func (s *Service) transferRoutes() []httpx.Route {
	return []httpx.Route{
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

// transferBody selects the bookings to move.
type transferBody struct {
	ToAuthorizationID uuid.UUID     `json:"toAuthorizationId" validate:"required"`
	From              calendar.Date `json:"from"` // the first service date, which may be in the past; default: today
}

func (b transferBody) transfer(from uuid.UUID) Transfer {
	return Transfer{From: from, To: b.ToAuthorizationID, Since: b.From}
}

type moveBookingsRequest struct {
	byID
	command.Keyed
	transferBody
	Reason *string `json:"reason" validate:"omitempty,min=1,max=500,text"` // stored in the ledgers of both authorizations
}

// movedBody has the moved bookings.
type movedBody struct {
	command.Replayed `json:"-"`

	AuthorizationID   uuid.UUID    `json:"authorizationId"`
	ToAuthorizationID uuid.UUID    `json:"toAuthorizationId"`
	Moved             int          `json:"moved"`       // the number of bookings
	Units             int          `json:"units"`       // held on the other authorization
	Occurrences       []Occurrence `json:"occurrences"` // sorted by start
}

func (s *Service) handleMove(ctx context.Context, in moveBookingsRequest) (movedBody, error) {
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
	Movable     bool         `json:"movable"`     // no booking breaks a rule
	Occurrences []Occurrence `json:"occurrences"` // sorted by start
}

func (s *Service) handlePreviewMove(ctx context.Context, in previewMoveRequest) (movePreviewBody, error) {
	m, err := s.PreviewMove(ctx, in.transfer(in.ID))
	b := movePreviewBody{Movable: true, Occurrences: append([]Occurrence{}, m.Occurrences...)}
	for _, o := range m.Occurrences {
		b.Movable = b.Movable && len(o.Reasons) == 0
	}
	return b, err
}
