package rbac

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/permission"
	"omnirapeutic/platform/trail"
)

// The errors of caseloads.
var (
	// ErrCaseloadOwnerNotFound is returned if the caller's organization has no such practitioner.
	ErrCaseloadOwnerNotFound = fault.Define(fault.NotFound, "caseload-owner-not-found", "Practitioner not found.")
	// ErrNotAssigned is returned if the patient is not on the caseload.
	ErrNotAssigned = fault.Define(fault.NotFound, "assignment-not-found", "The patient is not on this caseload.").
			Advising("Reload the caseload.")
)

// Assignment puts a patient on the caseload of a practitioner. Permissions that are held for the
// caseload then include the patient's records.
type Assignment struct {
	OrganizationID uuid.UUID `json:"-"`
	PractitionerID uuid.UUID `json:"practitionerId"`
	PatientID      uuid.UUID `json:"patientId"`
	AssignedAt     time.Time `json:"assignedAt"`
	AssignedBy     uuid.UUID `json:"assignedBy"` // a user
}

// Caseload returns the assignments of a practitioner, sorted by patient id. The error is
// [ErrCaseloadOwnerNotFound].
func (s *Service) Caseload(ctx context.Context, practitioner uuid.UUID) ([]Assignment, error) {
	return db.Snapshot(ctx, s.database, "caseload.get", func(ctx context.Context) ([]Assignment, error) {
		found, err := caseloadOf(ctx, practitioner)
		if err == nil && len(found) == 0 {
			err = practitionerExists(ctx, practitioner)
		}
		for _, a := range found {
			trail.Show(ctx, trail.Subject{Type: subjectCaseload, ID: practitioner, PatientID: a.PatientID})
		}
		return found, err
	})
}

// Assign puts a patient on the caseload of a practitioner. An existing assignment stays
// unchanged. Errors: [ErrCaseloadOwnerNotFound], [fault.ErrInvalid] for an unknown patient,
// [ErrBeyondOwn] for callers who may not read all patients.
func (s *Service) Assign(ctx context.Context, practitioner, patient uuid.UUID) (Assignment, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return Assignment{}, err
	}
	assignment := Assignment{
		OrganizationID: caller.OrganizationID, PractitionerID: practitioner, PatientID: patient, AssignedAt: s.now(), AssignedBy: caller.UserID,
	}
	// Without [db.ProvenBy]: the caller can repeat it after an unknown outcome.
	return db.Serializable(ctx, s.database, "caseload.assign", func(ctx context.Context) (Assignment, error) {
		users, err := rolesOfPractitioner(ctx, practitioner)
		if err != nil {
			return Assignment{}, err
		}
		if err := s.mayOpen(ctx, permission.CaseloadChange, users, identity.Caseload); err != nil {
			return Assignment{}, err
		}
		existing, err := assignmentOf(ctx, practitioner, patient)
		if err != nil || existing != nil {
			return deref(existing), err
		}
		if err := insertAssignment(ctx, assignment); err != nil {
			return Assignment{}, err
		}
		return assignment, s.recordReach(ctx, trail.Event{
			Action: "caseload.assign", SubjectType: subjectCaseload, SubjectID: practitioner, PatientID: &patient, OccurredAt: assignment.AssignedAt,
		})
	}, db.RetryConstraint("caseloads_pkey")) // another caller has just assigned the same patient
}

// Unassign takes a patient off the caseload of a practitioner. The error is [ErrNotAssigned].
func (s *Service) Unassign(ctx context.Context, practitioner, patient uuid.UUID) error {
	_, err := db.Serializable(ctx, s.database, "caseload.unassign", func(ctx context.Context) (struct{}, error) {
		if _, err := s.callerHolds(ctx, permission.CaseloadChange); err != nil {
			return struct{}{}, err
		}
		if err := deleteAssignment(ctx, practitioner, patient); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, s.recordReach(ctx, trail.Event{
			Action: "caseload.unassign", SubjectType: subjectCaseload, SubjectID: practitioner, PatientID: &patient, OccurredAt: s.now(),
		})
	})
	return err
}

// mayOpen returns [ErrBeyondOwn] unless the caller may give a user with the roles, or themselves,
// access to records of patients. The caller needs the permission, must be allowed to read all
// patients, and must hold for the organization what the user holds for records of the scopes.
func (s *Service) mayOpen(ctx context.Context, need identity.Permission, roles []Role, scopes identity.Scope) error {
	mine, err := s.callerHolds(ctx, need)
	if err != nil {
		return err
	}
	theirs, err := heldBy(ctx, roles)
	if err != nil {
		return err
	}
	return mine.coversOpened(theirs, scopes)
}

// coversOpened returns [ErrBeyondOwn] unless a caller who holds h may give access to records of the
// scopes to a user who holds theirs.
func (h held) coversOpened(theirs held, scopes identity.Scope) error {
	if err := h.covers(seesAllPatients); err != nil {
		return err
	}
	return h.covers(theirs.opened(scopes))
}

// seesAllPatients is what a caller needs to give access to patients' records.
var seesAllPatients = held{permission.PatientRead: identity.Organization}

func deref[T any](found *T) T {
	var none T
	if found == nil {
		return none
	}
	return *found
}
