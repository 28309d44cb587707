package user

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/permission"
	"omnirapeutic/platform/trail"
)

// The errors of guardians.
var (
	// ErrNotFamily is returned if the user does not have the role PATIENT.
	ErrNotFamily = fault.Define(fault.Conflict, "user-not-family", "The user does not have the role PATIENT.").
			Advising("Give the user the role first.")
	// ErrSelfTaken is returned if the user is already another patient.
	ErrSelfTaken = fault.Define(fault.Conflict, "user-is-patient",
		"This user is already linked to another patient as SELF.").
		Advising("Remove the other patient from the user first, or use the relation GUARDIAN.")
	// ErrNotGuardian is returned if the user is not a guardian of the patient.
	ErrNotGuardian = fault.Define(fault.NotFound, "guardianship-not-found",
		"This user has no access to this patient's records as a patient or guardian.").
		Advising("Reload the patients of the user.")
)

// Relation is the relation of a user to a patient.
type Relation string

// The relations.
const (
	RelationSelf     Relation = "SELF"
	RelationGuardian Relation = "GUARDIAN"
)

// Guardianship lets a user with the role PATIENT see the records of a patient.
type Guardianship struct {
	OrganizationID uuid.UUID
	UserID         uuid.UUID
	PatientID      uuid.UUID
	Relation       Relation
	GrantedAt      time.Time
	GrantedBy      uuid.UUID // a user
}

// recordedGuardianship is the part of a guardianship that the audit trail stores.
type recordedGuardianship struct {
	Relation Relation `json:"relation"`
}

// Family is an active user who is a guardian of a patient, or is the patient.
type Family struct {
	OrganizationID uuid.UUID
	PatientID      uuid.UUID
	UserID         uuid.UUID
	Email          string
	Name           string
}

// Families returns the families of patients, in the transaction of the context, which must reach their
// organizations. It needs no caller.
func (s *Service) Families(ctx context.Context, organizations, patients []uuid.UUID) ([]Family, error) {
	return s.store.families(ctx, organizations, patients)
}

// Patients returns the patients whose records the user may see as a patient or guardian, sorted by
// patient id. The error is [rbac.ErrUserNotFound].
func (s *Service) Patients(ctx context.Context, user uuid.UUID) ([]Guardianship, error) {
	return db.Snapshot(ctx, s.Database, "guardian.get", func(ctx context.Context) ([]Guardianship, error) {
		if _, err := s.Accounts.User(ctx, user); err != nil {
			return nil, err
		}
		found, err := s.store.guardianships(ctx, user)
		for _, g := range found {
			trail.Show(ctx, trail.Subject{Type: subjectGuardian, ID: user, PatientID: g.PatientID})
		}
		return found, err
	})
}

// AddPatient lets a user see the records of a patient, or changes the relation. Errors:
// [rbac.ErrUserNotFound], [ErrNotFamily], [ErrSelfTaken], [fault.ErrInvalid] for an unknown patient,
// [identity.ErrBeyondOwn] for callers who may not read all patients.
func (s *Service) AddPatient(ctx context.Context, user, patient uuid.UUID, relation Relation) (Guardianship, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return Guardianship{}, err
	}
	given := Guardianship{caller.OrganizationID, user, patient, relation, s.Clock.Now(), caller.UserID}
	// Without [db.ProvenBy]: the caller can repeat it after an unknown outcome.
	return db.Serializable(ctx, s.Database, "guardian.grant", func(ctx context.Context) (Guardianship, error) {
		if _, err := s.Accounts.CallerHolds(ctx, permission.GuardianChange); err != nil {
			return Guardianship{}, err
		}
		u, err := s.Accounts.User(ctx, user)
		if err != nil {
			return Guardianship{}, err
		}
		if err := s.mayGiveRecords(ctx, permission.GuardianChange, u.Roles, identity.Child); err != nil {
			return Guardianship{}, err
		}
		if !slices.Contains(u.Roles, rbac.Patient) {
			return Guardianship{}, ErrNotFamily
		}
		existing, err := s.store.guardianship(ctx, user, patient)
		if err != nil {
			return Guardianship{}, err
		}
		if existing != nil && existing.Relation == relation {
			return *existing, nil
		}
		if err := s.store.saveGuardianship(ctx, given); err != nil {
			return Guardianship{}, err
		}
		e := trail.Event{
			Action: "guardian.grant", SubjectType: subjectGuardian, SubjectID: user, PatientID: &patient,
			OccurredAt: given.GrantedAt,
			After:      recordedGuardianship{relation},
		}
		if existing != nil {
			e.Before = recordedGuardianship{existing.Relation}
		}
		return given, trail.RecordBy(ctx, s.Audit, e)
	})
}

// RemovePatient ends a user's access to the records of a patient. The error is [ErrNotGuardian].
func (s *Service) RemovePatient(ctx context.Context, user, patient uuid.UUID) error {
	_, err := db.Serializable(ctx, s.Database, "guardian.revoke", func(ctx context.Context) (struct{}, error) {
		if _, err := s.Accounts.CallerHolds(ctx, permission.GuardianChange); err != nil {
			return struct{}{}, err
		}
		removed, err := s.store.deleteGuardianship(ctx, user, patient)
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, trail.RecordBy(ctx, s.Audit, trail.Event{
			Action: "guardian.revoke", SubjectType: subjectGuardian, SubjectID: user, PatientID: &patient,
			OccurredAt: s.Clock.Now(), Before: recordedGuardianship{removed.Relation},
		})
	})
	return err
}
