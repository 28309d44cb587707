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

func (s *Service) insuranceRoutes() []httpx.Route {
	return []httpx.Route{
		route("createInsurance", http.MethodPost, "/insurances", permission.InsuranceCreate, httpx.Handle(http.StatusCreated, s.CreateInsurance),
			"Create a coverage", "An insurance is one patient's coverage by one payer, with the member number on the patient's card."),
		showing("insurance", route("listInsurances", http.MethodGet, "/insurances", permission.InsuranceRead,
			httpx.Handle(http.StatusOK, s.handleInsurances),
			"List coverages", "All coverages, or only the coverages of one patient or one payer.")),
		showing("insurance", route("getInsurance", http.MethodGet, "/insurances/:id", permission.InsuranceRead, getRoute(s.Insurance),
			"Get a coverage", "One coverage.", ErrInsuranceNotFound)),
		route("changeInsurance", http.MethodPatch, "/insurances/:id", permission.InsuranceChange,
			httpx.Handle(http.StatusOK, s.ChangeInsurance),
			"Change a coverage",
			"A merge patch: fields that are not given stay unchanged. Patient and payer cannot change; create another "+
				"coverage instead.",
			ErrInsuranceNotFound),
	}
}

// NewInsurance is the request for a coverage.
type NewInsurance struct {
	PatientID    uuid.UUID `json:"patientId" validate:"required"`
	PayerID      uuid.UUID `json:"payerId" validate:"required"`
	MemberNumber string    `json:"memberNumber" validate:"required,max=50,text"`
	// The first day of coverage.
	StartsOn calendar.Date `json:"startsOn" validate:"required"`
	// The last day of coverage. Null if no end is known.
	EndsOn calendar.Date `json:"endsOn"`
}

// InsuranceChange changes the given fields of a coverage. Patient and payer cannot change.
type InsuranceChange struct {
	ID           uuid.UUID           `param:"id"`
	Match        patch.Match         `header:"If-Match"`
	MemberNumber patch.Field[string] `json:"memberNumber" validate:"omitempty,max=50,text"`
	// The first day of coverage.
	StartsOn patch.Field[calendar.Date] `json:"startsOn"`
	// The last day of coverage. Null if no end is known.
	EndsOn patch.Clearable[calendar.Date] `json:"endsOn"`
}

// Location returns the path of the coverage.
func (i Insurance) Location() string { return apiPath + "/insurances/" + i.ID.String() }

var insuranceOrders = map[string]order[Insurance]{
	"startsOn": {"starts_on", "CAST(%s AS date)", func(i Insurance) string { return i.StartsOn.String() }},
}

type insurancesQuery struct {
	httpx.PageQuery
	Sort      string    `query:"sort" validate:"omitempty,oneof=createdAt -createdAt startsOn -startsOn"`
	PatientID uuid.UUID `query:"patientId"`
	PayerID   uuid.UUID `query:"payerId"`
}

func (s *Service) handleInsurances(ctx context.Context, in insurancesQuery) (httpx.Page[Insurance], error) {
	page, err := pageOf(in.PageQuery, in.Sort, insuranceOrders, func(i Insurance) uuid.UUID { return i.ID },
		func(p Page) ([]Insurance, error) {
			return s.Insurances(ctx, InsuranceFilter{Page: p, PatientID: in.PatientID, PayerID: in.PayerID})
		})
	insurances.show(ctx, page.Data...)
	return page, err
}
