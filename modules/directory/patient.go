package directory

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/patch"
)

// Patient is a person who is, or was, in the organization's care.
type Patient struct {
	Record
	FirstName           string        `json:"firstName"`
	LastName            string        `json:"lastName"`
	DateOfBirth         calendar.Date `json:"dateOfBirth"`
	MedicalRecordNumber *string       `json:"medicalRecordNumber"`
	Status              Status        `json:"status"` // Whether the patient is in care.
}

// NewPatient is the request for a patient.
type NewPatient struct {
	FirstName string `json:"firstName" validate:"required,max=100,text"`
	LastName  string `json:"lastName" validate:"required,max=100,text"`
	// The date of birth, from 1900-01-01 to today.
	DateOfBirth         calendar.Date `json:"dateOfBirth" validate:"required"`
	MedicalRecordNumber *string       `json:"medicalRecordNumber" validate:"omitempty,max=50,text"`
	// Whether the patient is in care. The default is `ACTIVE`.
	Status Status `json:"status" validate:"omitempty,oneof=ACTIVE INACTIVE"`
}

// PatientChange changes the given fields of a patient.
type PatientChange struct {
	ID                  uuid.UUID                  `param:"id"`
	Match               patch.Match                `header:"If-Match"`
	FirstName           patch.Field[string]        `json:"firstName" validate:"omitempty,max=100,text"`
	LastName            patch.Field[string]        `json:"lastName" validate:"omitempty,max=100,text"`
	DateOfBirth         patch.Field[calendar.Date] `json:"dateOfBirth"`
	MedicalRecordNumber patch.Clearable[string]    `json:"medicalRecordNumber" validate:"omitempty,max=50,text"`
	// Whether the patient is in care.
	Status patch.Field[Status] `json:"status" validate:"omitempty,oneof=ACTIVE INACTIVE"`
}

// PatientFilter narrows a list of patients. Zero values match every patient.
type PatientFilter struct {
	Page
	Status              Status
	LastName            string // the beginning of the last name, in upper or lower case
	MedicalRecordNumber string // the whole number
	DateOfBirth         calendar.Date
}

var patients = kind[Patient, *Patient]{
	name: "patient", absent: ErrPatientNotFound, owners: db.Owners{Patient: "patients.id IN (%s)"},
	blank:    Patient{DateOfBirth: earliestBirth},
	recorded: recordedFields{values: []string{"status"}}, whose: func(p Patient) uuid.UUID { return p.ID },
}

// CreatePatient creates a patient. Errors: [fault.ErrInvalid], [ErrMedicalRecordNumberTaken].
func (s *Service) CreatePatient(ctx context.Context, n NewPatient) (Patient, error) {
	return patients.create(ctx, s, Patient{
		FirstName: n.FirstName, LastName: n.LastName, DateOfBirth: n.DateOfBirth,
		MedicalRecordNumber: n.MedicalRecordNumber, Status: cmp.Or(n.Status, Active),
	})
}

// Patient returns a patient. The error is [ErrPatientNotFound].
func (s *Service) Patient(ctx context.Context, id uuid.UUID) (Patient, error) {
	return patients.get(ctx, s, id)
}

// Patients lists patients.
func (s *Service) Patients(ctx context.Context, f PatientFilter) ([]Patient, error) {
	return patients.list(ctx, s, f.Page,
		equals("status", f.Status), equals("medical_record_number", f.MedicalRecordNumber),
		equals("date_of_birth", f.DateOfBirth), begins("last_name", f.LastName))
}

// ChangePatient changes a patient. Errors: [patch.ErrStale], [ErrPatientNotFound], [fault.ErrInvalid],
// [ErrMedicalRecordNumberTaken].
func (s *Service) ChangePatient(ctx context.Context, c PatientChange) (Patient, error) {
	return patients.change(ctx, s, c.ID, c.Match, func(p *Patient) {
		c.FirstName.Apply(&p.FirstName)
		c.LastName.Apply(&p.LastName)
		c.DateOfBirth.Apply(&p.DateOfBirth)
		c.MedicalRecordNumber.Apply(&p.MedicalRecordNumber)
		c.Status.Apply(&p.Status)
	})
}

// earliestBirth excludes typing errors such as the years 202 and 0019.
var earliestBirth = calendar.NewDate(1900, time.January, 1)

func (p *Patient) settle(today calendar.Date) []fault.Field {
	var fieldErrors []fault.Field
	switch {
	case p.DateOfBirth.After(today):
		fieldErrors = append(fieldErrors,
			fault.Field{Field: "dateOfBirth", Code: "future", Message: "must not be in the future"})
	case p.DateOfBirth.Before(earliestBirth):
		fieldErrors = append(fieldErrors,
			fault.Field{Field: "dateOfBirth", Code: "min", Message: "must not be before " + earliestBirth.String()})
	}
	if n := p.MedicalRecordNumber; n != nil && strings.TrimSpace(*n) != *n {
		fieldErrors = append(fieldErrors, fault.Field{
			Field: "medicalRecordNumber", Code: "spaces",
			Message: "must not begin or end with a space",
		})
	}
	return fieldErrors
}
