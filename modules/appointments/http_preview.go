package appointments

import (
	"context"
	"net/http"

	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
)

// PermissionPreview lets one ask what a booking would come to.
const PermissionPreview identity.Permission = "appointment:preview"

func (s *Service) previewRoutes() []httpx.Route {
	return []httpx.Route{{
		Method: http.MethodPost, Path: "/appointments/preview", Permission: PermissionPreview, Limited: appointmentOwners.Scopes(), ReadOnly: true,
		Name: "previewAppointment", Summary: "Tell what a booking would come to",
		Description: "The decision that `POST /appointments` would come to at this moment, for one appointment or with `recurrenceRule` for each of a series: the units, and all rules that stand against it. Nothing is written and nothing is held: somebody else may be faster.",
		Endpoint:    httpx.Handle(http.StatusOK, s.handlePreview),
	}}
}

// appointmentPreviewBody is what a booking would come to.
type appointmentPreviewBody struct {
	Bookable    bool         `json:"bookable"`    // nothing stands against any of it
	Occurrences []Occurrence `json:"occurrences"` // one, or those of the series: `appointmentId` is null
	Warnings    []Warning    `json:"warnings"`    // what should be known, and stands against nothing
	// Alternatives to one appointment that something stands against: the nearest times and the other authorizations that would do. Null otherwise.
	Alternatives *Alternatives `json:"alternatives"`
}

type previewAppointmentRequest struct {
	proposal
}

func (s *Service) handlePreview(ctx context.Context, in previewAppointmentRequest) (appointmentPreviewBody, error) {
	b, err := in.booking()
	if err != nil {
		return appointmentPreviewBody{}, err
	}
	p, err := s.Preview(ctx, b, in.RecurrenceRule)
	return appointmentPreviewBody{p.Bookable, p.Occurrences, append([]Warning{}, p.Warnings...), p.Alternatives}, err
}
