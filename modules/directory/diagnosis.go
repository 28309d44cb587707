package directory

import (
	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
)

// Diagnosis is an ICD-10-CM diagnosis of a patient, for claims.
type Diagnosis struct {
	Record
	PatientID uuid.UUID
	Code      string // with a dot after the third character
	Rank      int    // 1: the principal diagnosis
	StartsOn  calendar.Date
	EndsOn    calendar.Date // the last day; zero if no end is known
}

// DiagnosisFilter narrows a list of diagnoses. Zero values match every diagnosis.
type DiagnosisFilter struct {
	Page
	PatientID uuid.UUID
}

// InForceOn reports whether the diagnosis applies on the day.
func (d Diagnosis) InForceOn(day calendar.Date) bool {
	return !day.Before(d.StartsOn) && (d.EndsOn.IsZero() || !day.After(d.EndsOn))
}
