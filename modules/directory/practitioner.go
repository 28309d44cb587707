package directory

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/patch"
)

// Practitioner is a person who renders services.
type Practitioner struct {
	Record
	FirstName     string       `json:"firstName"`
	LastName      string       `json:"lastName"`
	LicenseNumber *string      `json:"licenseNumber"`
	NPI           *string      `json:"npi" gorm:"column:npi"`
	Credentials   []Credential `json:"credentials" gorm:"-"` // The qualifications, sorted by code.
	Status        Status       `json:"status"`               // Whether the practitioner renders services.
}

// Credential is a qualification of a practitioner. In a request its code alone is accepted: "RBT"
// is {"code":"RBT"}.
type Credential struct {
	// The code of the qualification, such as BCBA, BCaBA or RBT.
	Code      string        `json:"code"`
	ExpiresOn calendar.Date `json:"expiresOn" null:"true"` // The last valid day. Null if no end is known.
}

// SchemaOfRequest returns the JSON Schema of a credential in requests.
func (Credential) SchemaOfRequest() string {
	return `{"description": "A credential, or only its code if it does not expire.", "oneOf": [
		{"type": "string", "minLength": 1, "maxLength": 20},
		{"type": "object", "properties": {"code": {"type": "string", "minLength": 1, "maxLength": 20}, "expiresOn": {"type": ["string", "null"], "format": "date"}},
			"required": ["code"], "additionalProperties": false}]}`
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

// PractitionerFilter narrows a list of practitioners. Zero values match every practitioner.
type PractitionerFilter struct {
	Page
	Status Status
}

var practitioners = kind[Practitioner, *Practitioner]{
	name: "practitioner", absent: ErrPractitionerNotFound, owners: db.Owners{Practitioner: "practitioners.id = (%s)"},
	load: loadCredentials, save: saveCredentials,
	recorded: recordedFields{values: []string{"status", "credentials"}},
}

// CreatePractitioner creates a practitioner. Errors: [fault.ErrInvalid], [ErrNPITaken].
func (s *Service) CreatePractitioner(ctx context.Context, n NewPractitioner) (Practitioner, error) {
	return practitioners.create(ctx, s, Practitioner{
		FirstName: n.FirstName, LastName: n.LastName, LicenseNumber: n.LicenseNumber, NPI: n.NPI,
		Credentials: n.Credentials, Status: cmp.Or(n.Status, Active),
	})
}

// Practitioner returns a practitioner. The error is [ErrPractitionerNotFound].
func (s *Service) Practitioner(ctx context.Context, id uuid.UUID) (Practitioner, error) {
	return practitioners.get(ctx, s, id)
}

// Practitioners lists practitioners.
func (s *Service) Practitioners(ctx context.Context, f PractitionerFilter) ([]Practitioner, error) {
	return practitioners.list(ctx, s, f.Page, equals("status", f.Status))
}

// ChangePractitioner changes a practitioner. Errors: [patch.ErrStale], [ErrPractitionerNotFound],
// [fault.ErrInvalid], [ErrNPITaken].
func (s *Service) ChangePractitioner(ctx context.Context, c PractitionerChange) (Practitioner, error) {
	return practitioners.change(ctx, s, c.ID, c.Match, func(p *Practitioner) {
		c.FirstName.Apply(&p.FirstName)
		c.LastName.Apply(&p.LastName)
		c.LicenseNumber.Apply(&p.LicenseNumber)
		c.NPI.Apply(&p.NPI)
		c.Credentials.Apply(&p.Credentials)
		c.Status.Apply(&p.Status)
	})
}

func (p *Practitioner) settle(calendar.Date) []fault.Field {
	var fieldErrors []fault.Field
	if p.NPI != nil && !ValidNPI(*p.NPI) {
		fieldErrors = append(fieldErrors,
			fault.Field{Field: "npi", Code: "npi", Message: "must be an NPI: ten digits with a valid check digit"})
	}
	codes := make([]string, len(p.Credentials))
	for i, c := range p.Credentials {
		codes[i] = c.Code
	}
	p.Credentials = inOrder(p.Credentials)
	return append(fieldErrors, checkCodes(codes, "credentials[%d].code")...)
}

// ValidNPI reports whether a text has the form of a National Provider Identifier: ten digits, the
// first 1 or 2, the last the Luhn check digit of the number prefixed with 80840 (CMS,
// "Requirements for National Provider Identifier and NPI Check Digit", and 69 FR 3434).
func ValidNPI(npi string) bool {
	const length = 10
	if len(npi) != length || npi[0] != '1' && npi[0] != '2' {
		return false
	}
	sum := 24 // the contribution of the digits of 80840
	for i := range length {
		digit := int(npi[i]) - '0'
		if digit < 0 || digit > 9 {
			return false
		}
		if i%2 == 0 { // every second digit from the right, without the check digit
			digit *= 2
		}
		sum += digit/10 + digit%10
	}
	return sum%10 == 0
}

const errCredential = fault.Words(`must be a code such as "BCBA", or an object of code and expiresOn`)

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

// inOrder returns a copy sorted by code, never nil, so that equal lists compare as equal.
func inOrder(credentials []Credential) []Credential {
	sorted := append([]Credential{}, credentials...)
	slices.SortStableFunc(sorted, func(a, b Credential) int { return cmp.Compare(a.Code, b.Code) })
	return sorted
}

var credentialCode = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{0,19}$`)

// checkCodes validates codes of credentials; path is the format of a field's path with its index.
func checkCodes(codes []string, path string) []fault.Field {
	var fieldErrors []fault.Field
	seen := map[string]bool{}
	for i, code := range codes {
		field := fmt.Sprintf(path, i)
		same := strings.ToLower(code)
		switch {
		case !credentialCode.MatchString(code):
			fieldErrors = append(fieldErrors, fault.Field{
				Field: field, Code: "credential",
				Message: "must be a code of 1 to 20 letters, digits and dashes, such as BCBA",
			})
		case seen[same]:
			fieldErrors = append(fieldErrors, fault.Field{Field: field, Code: "unique", Message: "must not be repeated"})
		}
		seen[same] = true
	}
	return fieldErrors
}
