package directory

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/permission"
	"omnirapeutic/platform/scheduling"
)

func (s *Service) serviceCodeRoutes() []httpx.Route {
	return []httpx.Route{
		route("createServiceCode", http.MethodPost, "/service-codes", permission.ServiceCodeCreate,
			handle(http.StatusCreated, s.CreateServiceCode, serviceCodeBodyOf),
			"Create a service code", "The code of a service, such as the CPT code 97153, with the length of its unit and "+
				"the credentials "+
				"of which the practitioner needs one.",
			ErrServiceCodeTaken),
		route("listServiceCodes", http.MethodGet, "/service-codes", permission.ServiceCodeRead,
			httpx.Handle(http.StatusOK, s.handleServiceCodes),
			"List service codes", "All service codes of the organization, or the one with the given code."),
		route("getServiceCode", http.MethodGet, "/service-codes/:id", permission.ServiceCodeRead,
			getRoute(s.ServiceCode, serviceCodeBodyOf),
			"Get a service code", "One service code.", ErrServiceCodeNotFound),
		route("changeServiceCode", http.MethodPatch, "/service-codes/:id", permission.ServiceCodeChange,
			handle(http.StatusOK, s.ChangeServiceCode, serviceCodeBodyOf),
			"Change a service code", "A merge patch: fields that are not given stay unchanged. Required credentials are "+
				"replaced as a whole.",
			ErrServiceCodeNotFound, ErrServiceCodeTaken),
	}
}

// NoteRequirements are the requirements of a service for the notes of its sessions.
type NoteRequirements struct {
	// The minimum number of characters of the narrative and all sections together. The default is 1.
	MinLength int `json:"minLength" validate:"omitempty,min=0,max=20000"`
	// The sections that must have a text.
	Sections []scheduling.NoteSection `json:"sections" validate:"max=4,dive,oneof=goals interventions response plan"`
	// The roles that must sign: a practitioner of the session, a supervisor, a caregiver.
	Signers []scheduling.Signer `json:"signers" validate:"max=3,dive,oneof=TECHNICIAN SUPERVISOR CAREGIVER"`
	// The number of hours after the session's end until the note is late. Null if it is never late.
	DueHours *int `json:"dueHours" validate:"omitempty,min=1,max=8760"`
	// The first service date of the requirements. Null if they have always applied. The default of a change is today,
	// in the organization's time zone.
	StartsOn calendar.Date `json:"startsOn" null:"true"`
}

func noteRequirementsOf(r *scheduling.NoteRule) *NoteRequirements {
	if r == nil {
		return nil
	}
	return new(NoteRequirements(*r))
}

func (b *NoteRequirements) rule() *scheduling.NoteRule {
	if b == nil {
		return nil
	}
	return new(scheduling.NoteRule(*b))
}

// NewServiceCode is the request for a service code.
type NewServiceCode struct {
	// The code, such as 97153.
	Code string `json:"code" validate:"required"`
	// A short label of the organization.
	Description string `json:"description" validate:"required,max=200,text"`
	// The kind of service. The default is the usual one of the code, or `DIRECT`.
	Track scheduling.Track `json:"lane" validate:"omitempty,oneof=DIRECT SUPERVISION CAREGIVER ASSESSMENT"`
	// The length of a unit in minutes. The default is 15.
	UnitMinutes int `json:"unitMinutes" validate:"omitempty,min=1,max=1440"`
	// The qualifications of which the practitioner needs one.
	RequiredCredentials []string `json:"requiredCredentials" validate:"max=20"`
	// The qualifications whose holders render the service only under supervision, such as RBT. Their claim
	// lines need a supervising practitioner. Default: none.
	SupervisedCredentials []string `json:"supervisedCredentials" validate:"max=20"`
	// Whether the code is in use. The default is true.
	Active *bool `json:"active"`
	// The requirements for the notes of its sessions. By default no note is required.
	Note *NoteRequirements `json:"note"`
}

