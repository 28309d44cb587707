package authorization

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/permission"
)

// Scopes returns the scopes, other than the organization's, in which authorizations can be read.
func Scopes() identity.Scope { return owners.Scopes() }

// Routes returns the operations of this module's API.
func (s *Service) Routes() []httpx.Route {
	return slices.Concat([]httpx.Route{
		{
			Method: http.MethodPost, Path: "/authorizations", Permission: permission.AuthorizationCreate,
			Name: "createAuthorization", Summary: "Create an authorization",
			Description: "Records a payer's grant: a number of units of one service for one patient between two dates, both included. Caps " +
				"can limit the units per day, week or month. Use PENDING until the payer has decided. The default is ACTIVE.",
			Endpoint: httpx.Handle(http.StatusCreated, s.handleCreate),
		},
		{
			Method: http.MethodGet, Path: "/authorizations", Permission: permission.AuthorizationRead, RecordScopes: owners.Scopes(),
			Name: "listAuthorizations", Summary: "List authorizations",
			Description: "Returns authorizations with their current balances, in the order of creation unless `sort` is given. The status " +
				"is computed: an ACTIVE authorization has begun, has not ended and has units left.",
			Reads:    "authorization",
			Endpoint: httpx.Handle(http.StatusOK, s.handleList),
		},
		{
			Method: http.MethodGet, Path: "/authorizations/:id",
			Permission: permission.AuthorizationRead, RecordScopes: owners.Scopes(),
			Name: "getAuthorization", Summary: "Get an authorization",
			Description: "Returns one authorization with its current balance. Units of expired holds count as available.",
			Refusals:    []*fault.Error{ErrNotFound},
			Reads:       "authorization",
			Endpoint:    httpx.Handle(http.StatusOK, s.handleGet),
		},
		{
			Method: http.MethodDelete, Path: "/authorizations/:id", Permission: permission.AuthorizationDelete,
			Name: "deleteAuthorization", Summary: "Delete an unused authorization",
			Description: "Deletes an authorization that was entered by mistake. An authorization with reservations or entries cannot be " +
				"deleted: cancel it instead.",
			Refusals: []*fault.Error{ErrNotFound, ErrHasHistory},
			Endpoint: httpx.Handle(http.StatusNoContent, s.handleDelete),
		},
	}, s.unitRoutes(), s.reportRoutes(), s.alertRoutes())
}

// Body is an authorization in API responses.
type Body struct {
	ID             uuid.UUID     `json:"id"`
	OrganizationID uuid.UUID     `json:"organizationId"`
	PatientID      uuid.UUID     `json:"patientId"`
	InsuranceID    *uuid.UUID    `json:"insuranceId"`
	ServiceCodeID  uuid.UUID     `json:"serviceCodeId"`
	AuthNumber     *string       `json:"authNumber"`
	TotalUnits     int           `json:"totalUnits"`
	UsedUnits      int           `json:"usedUnits"`
	ScheduledUnits int           `json:"scheduledUnits"`
	AvailableUnits int           `json:"availableUnits"`
	StartDate      calendar.Date `json:"startDate"`
	EndDate        calendar.Date `json:"endDate"`
	Status         Status        `json:"status"`
	Caps           []capBody     `json:"caps"`
	Notes          *string       `json:"notes" needs:"authorization:read-notes"`
	Version        int           `json:"version"`
	CreatedAt      time.Time     `json:"createdAt"`
	UpdatedAt      time.Time     `json:"updatedAt"`
}

// Location returns the path of the authorization.
func (b Body) Location() string { return "/api/v1/authorizations/" + b.ID.String() }

// Revision returns the version, which the API sends as the ETag.
func (b Body) Revision() int { return b.Version }

