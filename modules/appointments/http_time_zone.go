package appointments

import (
	"context"
	"net/http"

	"omnirapeutic/modules/directory"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/permission"
)

func (s *RenewalService) timeZoneRoutes() []httpx.Route {
	return []httpx.Route{
		{
			Method: http.MethodPatch, Path: "/organizations/:id", Permission: permission.OrganizationChange,
			Name: "changeOrganization", Summary: "Change an organization",
			Description: "A merge patch: fields that are not given stay unchanged. A new time zone applies from the next " +
				"request on; stored dates do not change. If SCHEDULED appointments start on another date in it, " +
				"`serviceDates` decides about their service dates. MOVE: each gets its new date and is checked like a booking; " +
				"either all move or none. KEEP: they stay. Without it the answer is 409 with the list of these appointments.",
			Refusals: []*fault.Error{ErrServiceDatesRefused, ErrServiceDates, directory.ErrOrganizationNotFound},
			Endpoint: httpx.Handle(http.StatusOK, s.handleChangeOrganization),
		},
	}
}

// organizationChange changes the given fields of an organization.
type organizationChange struct {
	directory.OrganizationChange
	// The decision about appointments that start on another date in a new time zone. `MOVE`
	// gives them the new service date, `KEEP` leaves it unchanged.
	ServiceDates ServiceDatePolicy `json:"serviceDates" validate:"omitempty,oneof=MOVE KEEP"`
}

func (s *RenewalService) handleChangeOrganization(
	ctx context.Context, in organizationChange,
) (directory.OrganizationBody, error) {
	changed, err := s.ChangeOrganization(ctx, in.OrganizationChange, in.ServiceDates)
	return directory.OrganizationBodyOf(changed), err
}