// ServiceCodeChange changes the given fields of a service code. Required credentials are replaced
// as a whole.
type ServiceCodeChange struct {
	ID    uuid.UUID   `param:"id"`
	Match patch.Match `header:"If-Match"`
	// The code, such as 97153.
	Code patch.Field[string] `json:"code"`
	// A short label of the organization.
	Description patch.Field[string] `json:"description" validate:"omitempty,max=200,text"`
	// The kind of service.
	Track patch.Field[scheduling.Track] `json:"lane" validate:"omitempty,oneof=DIRECT SUPERVISION CAREGIVER ASSESSMENT"`
	// The length of a unit in minutes.
	UnitMinutes patch.Field[int] `json:"unitMinutes" validate:"omitempty,min=1,max=1440"`
	// The qualifications of which the practitioner needs one. They replace the previous ones.
	RequiredCredentials patch.Field[[]string] `json:"requiredCredentials" validate:"omitempty,max=20"`
	// The qualifications whose holders render the service only under supervision. They replace the previous
	// ones.
	SupervisedCredentials patch.Field[[]string] `json:"supervisedCredentials" validate:"omitempty,max=20"`
	// Whether the code is in use.
	Active patch.Field[bool] `json:"active"`
	// The requirements for the notes of its sessions from `startsOn` on. They replace the previous ones as a whole.
	// Null: no note is required from today on. Earlier sessions keep the requirements of their service date.
	Note patch.Clearable[NoteRequirements] `json:"note"`
}

// serviceCodeBody is the code of a service, such as 97153. The set of codes is open: an organization
// enters the codes that its payers use.
type serviceCodeBody struct {
	recordBody
	// The code, such as 97153. The organization uses each code once.
	Code string `json:"code"`
	// A short label of the organization.
	Description string `json:"description"`
	// The kind of service. A patient has one appointment at a time of each kind.
	Track scheduling.Track `json:"lane"`
	// The length of a unit in minutes.
	UnitMinutes int `json:"unitMinutes"`
	// The qualifications of which the practitioner needs one, sorted. If it is empty, none is
	// needed.
	RequiredCredentials []string `json:"requiredCredentials"`
	// The qualifications whose holders render the service only under supervision, sorted.
	SupervisedCredentials []string `json:"supervisedCredentials"`
	// Whether the code is still in use.
	Active bool `json:"active"`
	// The requirements for notes of today. Null if no note is required.
	Note *NoteRequirements `json:"note"`
	// All requirements for notes, sorted by first day. Each applies until the next one begins.
	NoteRules []datedNoteBody `json:"noteRules"`
}

// datedNoteBody has the requirements for notes from a service date on.
type datedNoteBody struct {
	// The first service date. 0001-01-01 means that they have always applied.
	StartsOn calendar.Date     `json:"startsOn"`
	Note     *NoteRequirements `json:"note"` // The requirements. Null if no note is required.
}

// Location returns the path of the service code.
func (b serviceCodeBody) Location() string { return apiPath + "/service-codes/" + b.ID.String() }

func serviceCodeBodyOf(c ServiceCode) serviceCodeBody {
	return serviceCodeBody{
		recordBody(c.Record), c.Code, c.Description, c.Track, c.UnitMinutes, c.RequiredCredentials,
		c.SupervisedCredentials, c.Active, noteRequirementsOf(c.PresentNote),
		httpx.Bodies(c.noteRules(), func(r scheduling.DatedNoteRule) datedNoteBody {
			return datedNoteBody{r.StartsOn, noteRequirementsOf(r.Rule)}
		}),
	}
}

var serviceCodeList = listing[ServiceCode, serviceCodeBody]{
	orders: map[string]order[ServiceCode]{
		"code": {"code", "%s", func(c ServiceCode) string { return c.Code }},
	},
	idOf:   func(c ServiceCode) uuid.UUID { return c.ID },
	bodyOf: serviceCodeBodyOf,
}

type serviceCodesQuery struct {
	httpx.PageQuery
	Sort string `query:"sort" validate:"omitempty,oneof=createdAt -createdAt code -code"`
	// The code of the service.
	Code string `query:"code" validate:"omitempty,max=20"`
}

func (s *Service) handleServiceCodes(
	ctx context.Context, in serviceCodesQuery,
) (httpx.Page[serviceCodeBody], error) {
	return serviceCodeList.page(ctx, in.PageQuery, in.Sort, func(ctx context.Context, p Page) ([]ServiceCode, error) {
		return s.ServiceCodes(ctx, ServiceCodeFilter{Page: p, Code: in.Code})
	})
}
