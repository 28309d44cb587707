package directory

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/permission"
)

func (s *Service) rateRoutes() []httpx.Route {
	return []httpx.Route{
		route("createRate", http.MethodPost, "/rates", permission.PayerChange,
			handle(http.StatusCreated, s.CreateRate, rateBodyOf),
			"Create a rate", "The price of a unit of a service for a payer, from `startsOn` until the next rate begins. The "+
				"charge of a claim line is the rate of its service date, times its units.",
			ErrRateTaken),
		route("listRates", http.MethodGet, "/rates", permission.PayerRead, httpx.Handle(http.StatusOK, s.handleRates),
			"List rates", "All rates, or only the rates of one payer, in the order of their creation."),
		route("getRate", http.MethodGet, "/rates/:id", permission.PayerRead, getRoute(s.Rate, rateBodyOf),
			"Get a rate", "One rate.", ErrRateNotFound),
		route("changeRate", http.MethodPatch, "/rates/:id", permission.PayerChange,
			handle(http.StatusOK, s.ChangeRate, rateBodyOf),
			"Change a rate", "Changes the amount. Exported claim lines keep their charges. For a new price from a day on, "+
				"create another rate.",
			ErrRateNotFound),
	}
}

// NewRate is the request for a rate.
type NewRate struct {
	PayerID       uuid.UUID `json:"payerId" validate:"required"`
	ServiceCodeID uuid.UUID `json:"serviceCodeId" validate:"required"`
	// The first day of the rate.
	StartsOn calendar.Date `json:"startsOn" validate:"required"`
	// The price of a unit in US cents.
	CentsPerUnit int `json:"centsPerUnit" validate:"required,min=1,max=10000000"`
}

// RateChange changes the amount of a rate.
type RateChange struct {
	ID    uuid.UUID   `param:"id"`
	Match patch.Match `header:"If-Match"`
	// The price of a unit in US cents.
	CentsPerUnit patch.Field[int] `json:"centsPerUnit" validate:"omitempty,min=1,max=10000000"`
}

// rateBody is the price of a unit of a service for a payer.
type rateBody struct {
	recordBody
	PayerID       uuid.UUID     `json:"payerId"`
	ServiceCodeID uuid.UUID     `json:"serviceCodeId"`
	StartsOn      calendar.Date `json:"startsOn"`     // The first day of the rate.
	CentsPerUnit  int           `json:"centsPerUnit"` // The price of a unit in US cents.
	rateReferences
}

// Location returns the path of the rate.
func (b rateBody) Location() string { return apiPath + "/rates/" + b.ID.String() }

func rateBodyOf(r Rate) rateBody {
	return rateBody{recordBody(r.Record), r.PayerID, r.ServiceCodeID, r.StartsOn, r.CentsPerUnit, rateReferences{}}
}

var rateList = listing[Rate, rateBody]{idOf: func(r Rate) uuid.UUID { return r.ID }, bodyOf: rateBodyOf}

type ratesQuery struct {
	httpx.PageQuery
	PayerID uuid.UUID `query:"payerId"`
}

func (s *Service) handleRates(ctx context.Context, in ratesQuery) (httpx.Page[rateBody], error) {
	return rateList.page(ctx, in.PageQuery, "", func(ctx context.Context, p Page) ([]Rate, error) {
		return s.Rates(ctx, RateFilter{Page: p, PayerID: in.PayerID})
	})
}
