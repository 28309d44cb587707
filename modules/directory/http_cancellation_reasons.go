package directory

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/permission"
)

func (s *Service) cancellationReasonRoutes() []httpx.Route {
	return []httpx.Route{
		route("createCancellationReason", http.MethodPost, "/cancellation-reasons", permission.CancellationReasonCreate,
			handle(http.StatusCreated, s.CreateCancellationReason, cancellationReasonBodyOf),
			"Create a cancellation reason", "An entry of the organization's list of reasons for cancellations. A new "+
				"organization starts with the usual reasons.",
			ErrCancellationReasonTaken),
		route("listCancellationReasons", http.MethodGet, "/cancellation-reasons", permission.CancellationReasonRead,
			httpx.Handle(http.StatusOK, s.handleCancellationReasons),
			"List cancellation reasons", "All reasons of the organization, or the reasons of one party."),
		route("getCancellationReason", http.MethodGet, "/cancellation-reasons/:id", permission.CancellationReasonRead,
			getRoute(s.CancellationReason, cancellationReasonBodyOf),
			"Get a cancellation reason", "One reason of the list.", ErrCancellationReasonNotFound),
		route("changeCancellationReason", http.MethodPatch, "/cancellation-reasons/:id",
			permission.CancellationReasonChange,
			handle(http.StatusOK, s.ChangeCancellationReason, cancellationReasonBodyOf),
			"Change a cancellation reason", "A merge patch: fields that are not given stay unchanged. The code cannot be "+
				"changed. Earlier cancellations keep their reason and party.",
			ErrCancellationReasonNotFound),
	}
}

// NewCancellationReason is the request for a cancellation reason.
type NewCancellationReason struct {
	// The code, in capital letters, such as PATIENT-ILL. It cannot be changed.
	Code string `json:"code" validate:"required,max=20"`
	Name string `json:"name" validate:"required,max=100,text"` // The name of the reason.
	// The usual party of cancellations with this reason.
	Party Party `json:"party" validate:"required,oneof=FAMILY STAFF CLINIC PAYER OTHER"`
	// Whether new cancellations can have this reason. The default is true.
	Active *bool `json:"active"`
}

// CancellationReasonChange changes the given fields of a cancellation reason.
type CancellationReasonChange struct {
	ID    uuid.UUID   `param:"id"`
	Match patch.Match `header:"If-Match"`
	// The name of the reason.
	Name patch.Field[string] `json:"name" validate:"omitempty,max=100,text"`
	// The usual party of cancellations with this reason.
	Party patch.Field[Party] `json:"party" validate:"omitempty,oneof=FAMILY STAFF CLINIC PAYER OTHER"`
	// Whether new cancellations can have this reason.
	Active patch.Field[bool] `json:"active"`
}

// cancellationReasonBody is an entry of the organization's list of reasons for cancellations.
type cancellationReasonBody struct {
	recordBody
	Code   string `json:"code"`   // The code, which cannot be changed.
	Name   string `json:"name"`   // The name of the reason.
	Party  Party  `json:"party"`  // The usual party of cancellations with this reason.
	Active bool   `json:"active"` // Whether new cancellations can have this reason.
}

// Location returns the path of the cancellation reason.
func (b cancellationReasonBody) Location() string {
	return apiPath + "/cancellation-reasons/" + b.ID.String()
}

func cancellationReasonBodyOf(r CancellationReason) cancellationReasonBody {
	return cancellationReasonBody{
		recordBody: recordBody(r.Record), Code: r.Code, Name: r.Name, Party: r.Party, Active: r.Active,
	}
}

var cancellationReasonList = listing[CancellationReason, cancellationReasonBody]{
	orders: map[string]order[CancellationReason]{
		"code": {"code", "%s", func(r CancellationReason) string { return r.Code }},
	},
	idOf:   func(r CancellationReason) uuid.UUID { return r.ID },
	bodyOf: cancellationReasonBodyOf,
}

type cancellationReasonsQuery struct {
	httpx.PageQuery
	Sort string `query:"sort" validate:"omitempty,oneof=createdAt -createdAt code -code"`
	// The usual party of the reasons.
	Party Party `query:"party" validate:"omitempty,oneof=FAMILY STAFF CLINIC PAYER OTHER"`
}

func (s *Service) handleCancellationReasons(
	ctx context.Context, in cancellationReasonsQuery,
) (httpx.Page[cancellationReasonBody], error) {
	return cancellationReasonList.page(ctx, in.PageQuery, in.Sort,
		func(ctx context.Context, p Page) ([]CancellationReason, error) {
			return s.CancellationReasons(ctx, CancellationReasonFilter{Page: p, Party: in.Party})
		})
}
