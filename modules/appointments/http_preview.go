package appointments

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/permission"
)

func (s *BookingService) previewRoutes() []httpx.Route {
	return []httpx.Route{{
		Method: http.MethodPost, Path: "/appointments/preview", Permission: permission.AppointmentPreview,
		RecordScopes: appointmentOwners.Scopes(), ReadOnly: true,
		Name: "previewAppointment", Summary: "Preview a booking or a new time",
		Description: "The decision that `POST /appointments` would make right now, for one appointment or, with `recurrenceRule`, for " +
			"each of a series: the units, and all rules that it would break. With `appointmentId` it is the decision on " +
			"changing that appointment to this time, staff and authorization; its own time and units are treated as free. " +
			"Nothing is written or reserved: another booking may come first.",
		Refusals: []*fault.Error{ErrNotFound},
		Endpoint: httpx.Handle(http.StatusOK, s.handlePreview),
	}}
}

// appointmentPreviewBody is the result of a preview.
type appointmentPreviewBody struct {
	// Whether all occurrences break no rule.
	Bookable bool `json:"bookable"`
	// The occurrences: one, or all of the series. `appointmentId` is null.
	Occurrences []Occurrence `json:"occurrences"`
	// The concerns about the booking that break no rule.
	Warnings []Warning `json:"warnings"`
	// The alternatives to a single appointment that breaks a rule: the nearest free times, and
	// other authorizations. Null otherwise.
	Alternatives *Alternatives `json:"alternatives"`
}

type previewAppointmentRequest struct {
	proposal
	// The appointment to change. Its patients and service cannot change.
	AppointmentID *uuid.UUID `json:"appointmentId"`
}

func (s *BookingService) handlePreview(ctx context.Context, in previewAppointmentRequest) (appointmentPreviewBody, error) {
	b, err := in.booking()
	if err != nil {
		return appointmentPreviewBody{}, err
	}
	p, err := s.Preview(ctx, Proposal{b, in.RecurrenceRule, in.AppointmentID})
	return appointmentPreviewBody{p.Bookable, p.Occurrences, append([]Warning{}, p.Warnings...), p.Alternatives}, err
}
