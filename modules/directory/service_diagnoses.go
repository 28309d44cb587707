package directory

import (
	"cmp"
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
)

var diagnoses = crud[Diagnosis, *Diagnosis]{
	name: "diagnosis", notFound: ErrDiagnosisNotFound,
	store:           recordStore[Diagnosis]{db.Owners{Patient: "diagnoses.patient_id IN (%s)"}},
	checkReferences: checkDiagnosisReferences,
	recorded:        recordedDiagnosis,
	patientOf:       func(d Diagnosis) uuid.UUID { return d.PatientID },
}

// CreateDiagnosis creates a diagnosis. Errors: [fault.ErrInvalid], [ErrDiagnosisTaken].
func (s *Service) CreateDiagnosis(ctx context.Context, n NewDiagnosis) (Diagnosis, error) {
	return diagnoses.create(ctx, s, Diagnosis{
		PatientID: n.PatientID, Code: n.Code, Rank: cmp.Or(n.Rank, 1), StartsOn: n.StartsOn, EndsOn: n.EndsOn,
	})
}

// Diagnosis returns a diagnosis. The error is [ErrDiagnosisNotFound].
func (s *Service) Diagnosis(ctx context.Context, id uuid.UUID) (Diagnosis, error) {
	return diagnoses.get(ctx, s, id)
}

// Diagnoses lists diagnoses.
func (s *Service) Diagnoses(ctx context.Context, f DiagnosisFilter) ([]Diagnosis, error) {
	return diagnoses.list(ctx, s, f.Page, equals("patient_id", f.PatientID))
}

// ChangeDiagnosis changes a diagnosis. Errors: [patch.ErrStale], [ErrDiagnosisNotFound],
// [fault.ErrInvalid], [ErrDiagnosisTaken].
func (s *Service) ChangeDiagnosis(ctx context.Context, c DiagnosisChange) (Diagnosis, error) {
	return diagnoses.change(ctx, s, c.ID, c.Match, func(d *Diagnosis) {
		c.Rank.Apply(&d.Rank)
		c.StartsOn.Apply(&d.StartsOn)
		if c.EndsOn.Given {
			d.EndsOn = calendar.Date{}
			if c.EndsOn.Value != nil {
				d.EndsOn = *c.EndsOn.Value
			}
		}
	})
}

func checkDiagnosisReferences(ctx context.Context, d Diagnosis) error {
	found, err := patients.store.exists(ctx, d.PatientID)
	if err == nil && !found {
		return fault.InvalidFields(doesNotExist("patientId"))
	}
	return err
}
