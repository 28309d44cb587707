package user

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/permission"
	"omnirapeutic/platform/trail"
)

// The errors of caseloads.
var (
	// ErrPractitionerNotFound is returned if the caller's organization has no such practitioner.
	ErrPractitionerNotFound = fault.Define(fault.NotFound, "caseload-owner-not-found", "Practitioner not found.")
	// ErrNotAssigned is returned if the patient is not on the caseload.
	ErrNotAssigned = fault.Define(fault.NotFound, "assignment-not-found", "The patient is not on this caseload.").
			Advising("Reload the caseload.")
)

// The record types of this package in the audit trail's list of reads.
const (
	subjectCaseload = "caseload"
	subjectGuardian = "guardian"
)

// Assignment puts a patient on the caseload of a practitioner. Permissions that are held for the
// caseload then include the patient's records.
type Assignment struct {
	OrganizationID uuid.UUID
	PractitionerID uuid.UUID
	PatientID      uuid.UUID
	AssignedAt     time.Time
	AssignedBy     uuid.UUID // a user
}

// Caseload returns the assignments of a practitioner, sorted by patient id. The error is
// [ErrPractitionerNotFound].
func (s *Service) Caseload(ctx context.Context, practitioner uuid.UUID) ([]Assignment, error) {
	return db.Snapshot(ctx, s.Database, "caseload.get", func(ctx context.Context) ([]Assignment, error) {
		found, err := s.store.caseload(ctx, practitioner)
		if err == nil && len(found) == 0 {
			err = s.requirePractitioner(ctx, practitioner)
		}
		for _, a := range found {
			trail.Show(ctx, trail.Subject{Type: subjectCaseload, ID: practitioner, PatientID: a.PatientID})
		}
		return found, err
	})
}

func (s *Service) requirePractitioner(ctx context.Context, id uuid.UUID) error {
	exists, err := s.Directory.PractitionerExists(ctx, id)
	if err == nil && !exists {
		err = ErrPractitionerNotFound
	}
	return err
}

// Assign puts a patient on the caseload of a practitioner. An existing assignment stays
// unchanged. Errors: [ErrPractitionerNotFound], [fault.ErrInvalid] for an unknown patient,
// [identity.ErrBeyondOwn] for callers who may not read all patients.
func (s *Service) Assign(ctx context.Context, practitioner, patient uuid.UUID) (Assignment, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return Assignment{}, err
	}
	assignment := Assignment{caller.OrganizationID, practitioner, patient, s.Clock.Now(), caller.UserID}
	// Without [db.ProvenBy]: the caller can repeat it after an unknown outcome.
	return db.Serializable(ctx, s.Database, "caseload.assign", func(ctx context.Context) (Assignment, error) {
		roles, err := s.Accounts.RolesOfPractitioner(ctx, practitioner)
		if err != nil {
			return Assignment{}, err
		}
		if err := s.mayGiveRecords(ctx, permission.CaseloadChange, roles, identity.Caseload); err != nil {
			return Assignment{}, err
		}
		existing, err := s.store.assignment(ctx, practitioner, patient)
		if err != nil {
			return Assignment{}, err
		}
		if existing != nil {
			return *existing, nil
		}
		if err := s.store.insertAssignment(ctx, assignment); err != nil {
			return Assignment{}, err
		}
		return assignment, trail.RecordBy(ctx, s.Audit, trail.Event{
			Action: "caseload.assign", SubjectType: subjectCaseload, SubjectID: practitioner, PatientID: &patient,
			OccurredAt: assignment.AssignedAt,
		})
	}, db.RetryConstraint("caseloads_pkey")) // another caller has just assigned the same patient
}

// Unassign takes a patient off the caseload of a practitioner. The error is [ErrNotAssigned].
func (s *Service) Unassign(ctx context.Context, practitioner, patient uuid.UUID) error {
	_, err := db.Serializable(ctx, s.Database, "caseload.unassign", func(ctx context.Context) (struct{}, error) {
		if _, err := s.Accounts.CallerHolds(ctx, permission.CaseloadChange); err != nil {
			return struct{}{}, err
		}
		if err := s.store.deleteAssignment(ctx, practitioner, patient); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, trail.RecordBy(ctx, s.Audit, trail.Event{
			Action: "caseload.unassign", SubjectType: subjectCaseload, SubjectID: practitioner, PatientID: &patient,
			OccurredAt: s.Clock.Now(),
		})
	})
	return err
}

// mayGiveRecords returns [identity.ErrBeyondOwn] unless the caller may give a user with the roles, or
// themselves, access to records of patients. The caller needs the permission, must be allowed to
// read all patients, and must hold for the organization what the user holds for records of the
// scopes.
func (s *Service) mayGiveRecords(
	ctx context.Context, need identity.Permission, roles []rbac.Role, scopes identity.Scope,
) error {
	held, err := s.Accounts.CallerHolds(ctx, need)
	if err != nil {
		return err
	}
	needed, err := s.Accounts.HeldBy(ctx, roles)
	if err != nil {
		return err
	}
	return held.CoversRecords(needed, scopes)
}
