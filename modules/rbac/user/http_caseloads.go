package user

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/permission"
)

func (s *Service) caseloadRoutes() []httpx.Route {
	const caseload, family = "/practitioners/:id/caseload", "/users/:id/patients"
	return []httpx.Route{
		{
			Method: http.MethodGet, Path: caseload, Permission: permission.CaseloadRead, Reads: subjectCaseload,
			Name: "getCaseload", Summary: "Get a practitioner's caseload",
			Description: "The patients assigned to the practitioner. A permission that is held for the caseload applies to " +
				"their records.",
			Refusals: []*fault.Error{ErrPractitionerNotFound}, Endpoint: httpx.Handle(http.StatusOK, s.handleCaseload),
		},
		{
			Method: http.MethodPost, Path: caseload, Permission: permission.CaseloadChange,
			Name: "assignPatient", Summary: "Put a patient on a caseload",
			Description: "From now on the practitioner's user can access the patient's records with the permissions held for " +
				"the caseload. An existing assignment stays unchanged. Requires the right to read all patients.",
			Refusals: []*fault.Error{ErrPractitionerNotFound}, Endpoint: httpx.Handle(http.StatusOK, s.handleAssign),
		},
		{
			Method: http.MethodDelete, Path: caseload + "/:patientId", Permission: permission.CaseloadChange,
			Name: "unassignPatient", Summary: "Take a patient off a caseload",
			Description: "The practitioner's user loses access to the patient's records, unless another permission grants it.",
			Refusals:    []*fault.Error{ErrNotAssigned}, Endpoint: httpx.Handle(http.StatusNoContent, s.handleUnassign),
		},
		{
			Method: http.MethodGet, Path: family, Permission: permission.GuardianRead, Reads: subjectGuardian,
			Name: "listUserPatients", Summary: "List the patients of a patient or guardian",
			Description: "The patients whose records the user may see, as the patient or as a guardian.",
			Refusals:    []*fault.Error{rbac.ErrUserNotFound}, Endpoint: httpx.Handle(http.StatusOK, s.handlePatients),
		},
		{
			Method: http.MethodPost, Path: family, Permission: permission.GuardianChange,
			Name: "addUserPatient", Summary: "Give a patient or guardian access to a patient's records",
			Description: "`relation` is SELF if the user is the patient, which is possible for one patient, otherwise " +
				"GUARDIAN. The user needs the role PATIENT. Requires the right to read all patients.",
			Refusals: []*fault.Error{rbac.ErrUserNotFound, ErrNotFamily, ErrSelfTaken},
			Endpoint: httpx.Handle(http.StatusOK, s.handleAddPatient),
		},
		{
			Method: http.MethodDelete, Path: family + "/:patientId", Permission: permission.GuardianChange,
			Name: "removeUserPatient", Summary: "Remove a patient or guardian's access to a patient's records",
			Description: "The user loses access immediately.",
			Refusals:    []*fault.Error{ErrNotGuardian}, Endpoint: httpx.Handle(http.StatusNoContent, s.handleRemovePatient),
		},
	}
}

// assignmentBody is a patient on the caseload of a practitioner.
type assignmentBody struct {
	PractitionerID uuid.UUID `json:"practitionerId"`
	PatientID      uuid.UUID `json:"patientId"`
	AssignedAt     time.Time `json:"assignedAt"` // The time of the assignment.
	AssignedBy     uuid.UUID `json:"assignedBy"` // The user who assigned the patient.
	assignmentReferences
}

func assignmentBodyOf(a Assignment) assignmentBody {
	return assignmentBody{a.PractitionerID, a.PatientID, a.AssignedAt.UTC(), a.AssignedBy, assignmentReferences{}}
}

// caseloadBody is the caseload of a practitioner.
type caseloadBody struct {
	Data []assignmentBody `json:"data"` // The assigned patients, sorted by id.
}

func (s *Service) handleCaseload(ctx context.Context, in byID) (caseloadBody, error) {
	found, err := s.Caseload(ctx, in.ID)
	return caseloadBody{httpx.Bodies(found, assignmentBodyOf)}, err
}

type assignRequest struct {
	ID        uuid.UUID `param:"id"`
	PatientID uuid.UUID `json:"patientId" validate:"required"`
}

func (s *Service) handleAssign(ctx context.Context, in assignRequest) (assignmentBody, error) {
	a, err := s.Assign(ctx, in.ID, in.PatientID)
	return assignmentBodyOf(a), err
}

type byPatient struct {
	ID        uuid.UUID `param:"id"`
	PatientID uuid.UUID `param:"patientId"`
}

func (s *Service) handleUnassign(ctx context.Context, in byPatient) (httpx.None, error) {
	return httpx.None{}, s.Unassign(ctx, in.ID, in.PatientID)
}

// guardianshipBody is a patient whose records a user may see, as the patient or as a guardian.
type guardianshipBody struct {
	UserID    uuid.UUID `json:"userId"`
	PatientID uuid.UUID `json:"patientId"`
	Relation  Relation  `json:"relation"`  // The relation of the user to the patient: SELF if the user is the patient.
	GrantedAt time.Time `json:"grantedAt"` // The time at which the access was given.
	GrantedBy uuid.UUID `json:"grantedBy"` // The user who gave the access.
	guardianshipReferences
}

func guardianshipBodyOf(g Guardianship) guardianshipBody {
	return guardianshipBody{g.UserID, g.PatientID, g.Relation, g.GrantedAt.UTC(), g.GrantedBy, guardianshipReferences{}}
}

// familyBody is the list of the patients of a user.
type familyBody struct {
	Data []guardianshipBody `json:"data"` // The patients, sorted by id.
}

func (s *Service) handlePatients(ctx context.Context, in byID) (familyBody, error) {
	found, err := s.Patients(ctx, in.ID)
	return familyBody{httpx.Bodies(found, guardianshipBodyOf)}, err
}

type entrustRequest struct {
	ID        uuid.UUID `param:"id"`
	PatientID uuid.UUID `json:"patientId" validate:"required"`
	// The relation of the user to the patient: SELF if the user is the patient.
	Relation Relation `json:"relation" validate:"required,oneof=SELF GUARDIAN"`
}

func (s *Service) handleAddPatient(ctx context.Context, in entrustRequest) (guardianshipBody, error) {
	g, err := s.AddPatient(ctx, in.ID, in.PatientID, in.Relation)
	return guardianshipBodyOf(g), err
}

func (s *Service) handleRemovePatient(ctx context.Context, in byPatient) (httpx.None, error) {
	return httpx.None{}, s.RemovePatient(ctx, in.ID, in.PatientID)
}
