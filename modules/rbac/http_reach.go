package rbac

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/permission"
)

// The record types of this module in the audit trail's list of reads.
const (
	subjectCaseload = "caseload"
	subjectGuardian = "guardian"
)

func (s *Service) reachRoutes() []httpx.Route {
	const caseload, family = "/practitioners/:id/caseload", "/users/:id/patients"
	return []httpx.Route{
		{
			Method: http.MethodGet, Path: caseload, Permission: permission.CaseloadRead, Reads: subjectCaseload,
			Name: "getCaseload", Summary: "Get a practitioner's caseload",
			Description: "The patients assigned to the practitioner. A permission that is held for the caseload applies to their records.",
			Refusals:    []*fault.Error{ErrCaseloadOwnerNotFound}, Endpoint: httpx.Handle(http.StatusOK, s.handleCaseload),
		},
		{
			Method: http.MethodPost, Path: caseload, Permission: permission.CaseloadChange,
			Name: "assignPatient", Summary: "Put a patient on a caseload",
			Description: "From now on the practitioner's user can access the patient's records with the permissions held for the caseload. " +
				"An existing assignment stays unchanged. Requires the right to read all patients.",
			Refusals: []*fault.Error{ErrCaseloadOwnerNotFound}, Endpoint: httpx.Handle(http.StatusOK, s.handleAssign),
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
			Refusals:    []*fault.Error{ErrUserNotFound}, Endpoint: httpx.Handle(http.StatusOK, s.handlePatientsOf),
		},
		{
			Method: http.MethodPost, Path: family, Permission: permission.GuardianChange,
			Name: "addUserPatient", Summary: "Give a patient or guardian access to a patient's records",
			Description: "`relation` is SELF if the user is the patient, which is possible for one patient, otherwise GUARDIAN. The user " +
				"needs the role PATIENT. Requires the right to read all patients.",
			Refusals: []*fault.Error{ErrUserNotFound, ErrNotFamily, ErrSelfTaken}, Endpoint: httpx.Handle(http.StatusOK, s.handleEntrust),
		},
		{
			Method: http.MethodDelete, Path: family + "/:patientId", Permission: permission.GuardianChange,
			Name: "removeUserPatient", Summary: "Remove a patient or guardian's access to a patient's records",
			Description: "The user loses access immediately.",
			Refusals:    []*fault.Error{ErrNotGuardian}, Endpoint: httpx.Handle(http.StatusNoContent, s.handleWithhold),
		},
	}
}

// caseloadBody is the caseload of a practitioner.
type caseloadBody struct {
	Data []Assignment `json:"data"`
}

// familyBody lists the patients of a user.
type familyBody struct {
	Data []Guardianship `json:"data"`
}

func (s *Service) handleCaseload(ctx context.Context, in byID) (caseloadBody, error) {
	found, err := s.Caseload(ctx, in.ID)
	return caseloadBody{append([]Assignment{}, found...)}, err
}

type assignRequest struct {
	ID        uuid.UUID `param:"id"`
	PatientID uuid.UUID `json:"patientId" validate:"required"`
}

func (s *Service) handleAssign(ctx context.Context, in assignRequest) (Assignment, error) {
	return s.Assign(ctx, in.ID, in.PatientID)
}

type byPatient struct {
	ID        uuid.UUID `param:"id"`
	PatientID uuid.UUID `param:"patientId"`
}

func (s *Service) handleUnassign(ctx context.Context, in byPatient) (httpx.None, error) {
	return httpx.None{}, s.Unassign(ctx, in.ID, in.PatientID)
}

func (s *Service) handlePatientsOf(ctx context.Context, in byID) (familyBody, error) {
	found, err := s.PatientsOf(ctx, in.ID)
	return familyBody{append([]Guardianship{}, found...)}, err
}

type entrustRequest struct {
	ID        uuid.UUID `param:"id"`
	PatientID uuid.UUID `json:"patientId" validate:"required"`
	Relation  Relation  `json:"relation" validate:"required,oneof=SELF GUARDIAN"`
}

func (s *Service) handleEntrust(ctx context.Context, in entrustRequest) (Guardianship, error) {
	return s.Entrust(ctx, in.ID, in.PatientID, in.Relation)
}

func (s *Service) handleWithhold(ctx context.Context, in byPatient) (httpx.None, error) {
	return httpx.None{}, s.Withhold(ctx, in.ID, in.PatientID)
}
