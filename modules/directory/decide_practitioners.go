package directory

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
)

func (p *Practitioner) normalize(calendar.Date) []fault.Field {
	var fieldErrors []fault.Field
	if p.NPI != nil && !ValidNPI(*p.NPI) {
		fieldErrors = append(fieldErrors, fault.Field{
			Field: "npi", Code: "npi",
			Message: "must be an NPI: ten digits with a valid check digit",
		})
	}
	fieldErrors = append(fieldErrors, checkTaxonomy(p.TaxonomyCode)...)
	codes := make([]string, len(p.Credentials))
	for i, c := range p.Credentials {
		codes[i] = c.Code
	}
	p.Credentials = sortedCredentials(p.Credentials)
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

// sortedCredentials returns a copy sorted by code, never nil, so that equal lists compare as equal.
func sortedCredentials(credentials []Credential) []Credential {
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
