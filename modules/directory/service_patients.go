package directory

import (
	"cmp"
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

var patients = crud[Patient, *Patient]{
	name: "patient", notFound: ErrPatientNotFound, store: recordStore[Patient]{db.Owners{Patient: "patients.id IN (%s)"}},
	loadParts: store{}.loadAddresses, saveParts: store{}.saveAddress,
	valid:    Patient{DateOfBirth: earliestBirth},
	recorded: recordedPatient, patientOf: func(p Patient) uuid.UUID { return p.ID },
}

// CreatePatient creates a patient. Errors: [fault.ErrInvalid], [ErrMedicalRecordNumberTaken].
func (s *Service) CreatePatient(ctx context.Context, n NewPatient) (Patient, error) {
	return patients.create(ctx, s, Patient{
		FirstName: n.FirstName, LastName: n.LastName, DateOfBirth: n.DateOfBirth,
		MedicalRecordNumber: n.MedicalRecordNumber, Status: cmp.Or(n.Status, Active), Sex: n.Sex,
		Address: postalAddressOf(n.Address),
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
		equals("date_of_birth", f.DateOfBirth), hasPrefix("last_name", f.LastName))
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
		c.Sex.Apply(&p.Sex)
		if c.Address.Given {
			p.Address = postalAddressOf(c.Address.Value)
		}
	})
}
