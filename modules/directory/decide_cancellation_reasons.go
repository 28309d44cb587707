package directory

import (
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
)

func (r *CancellationReason) normalize(calendar.Date) []fault.Field {
	if !codeForm.MatchString(r.Code) {
		return []fault.Field{{Field: "code", Code: "code", Message: codeFormMessage}}
	}
	return nil
}

// defaultCancellationReasons are the reasons of a new organization.
var defaultCancellationReasons = []CancellationReason{
	{Code: "PATIENT-ILL", Name: "Patient is ill", Party: PartyFamily},
	{Code: "FAMILY-AWAY", Name: "Family is away", Party: PartyFamily},
	{Code: "FAMILY-CONFLICT", Name: "Family has another commitment", Party: PartyFamily},
	{Code: "TRANSPORT", Name: "Family has no transportation", Party: PartyFamily},
	{Code: "STAFF-ILL", Name: "Practitioner is ill", Party: PartyStaff},
	{Code: "STAFF-OFF", Name: "Practitioner is off", Party: PartyStaff},
	{Code: "NO-STAFF", Name: "No practitioner is available", Party: PartyClinic},
	{Code: "CLINIC-CLOSED", Name: "Practice is closed", Party: PartyClinic},
	{Code: "NO-AUTHORIZATION", Name: "Authorization is missing or used up", Party: PartyPayer},
	{Code: "WEATHER", Name: "Weather or emergency", Party: PartyOther},
	{Code: "OTHER", Name: "Other reason", Party: PartyOther},
}
