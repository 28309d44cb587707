package directory

import (
	"regexp"
	"strings"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
)

var (
	zipForm   = regexp.MustCompile(`^[0-9]{5}(-?[0-9]{4})?$`)
	stateForm = regexp.MustCompile(`^[A-Z]{2}$`)
	// taxonomyForm is the form of a code of the provider taxonomy (NUCC, Health Care Provider Taxonomy Code Set: ten
	// characters, the last one X).
	taxonomyForm = regexp.MustCompile(`^[0-9]{3}[0-9A-Z]{6}X$`)
	// taxIDForm is the form of an employer identification number (IRS, Publication 1635).
	taxIDForm = regexp.MustCompile(`^[0-9]{2}-?[0-9]{7}$`)
	// diagnosisForm is the form of an ICD-10-CM code: three to seven characters, a dot after the third (ICD-10-CM
	// Official Guidelines for Coding and Reporting, section I.A.2).
	diagnosisForm = regexp.MustCompile(`^[A-Z][0-9][0-9A-Z](\.?[0-9A-Z]{1,4})?$`)
	// filingForm is the form of a claim filing indicator code (X12 element 1032).
	filingForm = regexp.MustCompile(`^[A-Z0-9]{2}$`)
)

// normalize removes the dash of a ZIP code, and returns an error for each invalid field of a known
// address. path is the path of the address.
func (a *PostalAddress) normalize(path string) []fault.Field {
	if a.IsZero() {
		return nil
	}
	var fieldErrors []fault.Field
	if !zipForm.MatchString(a.Zip) {
		fieldErrors = append(fieldErrors, fault.Field{
			Field: path + ".zip", Code: "zip", Message: "must be a ZIP code of five or nine digits",
		})
	}
	if !stateForm.MatchString(a.State) {
		fieldErrors = append(fieldErrors, fault.Field{
			Field: path + ".state", Code: "state", Message: "must be a state's two letters, such as NY",
		})
	}
	a.Zip = strings.ReplaceAll(a.Zip, "-", "")
	return fieldErrors
}

// checkForm returns an error if the value is given and does not have the form.
func checkForm(value *string, form *regexp.Regexp, field, message string) []fault.Field {
	if value == nil || form.MatchString(*value) {
		return nil
	}
	return []fault.Field{{Field: field, Code: field, Message: message}}
}

// checkTaxonomy returns an error if the code is given and is not a taxonomy code.
func checkTaxonomy(code *string) []fault.Field {
	return checkForm(code, taxonomyForm, "taxonomyCode",
		"must be a code of the provider taxonomy: ten characters, such as 103K00000X")
}

func (b *BillingIdentity) normalize() []fault.Field {
	fieldErrors := b.Address.normalize("address")
	if !b.Address.IsZero() && len(fieldErrors) == 0 && len(b.Address.Zip) != len("100011234") {
		fieldErrors = append(fieldErrors, fault.Field{
			Field: "address.zip", Code: "zip", Message: "must have nine digits, because payers refuse claims without them",
		})
	}
	if b.NPI != nil && !ValidNPI(*b.NPI) {
		fieldErrors = append(fieldErrors, fault.Field{
			Field: "npi", Code: "npi", Message: "must be an NPI: ten digits with a valid check digit",
		})
	}
	fieldErrors = append(fieldErrors, checkForm(b.TaxID, taxIDForm, "taxId", "must have nine digits")...)
	fieldErrors = append(fieldErrors, checkTaxonomy(b.TaxonomyCode)...)
	if b.TaxID != nil {
		b.TaxID = new(strings.ReplaceAll(*b.TaxID, "-", ""))
	}
	return fieldErrors
}

func (d *Diagnosis) normalize(calendar.Date) []fault.Field {
	var fieldErrors []fault.Field
	d.Code = strings.ToUpper(strings.TrimSpace(d.Code))
	if d.Code != "" && !diagnosisForm.MatchString(d.Code) {
		fieldErrors = append(fieldErrors, fault.Field{
			Field: "code", Code: "diagnosis", Message: "must be an ICD-10 code, such as F84.0",
		})
	}
	if bare := strings.ReplaceAll(d.Code, ".", ""); len(bare) > len("F84") {
		d.Code = bare[:3] + "." + bare[3:]
	}
	if !d.EndsOn.IsZero() && d.EndsOn.Before(d.StartsOn) {
		fieldErrors = append(fieldErrors, fault.Field{
			Field: "endsOn", Code: "gtefield", Message: "must not be before startsOn",
		})
	}
	return fieldErrors
}

func (*Rate) normalize(calendar.Date) []fault.Field { return nil }
