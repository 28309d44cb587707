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
			handle(http.StatusCreated, s.CreatePractitioner, practitionerBodyOf),
			"Create a practitioner", "A practitioner renders services. Credentials such as BCBA or RBT decide which, and "+
				"can expire. "+
				"The check digit of the NPI is validated.",
			ErrNPITaken),
		route("listPractitioners", http.MethodGet, "/practitioners", permission.PractitionerRead,
			httpx.Handle(http.StatusOK, s.handlePractitioners),
			"List practitioners", "All practitioners, in the order of their creation unless `sort` says otherwise."),
		route("getPractitioner", http.MethodGet, "/practitioners/:id", permission.PractitionerRead,
			getRoute(s.Practitioner, practitionerBodyOf),
			"Get a practitioner", "One practitioner with their credentials, including expired ones.", ErrPractitionerNotFound),
		route("changePractitioner", http.MethodPatch, "/practitioners/:id", permission.PractitionerChange,
			handle(http.StatusOK, s.ChangePractitioner, practitionerBodyOf),
			"Change a practitioner", "A merge patch: fields that are not given stay unchanged. Credentials are replaced as "+
				"a whole.",
			ErrPractitionerNotFound, ErrNPITaken),
	}
}

// NewPractitioner is the request for a practitioner.
type NewPractitioner struct {
	FirstName     string           `json:"firstName" validate:"required,max=100,text"`
	LastName      string           `json:"lastName" validate:"required,max=100,text"`
	LicenseNumber *string          `json:"licenseNumber" validate:"omitempty,max=50,text"`
	NPI           *string          `json:"npi"`
	Credentials   []CredentialBody `json:"credentials" validate:"max=20"` // The qualifications.
	// Whether the practitioner renders services. The default is `ACTIVE`.
	Status Status `json:"status" validate:"omitempty,oneof=ACTIVE INACTIVE"`
	// The code of the provider taxonomy, such as 103K00000X for a behavior analyst. Claims need it.
	TaxonomyCode *string `json:"taxonomyCode"`
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
	Credentials patch.Field[[]CredentialBody] `json:"credentials" validate:"omitempty,max=20"`
	// Whether the practitioner renders services.
	Status patch.Field[Status] `json:"status" validate:"omitempty,oneof=ACTIVE INACTIVE"`
	// The code of the provider taxonomy.
	TaxonomyCode patch.Clearable[string] `json:"taxonomyCode"`
}

// practitionerBody is a person who renders services.
type practitionerBody struct {
	recordBody
	FirstName     string           `json:"firstName"`
	LastName      string           `json:"lastName"`
	LicenseNumber *string          `json:"licenseNumber"`
	NPI           *string          `json:"npi"`
	Credentials   []CredentialBody `json:"credentials"` // The qualifications, sorted by code.
	Status        Status           `json:"status"`      // Whether the practitioner renders services.
	// The code of the provider taxonomy. Null if it is unknown.
	TaxonomyCode *string `json:"taxonomyCode"`
}

// Location returns the path of the practitioner.
func (b practitionerBody) Location() string { return apiPath + "/practitioners/" + b.ID.String() }

func practitionerBodyOf(p Practitioner) practitionerBody {
	return practitionerBody{
		recordBody(p.Record), p.FirstName, p.LastName, p.LicenseNumber, p.NPI,
		httpx.Bodies(p.Credentials, func(c Credential) CredentialBody { return CredentialBody(c) }), p.Status,
		p.TaxonomyCode,
	}
}

// CredentialBody is a qualification of a practitioner. In a request its code alone is accepted: "RBT"
// is {"code":"RBT"}.
type CredentialBody struct {
	// The code of the qualification, such as BCBA, BCaBA or RBT.
	Code      string        `json:"code"`
	ExpiresOn calendar.Date `json:"expiresOn" null:"true"` // The last valid day. Null if no end is known.
}

func credentialsOf(bodies []CredentialBody) []Credential {
	credentials := make([]Credential, len(bodies))
	for i, b := range bodies {
		credentials[i] = Credential(b)
	}
	return credentials
}

// SchemaOfRequest returns the JSON Schema of a credential in requests.
func (CredentialBody) SchemaOfRequest() string {
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
func (c *CredentialBody) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		*c = CredentialBody{}
		return json.Unmarshal(b, &c.Code)
	}
	type plain CredentialBody
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.DisallowUnknownFields()
	err := d.Decode((*plain)(c))
	if err != nil && !errors.Is(err, calendar.ErrDate) {
		return errCredential
	}
	return err
}

var practitionerList = listing[Practitioner, practitionerBody]{
	orders: map[string]order[Practitioner]{
		"lastName": {"last_name", "lower(%s)", func(p Practitioner) string { return p.LastName }},
	},
	idOf:   func(p Practitioner) uuid.UUID { return p.ID },
	bodyOf: practitionerBodyOf,
}

type practitionersQuery struct {
	httpx.PageQuery
	Sort string `query:"sort" validate:"omitempty,oneof=createdAt -createdAt lastName -lastName"`
	// The status of the practitioners.
	Status Status `query:"status" validate:"omitempty,oneof=ACTIVE INACTIVE"`
}

func (s *Service) handlePractitioners(
	ctx context.Context, in practitionersQuery,
) (httpx.Page[practitionerBody], error) {
	return practitionerList.page(ctx, in.PageQuery, in.Sort, func(ctx context.Context, p Page) ([]Practitioner, error) {
		return s.Practitioners(ctx, PractitionerFilter{Page: p, Status: in.Status})
	})
}
