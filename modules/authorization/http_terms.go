package authorization

import (
	"context"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/permission"
	"omnirapeutic/platform/scheduling"
)

func (s *TermsService) termsRoutes() []httpx.Route {
	return []httpx.Route{
		{
			Method: http.MethodPost, Path: "/authorizations", Permission: permission.AuthorizationCreate,
			Name: "createAuthorization", Summary: "Create an authorization",
			Description: "Records a payer's grant: a number of units of one service for one patient between two dates, both " +
				"included. Caps can limit the units per day, week or month. Use PENDING until the payer has decided. The default " +
				"is ACTIVE.",
			Endpoint: httpx.Handle(http.StatusCreated, s.handleCreate),
		},
		{
			Method: http.MethodGet, Path: "/authorizations", Permission: permission.AuthorizationRead,
			RecordScopes: owners.Scopes(),
			Name:         "listAuthorizations", Summary: "List authorizations",
			Description: "Returns authorizations with their current balances, in the order of creation unless `sort` is " +
				"given. The status is computed: an ACTIVE authorization has begun, has not ended and has units left.",
			Reads:    "authorization",
			Eventual: true, Endpoint: httpx.Handle(http.StatusOK, s.handleList),
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
			Description: "Deletes an authorization that was entered by mistake. An authorization with reservations or entries " +
				"cannot be deleted: cancel it instead.",
			Refusals: []*fault.Error{ErrNotFound, ErrHasHistory},
			Endpoint: httpx.Handle(http.StatusNoContent, s.handleDelete),
		},
		{
			Method: http.MethodGet, Path: "/authorizations/:id/available-units",
			Permission: permission.AuthorizationRead, RecordScopes: owners.Scopes(),
			Name: "getBalance", Summary: "Get an authorization's balance",
			Description: "Returns only the counters, for screens that refresh them often.",
			Refusals:    []*fault.Error{ErrNotFound},
			Reads:       "authorization",
			Endpoint:    httpx.Handle(http.StatusOK, s.handleAvailable),
		},
	}
}

type createAuthorizationRequest struct {
	capped
	PatientID     uuid.UUID  `json:"patientId" validate:"required"`
	ServiceCodeID uuid.UUID  `json:"serviceCodeId" validate:"required"`
	InsuranceID   *uuid.UUID `json:"insuranceId"`
	AuthNumber    *string    `json:"authNumber" validate:"omitempty,min=1,max=50,text"`
	// The modifiers of claim lines that the payer states, such as HM or U3. The default is none.
	Modifiers  []string      `json:"modifiers" validate:"omitempty,max=4,dive,len=2,alphanum,uppercase"`
	TotalUnits *int          `json:"totalUnits" validate:"required,min=0,max=10000000"`
	StartDate  calendar.Date `json:"startDate" validate:"required"`
	EndDate    calendar.Date `json:"endDate" validate:"required"`
	// The status of the authorization.
	Status Status `json:"status" validate:"omitempty,oneof=PENDING ACTIVE"`
	// The notes of the organization.
	Notes *string `json:"notes" validate:"omitempty,max=4000"`
}

func (s *TermsService) handleCreate(ctx context.Context, in createAuthorizationRequest) (Body, error) {
	v, err := s.Create(ctx, NewAuthorization{
		PatientID: in.PatientID, ServiceCodeID: in.ServiceCodeID, InsuranceID: in.InsuranceID, AuthNumber: in.AuthNumber,
		Modifiers:  scheduling.ModifiersOf(in.Modifiers),
		TotalUnits: *in.TotalUnits, StartDate: in.StartDate, EndDate: in.EndDate, Status: in.Status, Caps: in.list(),
		Notes: in.Notes,
	})
	return BodyOf(v), err
}

type listRequest struct {
	httpx.PageQuery
	Sort          string    `query:"sort" validate:"omitempty,oneof=createdAt -createdAt startDate -startDate endDate -endDate"`
	PatientID     uuid.UUID `query:"patientId"`
	ServiceCodeID uuid.UUID `query:"serviceCodeId"`
	InsuranceID   uuid.UUID `query:"insuranceId"`
	// The statuses of the authorizations.
	Status []string `query:"status" validate:"dive,oneof=PENDING ACTIVE CANCELLED UPCOMING EXPIRED EXHAUSTED"`
}

func (s *TermsService) handleList(ctx context.Context, in listRequest) (httpx.Page[Body], error) {
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

func (s *TermsService) handleGet(ctx context.Context, in byID) (Body, error) {
	v, err := s.Get(ctx, in.ID)
	return BodyOf(v), err
}

type deleteRequest struct {
	byID
	matching
}

func (s *TermsService) handleDelete(ctx context.Context, in deleteRequest) (httpx.None, error) {
	return httpx.None{}, s.Delete(ctx, in.ID, in.IfMatch)
}

type balanceBody struct {
	AvailableUnits int    `json:"availableUnits"`
	TotalUnits     int    `json:"totalUnits"`
	UsedUnits      int    `json:"usedUnits"`
	ScheduledUnits int    `json:"scheduledUnits"`
	Status         Status `json:"status"` // The status of the authorization.
}

func (s *TermsService) handleAvailable(ctx context.Context, in byID) (balanceBody, error) {
	v, err := s.Get(ctx, in.ID)
	return balanceBody{v.Available(), v.Total, v.Used, v.Scheduled, v.Status}, err
}
