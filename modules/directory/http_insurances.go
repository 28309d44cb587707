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
		route("createInsurance", http.MethodPost, "/insurances", permission.InsuranceCreate,
			handle(http.StatusCreated, s.CreateInsurance, insuranceBodyOf),
			"Create a coverage", "An insurance is one patient's coverage by one payer, with the member number on the patient's card."),
		showing("insurance", route("listInsurances", http.MethodGet, "/insurances", permission.InsuranceRead,
			httpx.Handle(http.StatusOK, s.handleInsurances),
			"List coverages", "All coverages, or only the coverages of one patient or one payer.")),
		showing("insurance", route("getInsurance", http.MethodGet, "/insurances/:id", permission.InsuranceRead,
			getRoute(s.Insurance, insuranceBodyOf),
			"Get a coverage", "One coverage.", ErrInsuranceNotFound)),
		route("changeInsurance", http.MethodPatch, "/insurances/:id", permission.InsuranceChange,
			handle(http.StatusOK, s.ChangeInsurance, insuranceBodyOf),
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
	// The relationship of the patient to the subscriber. `SELF`: the patient is the subscriber. Claims need it.
	Relationship *Relationship `json:"relationship" validate:"omitempty,oneof=SELF SPOUSE CHILD OTHER"`
	// The first name of the subscriber, unless it is the patient.
	SubscriberFirstName *string `json:"subscriberFirstName" validate:"omitempty,max=100,text"`
	// The last name of the subscriber, unless it is the patient.
	SubscriberLastName *string `json:"subscriberLastName" validate:"omitempty,max=100,text"`
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
	// The relationship of the patient to the subscriber.
	Relationship patch.Clearable[Relationship] `json:"relationship" validate:"omitempty,oneof=SELF SPOUSE CHILD OTHER"`
	// The first name of the subscriber, unless it is the patient.
	SubscriberFirstName patch.Clearable[string] `json:"subscriberFirstName" validate:"omitempty,max=100,text"`
	// The last name of the subscriber, unless it is the patient.
	SubscriberLastName patch.Clearable[string] `json:"subscriberLastName" validate:"omitempty,max=100,text"`
}

// insuranceBody is a patient's coverage by a payer.
type insuranceBody struct {
	recordBody
	PatientID    uuid.UUID     `json:"patientId"`
	PayerID      uuid.UUID     `json:"payerId"`
	MemberNumber string        `json:"memberNumber"`
	StartsOn     calendar.Date `json:"startsOn"`           // The first day of coverage.
	EndsOn       calendar.Date `json:"endsOn" null:"true"` // The last day of coverage. Null if no end is known.
	// The relationship of the patient to the subscriber. Null if it is unknown.
	Relationship        *Relationship `json:"relationship"`
	SubscriberFirstName *string       `json:"subscriberFirstName"` // The first name of the subscriber.
	SubscriberLastName  *string       `json:"subscriberLastName"`  // The last name of the subscriber.
	insuranceReferences
}

// Location returns the path of the coverage.
func (b insuranceBody) Location() string { return apiPath + "/insurances/" + b.ID.String() }

func insuranceBodyOf(i Insurance) insuranceBody {
	return insuranceBody{
		recordBody(i.Record), i.PatientID, i.PayerID, i.MemberNumber, i.StartsOn, i.EndsOn, i.Relationship,
		i.SubscriberFirstName, i.SubscriberLastName,
		insuranceReferences{},
	}
}

var insuranceList = listing[Insurance, insuranceBody]{
	orders: map[string]order[Insurance]{
		"startsOn": {"starts_on", "CAST(%s AS date)", func(i Insurance) string { return i.StartsOn.String() }},
	},
	idOf:   func(i Insurance) uuid.UUID { return i.ID },
	bodyOf: insuranceBodyOf,
	show:   insurances.show,
}

type insurancesQuery struct {
	httpx.PageQuery
	Sort      string    `query:"sort" validate:"omitempty,oneof=createdAt -createdAt startsOn -startsOn"`
	PatientID uuid.UUID `query:"patientId"`
	PayerID   uuid.UUID `query:"payerId"`
}

func (s *Service) handleInsurances(ctx context.Context, in insurancesQuery) (httpx.Page[insuranceBody], error) {
	return insuranceList.page(ctx, in.PageQuery, in.Sort, func(ctx context.Context, p Page) ([]Insurance, error) {
		return s.Insurances(ctx, InsuranceFilter{Page: p, PatientID: in.PatientID, PayerID: in.PayerID})
	})
}