// BodyOf returns the wire form of an authorization.
func BodyOf(v View) Body {
	return Body{
		ID: v.ID, OrganizationID: v.OrganizationID, PatientID: v.PatientID, InsuranceID: v.InsuranceID,
		ServiceCodeID: v.ServiceCodeID, AuthNumber: v.AuthNumber,
		TotalUnits: v.Total, UsedUnits: v.Used, ScheduledUnits: v.Scheduled, AvailableUnits: v.Available(),
		StartDate: v.StartDate, EndDate: v.EndDate, Status: v.Status, Caps: capBodiesOf(v.Caps), Notes: v.Notes,
		Version: v.Version, CreatedAt: v.CreatedAt, UpdatedAt: v.UpdatedAt,
	}
}

// capBody is a cap in API responses.
type capBody struct {
	Period Period `json:"period"`
	Units  int    `json:"units"`
}

func capBodiesOf(c Caps) []capBody {
	bodies := []capBody{}
	for _, each := range c.List() {
		bodies = append(bodies, capBody(each))
	}
	return bodies
}

// capRequest is a cap in API requests. Units is a pointer because a cap of 0 units differs from a
// missing field.
type capRequest struct {
	Period Period `json:"period" validate:"required,oneof=DAY WEEK MONTH TOTAL"`
	Units  *int   `json:"units" validate:"required,min=0,max=10000000"`
}

// capped has the list of caps of a request; null means an empty list.
type capped struct {
	Caps patch.Clearable[[]capRequest] `json:"caps" validate:"omitempty,max=4,dive"`
}

func (c capped) list() []Cap {
	if c.Caps.Value == nil {
		return nil
	}
	var list []Cap
	for _, each := range *c.Caps.Value {
		list = append(list, Cap{each.Period, *each.Units})
	}
	return list
}

func (c capped) change() patch.Clearable[[]Cap] {
	return patch.Clearable[[]Cap]{Given: c.Caps.Given, Value: new(c.list())}
}

type createAuthorizationRequest struct {
	capped
	PatientID     uuid.UUID     `json:"patientId" validate:"required"`
	ServiceCodeID uuid.UUID     `json:"serviceCodeId" validate:"required"`
	InsuranceID   *uuid.UUID    `json:"insuranceId"`
	AuthNumber    *string       `json:"authNumber" validate:"omitempty,min=1,max=50,text"`
	TotalUnits    *int          `json:"totalUnits" validate:"required,min=0,max=10000000"`
	StartDate     calendar.Date `json:"startDate" validate:"required"`
	EndDate       calendar.Date `json:"endDate" validate:"required"`
	Status        Status        `json:"status" validate:"omitempty,oneof=PENDING ACTIVE"`
	Notes         *string       `json:"notes" validate:"omitempty,max=4000"`
}

func (s *Service) handleCreate(ctx context.Context, in createAuthorizationRequest) (Body, error) {
	v, err := s.Create(ctx, NewAuthorization{
		PatientID: in.PatientID, ServiceCodeID: in.ServiceCodeID, InsuranceID: in.InsuranceID, AuthNumber: in.AuthNumber,
		TotalUnits: *in.TotalUnits, StartDate: in.StartDate, EndDate: in.EndDate, Status: in.Status, Caps: in.list(), Notes: in.Notes,
	})
	return BodyOf(v), err
}

type listRequest struct {
	httpx.PageQuery
	Sort          string    `query:"sort" validate:"omitempty,oneof=createdAt -createdAt startDate -startDate endDate -endDate"`
	PatientID     uuid.UUID `query:"patientId"`
	ServiceCodeID uuid.UUID `query:"serviceCodeId"`
	InsuranceID   uuid.UUID `query:"insuranceId"`
	Status        []string  `query:"status" validate:"dive,oneof=PENDING ACTIVE CANCELLED UPCOMING EXPIRED EXHAUSTED"`
}

