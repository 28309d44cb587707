package directory

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/permission"
)

func (s *Service) practitionerRoutes() []httpx.Route {
	return []httpx.Route{
		route("createPractitioner", http.MethodPost, "/practitioners", permission.PractitionerCreate,
			httpx.Handle(http.StatusCreated, s.CreatePractitioner),
			"Create a practitioner", "A practitioner renders services. Credentials such as BCBA or RBT decide which, and "+
				"can expire. "+
				"The check digit of the NPI is validated.",
			ErrNPITaken),
		route("listPractitioners", http.MethodGet, "/practitioners", permission.PractitionerRead,
			httpx.Handle(http.StatusOK, s.handlePractitioners),
			"List practitioners", "All practitioners, in the order of their creation unless `sort` says otherwise."),
		route("getPractitioner", http.MethodGet, "/practitioners/:id", permission.PractitionerRead, getRoute(s.Practitioner),
			"Get a practitioner", "One practitioner with their credentials, including expired ones.", ErrPractitionerNotFound),
		route("changePractitioner", http.MethodPatch, "/practitioners/:id", permission.PractitionerChange,
			httpx.Handle(http.StatusOK, s.ChangePractitioner),
			"Change a practitioner", "A merge patch: fields that are not given stay unchanged. Credentials are replaced as "+
				"a whole.",
			ErrPractitionerNotFound, ErrNPITaken),
	}
}

// NewPractitioner is the request for a practitioner.
type NewPractitioner struct {
	FirstName     string       `json:"firstName" validate:"required,max=100,text"`
	LastName      string       `json:"lastName" validate:"required,max=100,text"`
	LicenseNumber *string      `json:"licenseNumber" validate:"omitempty,max=50,text"`
	NPI           *string      `json:"npi"`
	Credentials   []Credential `json:"credentials" validate:"max=20"` // The qualifications.
	// Whether the practitioner renders services. The default is `ACTIVE`.
	Status Status `json:"status" validate:"omitempty,oneof=ACTIVE INACTIVE"`
}

// PractitionerChange changes the given fields of a practitioner. Credentials are replaced as a
// whole.
type PractitionerChange struct {
	ID            uuid.UUID               `param:"id"`
	Match         patch.Match             `header:"If-Match"`
	FirstName     patch.Field[string]     `json:"firstName" validate:"omitempty,max=100,text"`
	LastName      patch.Field[string]     `json:"lastName" validate:"omitempty,max=100,text"`
	LicenseNumber patch.Clearable[string] `json:"licenseNumber" validate:"omitempty,max=50,text"`
	NPI           patch.Clearable[string] `json:"npi"`
	// The qualifications. They replace the previous ones.
	Credentials patch.Field[[]Credential] `json:"credentials" validate:"omitempty,max=20"`
	// Whether the practitioner renders services.
	Status patch.Field[Status] `json:"status" validate:"omitempty,oneof=ACTIVE INACTIVE"`
}

// Location returns the path of the practitioner.
func (p Practitioner) Location() string { return apiPath + "/practitioners/" + p.ID.String() }

// SchemaOfRequest returns the JSON Schema of a credential in requests.
func (Credential) SchemaOfRequest() string {
	return `{"description": "A credential, or only its code if it does not expire.", "oneOf": [
		{"type": "string", "minLength": 1, "maxLength": 20},
		{"type": "object", "properties": {
				"code": {"type": "string", "minLength": 1, "maxLength": 20},
				"expiresOn": {"type": ["string", "null"], "format": "date"}},
			"required": ["code"], "additionalProperties": false}]}`
}

const errCredential = fault.FormatError(`must be a code such as "BCBA", or an object of code and expiresOn`)

// UnmarshalJSON reads a credential, or only its code. The error is [calendar.ErrDate] or says
// what the value must be.
func (c *Credential) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		*c = Credential{}
		return json.Unmarshal(b, &c.Code)
	}
	type plain Credential
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.DisallowUnknownFields()
	err := d.Decode((*plain)(c))
	if err != nil && !errors.Is(err, calendar.ErrDate) {
		return errCredential
	}
	return err
}

var practitionerOrders = map[string]order[Practitioner]{
	"lastName": {"last_name", "lower(%s)", func(p Practitioner) string { return p.LastName }},
}

type practitionersQuery struct {
	httpx.PageQuery
	Sort string `query:"sort" validate:"omitempty,oneof=createdAt -createdAt lastName -lastName"`
	// The status of the practitioners.
	Status Status `query:"status" validate:"omitempty,oneof=ACTIVE INACTIVE"`
}

func (s *Service) handlePractitioners(ctx context.Context, in practitionersQuery) (httpx.Page[Practitioner], error) {
	return pageOf(in.PageQuery, in.Sort, practitionerOrders, func(p Practitioner) uuid.UUID { return p.ID },
		func(p Page) ([]Practitioner, error) {
			return s.Practitioners(ctx, PractitionerFilter{Page: p, Status: in.Status})
		})
}
