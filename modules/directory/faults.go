package directory

import (
	"omnirapeutic/platform/fault"
)

// The errors of this module. Invalid fields are [fault.ErrInvalid].
var (
	ErrOrganizationNotFound = fault.Define(fault.NotFound, "organization-not-found", "Organization not found.")
	ErrPatientNotFound      = fault.Define(fault.NotFound, "patient-not-found", "Patient not found.")
	ErrPractitionerNotFound = fault.Define(fault.NotFound, "practitioner-not-found", "Practitioner not found.")
	ErrPayerNotFound        = fault.Define(fault.NotFound, "payer-not-found", "Payer not found.")
	ErrInsuranceNotFound    = fault.Define(fault.NotFound, "insurance-not-found", "Coverage not found.")
	ErrServiceCodeNotFound  = fault.Define(fault.NotFound, "service-code-not-found", "Service code not found.")
	ErrLocationNotFound     = fault.Define(fault.NotFound, "location-not-found", "Location not found.")

	ErrCancellationReasonNotFound = fault.Define(fault.NotFound, "cancellation-reason-not-found",
		"Cancellation reason not found.")

	ErrDiagnosisNotFound = fault.Define(fault.NotFound, "diagnosis-not-found", "Diagnosis not found.")
	ErrRateNotFound      = fault.Define(fault.NotFound, "rate-not-found", "Rate not found.")

	// ErrOwnOrganization is returned for the caller's own organization, which the caller could not
	// enable again.
	ErrOwnOrganization = fault.Define(fault.Conflict, "own-organization",
		"You cannot disable your own organization, because you could not enable it again.").
		Advising("Ask an administrator of another organization to do it.")

	// These have [Taken] as details.
	ErrMedicalRecordNumberTaken = fault.Define(fault.Conflict, "medical-record-number-taken",
		"Another patient has this medical record number.").Carrying(Taken{})
	ErrNPITaken         = fault.Define(fault.Conflict, "npi-taken", "Another practitioner has this NPI.").Carrying(Taken{})
	ErrServiceCodeTaken = fault.Define(fault.Conflict, "service-code-taken",
		"Another service code has this code.").Carrying(Taken{})
	ErrCancellationReasonTaken = fault.Define(fault.Conflict, "cancellation-reason-taken",
		"Another cancellation reason has this code.").Carrying(Taken{})
	ErrDiagnosisTaken = fault.Define(fault.Conflict, "diagnosis-taken",
		"The patient already has this diagnosis from this day on.").Carrying(Taken{})
	ErrRateTaken = fault.Define(fault.Conflict, "rate-taken",
		"The payer already has a rate for this service from this day on.").Carrying(Taken{})
)

// Taken are the details of the errors about unique values that another record already has.
type Taken struct {
	Field string `json:"field"` // The member whose value another record has.
}
