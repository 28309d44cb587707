package directory

import (
	"cmp"
	"context"
	"regexp"
	"slices"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/scheduling"
)

// ServiceCode is the code of a service, such as 97153. The set of codes is open: an organization
// enters the codes that its payers use.
type ServiceCode struct {
	Record
	// The code, such as 97153. The organization uses each code once.
	Code string `json:"code"`
	// A short label of the organization.
	Description string `json:"description"`
	// The kind of service. A patient has one appointment at a time of each kind.
	Lane scheduling.Lane `json:"lane"`
	// The length of a unit in minutes.
	UnitMinutes int `json:"unitMinutes"`
	// The qualifications of which the practitioner needs one, sorted. If it is empty, none is
	// needed.
	RequiredCredentials []string `json:"requiredCredentials" gorm:"-"`
	// Whether the code is still in use.
	Active bool `json:"active"`
}

// NewServiceCode is the request for a service code.
type NewServiceCode struct {
	// The code, such as 97153.
	Code string `json:"code" validate:"required"`
	// A short label of the organization.
	Description string `json:"description" validate:"required,max=200,text"`
	// The kind of service. The default is the usual one of the code, or `DIRECT`.
	Lane scheduling.Lane `json:"lane" validate:"omitempty,oneof=DIRECT SUPERVISION CAREGIVER ASSESSMENT"`
	// The length of a unit in minutes. The default is 15.
	UnitMinutes int `json:"unitMinutes" validate:"omitempty,min=1,max=1440"`
	// The qualifications of which the practitioner needs one.
	RequiredCredentials []string `json:"requiredCredentials" validate:"max=20"`
	// Whether the code is in use. The default is true.
	Active *bool `json:"active"`
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
	Lane patch.Field[scheduling.Lane] `json:"lane" validate:"omitempty,oneof=DIRECT SUPERVISION CAREGIVER ASSESSMENT"`
	// The length of a unit in minutes.
	UnitMinutes patch.Field[int] `json:"unitMinutes" validate:"omitempty,min=1,max=1440"`
	// The qualifications of which the practitioner needs one. They replace the previous ones.
	RequiredCredentials patch.Field[[]string] `json:"requiredCredentials" validate:"omitempty,max=20"`
	// Whether the code is in use.
	Active patch.Field[bool] `json:"active"`
}

// ServiceCodeFilter narrows a list of service codes. Zero values match every service code.
type ServiceCodeFilter struct {
	Page
	Code string
}

var serviceCodes = kind[ServiceCode, *ServiceCode]{
	name: "service-code", absent: ErrServiceCodeNotFound, blank: ServiceCode{Code: "0"}, load: loadRequiredCredentials,
	save:     saveRequiredCredentials,
	recorded: recordedFields{all: true},
}

// defaultUnitMinutes is the unit length of every ABA code since 2019.
const defaultUnitMinutes = 15

// lanes are the lanes of the CPT codes that are not [scheduling.Direct].
var lanes = map[string]scheduling.Lane{
	"97151": scheduling.Assessment, "97155": scheduling.Supervision, "97156": scheduling.Caregiver,
	"97157": scheduling.Caregiver,
}

// CreateServiceCode creates a service code. Errors: [fault.ErrInvalid], [ErrServiceCodeTaken].
func (s *Service) CreateServiceCode(ctx context.Context, n NewServiceCode) (ServiceCode, error) {
	return serviceCodes.create(ctx, s, ServiceCode{
		Code: n.Code, Description: n.Description,
		Lane:                cmp.Or(n.Lane, lanes[n.Code], scheduling.Direct),
		UnitMinutes:         cmp.Or(n.UnitMinutes, defaultUnitMinutes),
		RequiredCredentials: n.RequiredCredentials, Active: n.Active == nil || *n.Active,
	})
}

// ServiceCode returns a service code. The error is [ErrServiceCodeNotFound].
func (s *Service) ServiceCode(ctx context.Context, id uuid.UUID) (ServiceCode, error) {
	return serviceCodes.get(ctx, s, id)
}

// ServiceCodes lists service codes.
func (s *Service) ServiceCodes(ctx context.Context, f ServiceCodeFilter) ([]ServiceCode, error) {
	return serviceCodes.list(ctx, s, f.Page, equals("code", f.Code))
}

// ChangeServiceCode changes a service code. Errors: [patch.ErrStale], [ErrServiceCodeNotFound],
// [fault.ErrInvalid], [ErrServiceCodeTaken].
func (s *Service) ChangeServiceCode(ctx context.Context, c ServiceCodeChange) (ServiceCode, error) {
	return serviceCodes.change(ctx, s, c.ID, c.Match, func(code *ServiceCode) {
		c.Code.Apply(&code.Code)
		c.Description.Apply(&code.Description)
		c.Lane.Apply(&code.Lane)
		c.UnitMinutes.Apply(&code.UnitMinutes)
		c.RequiredCredentials.Apply(&code.RequiredCredentials)
		c.Active.Apply(&code.Active)
	})
}

// codeForm excludes lower-case letters, so that 0362T and 0362t are not two codes.
var codeForm = regexp.MustCompile(`^[A-Z0-9][A-Z0-9.-]{0,19}$`)

const codeFormMessage = "must be 1 to 20 capital letters, digits, dots or dashes"

func (c *ServiceCode) settle(calendar.Date) []fault.Field {
	var fieldErrors []fault.Field
	if !codeForm.MatchString(c.Code) {
		fieldErrors = append(fieldErrors, fault.Field{Field: "code", Code: "code", Message: codeFormMessage})
	}
	fieldErrors = append(fieldErrors, checkCodes(c.RequiredCredentials, "requiredCredentials[%d]")...)
	c.RequiredCredentials = sorted(c.RequiredCredentials)
	return fieldErrors
}

// sorted returns a sorted copy, never nil, so that equal lists compare as equal.
func sorted(list []string) []string {
	list = append([]string{}, list...)
	slices.Sort(list)
	return list
}