func (s *Service) handleList(ctx context.Context, in listRequest) (httpx.Page[Body], error) {
	f := Filter{
		PatientID: in.PatientID, ServiceCodeID: in.ServiceCodeID, InsuranceID: in.InsuranceID,
	}
	order, positionOf := sortedBy(in.Sort)
	f.Page = order
	f.Page.Limit = in.Size() + 1
	for _, status := range in.Status {
		f.Statuses = append(f.Statuses, Status(status))
	}
	if err := in.DecodeCursor(&f.Page.After); err != nil {
		return httpx.Page[Body]{}, err
	}
	views, err := s.List(ctx, f)
	page := httpx.PageOf(in.PageQuery, views, BodyOf, positionOf)
	return shown(ctx, page, func(b Body) (uuid.UUID, uuid.UUID) { return b.ID, b.PatientID }), err
}

// shown records each authorization of the page as read by the caller, for the audit trail, and
// returns the page.
func shown[B any](ctx context.Context, page httpx.Page[B], of func(B) (authorization, patient uuid.UUID)) httpx.Page[B] {
	for _, body := range page.Data {
		authorization, patient := of(body)
		show(ctx, authorization, patient)
	}
	return page
}

// dates has the columns by which authorizations can be sorted. Sorting by createdAt uses the id,
// whose order is the same.
var dates = map[string]struct {
	column string
	value  func(View) calendar.Date
}{
	"startDate": {"start_date", func(v View) calendar.Date { return v.StartDate }},
	"endDate":   {"end_date", func(v View) calendar.Date { return v.EndDate }},
}

// sortedBy returns the keyset of a sort parameter, and a function that returns the cursor position
// of a row.
func sortedBy(sort string) (db.Keyset, func(View) any) {
	name, descending := strings.CutPrefix(sort, "-")
	by := dates[name]
	return db.Keyset{Column: by.column, Expression: "CAST(%s AS date)", Descending: descending}, func(v View) any {
		at := db.Position{ID: v.ID}
		if by.value != nil {
			at.Value = by.value(v).String()
		}
		return at
	}
}

type byID struct {
	ID uuid.UUID `param:"id"`
}

func (s *Service) handleGet(ctx context.Context, in byID) (Body, error) {
	v, err := s.Get(ctx, in.ID)
	return BodyOf(v), err
}

// matching is the header that makes a change conditional on a version.
type matching struct {
	IfMatch patch.Match `header:"If-Match"`
}

// ChangeRequest is the wire form of a [Change].
type ChangeRequest struct {
	byID
	matching
	capped
	InsuranceID patch.Clearable[uuid.UUID] `json:"insuranceId"`
	AuthNumber  patch.Clearable[string]    `json:"authNumber" validate:"omitempty,min=1,max=50,text"`
	TotalUnits  patch.Field[int]           `json:"totalUnits" validate:"omitempty,min=0,max=10000000"`
	StartDate   patch.Field[calendar.Date] `json:"startDate"`
	EndDate     patch.Field[calendar.Date] `json:"endDate"`
	Status      patch.Field[Status]        `json:"status" validate:"omitempty,oneof=PENDING ACTIVE CANCELLED"`
	Notes       patch.Clearable[string]    `json:"notes" validate:"omitempty,max=4000" needs:"authorization:read-notes"`
	// Stored in the audit trail, the ledger's entries and the appointments that the change cancels.
	Reason *string `json:"reason" validate:"omitempty,min=1,max=500,text"`
}

// Change returns the requested change.
func (r ChangeRequest) Change() Change {
	return Change{
		Match: r.IfMatch, InsuranceID: r.InsuranceID, AuthNumber: r.AuthNumber, TotalUnits: r.TotalUnits,
		StartDate: r.StartDate, EndDate: r.EndDate, Status: r.Status, Caps: r.change(), Notes: r.Notes, Reason: r.Reason,
	}
}

type deleteRequest struct {
	byID
	matching
}

func (s *Service) handleDelete(ctx context.Context, in deleteRequest) (httpx.None, error) {
	return httpx.None{}, s.Delete(ctx, in.ID, in.IfMatch)
}
