package directory

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/permission"
)

func (s *Service) organizationRoutes() []httpx.Route {
	return []httpx.Route{
		route("createOrganization", http.MethodPost, "/organizations", permission.OrganizationCreate,
			handle(http.StatusCreated, s.CreateOrganization, OrganizationBodyOf),
			"Create an organization", "An organization is a practice. All other records belong to one, and are invisible to "+
				"others. "+
				"Its time zone decides when its days begin and end."),
		route("listOrganizations", http.MethodGet, "/organizations", permission.OrganizationRead,
			httpx.Handle(http.StatusOK, s.handleOrganizations),
			"List organizations", "The caller's own organization, or all of them for administrators of the installation."),
		route("getOrganization", http.MethodGet, "/organizations/:id", permission.OrganizationRead,
			getRoute(s.Organization, OrganizationBodyOf),
			"Get an organization", "Name, time zone and settings of an organization.", ErrOrganizationNotFound),
		route("switchOrganization", http.MethodPut, "/organizations/:id/disabled", permission.OrganizationDisable,
			handle(http.StatusOK, s.SetOrganizationDisabled, OrganizationBodyOf),
			"Disable or enable an organization", "`{\"disabled\": true}` immediately refuses all access to the "+
				"organization: access tokens, "+
				"API keys, sign-ins, refresh tokens, invitations and calendar links. Streams end, webhooks and reminders wait. "+
				"Nothing is deleted or changed: `false` restores the access. The caller's own organization cannot be disabled.",
			ErrOrganizationNotFound, ErrOwnOrganization),
	}
}

// NewOrganization is the request for an organization. The settings of its appointments and its
// service pairs start with their defaults.
type NewOrganization struct {
	Name     string `json:"name" validate:"required,max=100,text"` // The name of the practice.
	TimeZone string `json:"timeZone" validate:"required,max=100"`
}

// OrganizationChange changes the given fields of an organization. The module of appointments has its
// route, because a new time zone concerns their service dates.
type OrganizationChange struct {
	ID    uuid.UUID   `param:"id"`
	Match patch.Match `header:"If-Match"`
	// The name of the practice.
	Name     patch.Field[string] `json:"name" validate:"omitempty,max=100,text"`
	TimeZone patch.Field[string] `json:"timeZone" validate:"omitempty,max=100"`
	// The number of hours before the start from which a cancellation is late.
	LateCancelHours patch.Field[int] `json:"lateCancelHours" validate:"omitempty,min=0,max=720"`
	// Whether units stay used after a no-show, for payers that pay for it.
	NoShowConsumes patch.Field[bool] `json:"noShowConsumes"`
	// The number of minutes before its booked start from which an appointment can be started.
	EarlyStartMinutes patch.Field[int] `json:"earlyStartMinutes" validate:"omitempty,min=0,max=1440"`
	// The factor between actual and booked length above which a session must be confirmed.
	ConfirmLengthFactor patch.Field[float64] `json:"confirmLengthFactor" validate:"omitempty,min=1,max=100"`
}

// OrganizationDisabledChange disables or enables an organization.
type OrganizationDisabledChange struct {
	ID       uuid.UUID   `param:"id"`
	Match    patch.Match `header:"If-Match"`
	Disabled *bool       `json:"disabled" validate:"required"` // Whether the organization is disabled.
}

// OrganizationBody is a practice. All other records belong to one.
type OrganizationBody struct {
	ID       uuid.UUID `json:"id"`
	Name     string    `json:"name"` // The name of the practice.
	TimeZone string    `json:"timeZone"`
	// The number of hours before the start from which a cancellation is late.
	LateCancelHours int `json:"lateCancelHours"`
	// Whether units stay used after a no-show, for payers that pay for it.
	NoShowConsumes bool `json:"noShowConsumes"`
	// The number of minutes before its booked start from which an appointment can be started.
	EarlyStartMinutes int `json:"earlyStartMinutes"`
	// The factor between actual and booked length above which a session must be confirmed.
	ConfirmLengthFactor float64 `json:"confirmLengthFactor"`
	// Whether the organization is disabled. If so, its users, keys and links have no access.
	Disabled  bool      `json:"disabled"`
	Version   int       `json:"version"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
}

// Location returns the path of the organization.
func (b OrganizationBody) Location() string { return apiPath + "/organizations/" + b.ID.String() }

// Revision returns the version, which the API returns as ETag.
func (b OrganizationBody) Revision() int { return b.Version }

// OrganizationBodyOf returns the organization as in the API.
func OrganizationBodyOf(o Organization) OrganizationBody { return OrganizationBody(o) }

var organizationList = listing[Organization, OrganizationBody]{
	orders: map[string]order[Organization]{
		"name": {"name", "lower(%s)", func(o Organization) string { return o.Name }},
	},
	idOf:   func(o Organization) uuid.UUID { return o.ID },
	bodyOf: OrganizationBodyOf,
}

type organizationsQuery struct {
	httpx.PageQuery
	Sort string `query:"sort" validate:"omitempty,oneof=createdAt -createdAt name -name"`
}

func (s *Service) handleOrganizations(
	ctx context.Context, in organizationsQuery,
) (httpx.Page[OrganizationBody], error) {
	return organizationList.page(ctx, in.PageQuery, in.Sort, s.Organizations)
}
