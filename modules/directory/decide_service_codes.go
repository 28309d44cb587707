package directory

import (
	"regexp"
	"slices"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/scheduling"
)

// defaultUnitMinutes is the unit length of every ABA code since 2019.
const defaultUnitMinutes = 15

// defaultTracks are the tracks of the CPT codes that are not [scheduling.Direct].
var defaultTracks = map[string]scheduling.Track{
	"97151": scheduling.Assessment, "97155": scheduling.Supervision, "97156": scheduling.Caregiver,
	"97157": scheduling.Caregiver,
}

// codeForm excludes lower-case letters, so that 0362T and 0362t are not two codes.
var codeForm = regexp.MustCompile(`^[A-Z0-9][A-Z0-9.-]{0,19}$`)

const codeFormMessage = "must be 1 to 20 capital letters, digits, dots or dashes"

func (c *ServiceCode) normalize(calendar.Date) []fault.Field {
	var fieldErrors []fault.Field
	if !codeForm.MatchString(c.Code) {
		fieldErrors = append(fieldErrors, fault.Field{Field: "code", Code: "code", Message: codeFormMessage})
	}
	fieldErrors = append(fieldErrors, checkCodes(c.RequiredCredentials, "requiredCredentials[%d]")...)
	c.RequiredCredentials = sortedCopy(c.RequiredCredentials)
	return fieldErrors
}

// sortedCopy returns a sorted copy, never nil, so that equal lists compare as equal.
func sortedCopy(list []string) []string {
	list = append([]string{}, list...)
	slices.Sort(list)
	return list
}
