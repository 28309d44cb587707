package rbac

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
)

// Records of which the trail knows that they were read.
const (
	subjectCaseload = "caseload"
	subjectGuardian = "guardian"
)

func (s *Service) reachRoutes() []httpx.Route {
	const caseload, family = "/practitioners/:id/caseload", "/users/:id/patients"
	return []httpx.Route{
		{
			Method: http.MethodGet, Path: caseload, Permission: caseloadRead, Reads: subjectCaseload,
			Name: "getCaseload", Summary: "Read a practitioner's caseload",
			Description: "Which patients are assigned to the practitioner. A permission that is held for the caseload is held for their records.",
			Refusals:    []*fault.Error{ErrCaseloadOwnerNotFound}, Endpoint: httpx.Handle(http.StatusOK, s.handleCaseload),
		},
		{
			Method: http.MethodPost, Path: caseload, Permission: caseloadChange,
			Name: "assignPatient", Summary: "Put a patient on a caseload",
			Description: "From now on the practitioner's user reaches the patient's records by what is held for the caseload. Who is on it already stays as they are. It needs the right to read all patients.",
			Refusals:    []*fault.Error{ErrCaseloadOwnerNotFound}, Endpoint: httpx.Handle(http.StatusOK, s.handleAssign),
		},
		{
			Method: http.MethodDelete, Path: caseload + "/:patientId", Permission: caseloadChange,
			Name: "unassignPatient", Summary: "Take a patient from a caseload",
			Description: "The patient's records are out of reach of the practitioner's user from now on, unless something else gives them.",
			Refusals:    []*fault.Error{ErrNotAssigned}, Endpoint: httpx.Handle(http.StatusNoContent, s.handleUnassign),
		},
		{
			Method: http.MethodGet, Path: family, Permission: guardianRead, Reads: subjectGuardian,
			Name: "listUserPatients", Summary: "Read whose records a patient or guardian may see",
			Description: "The patients whose guardian the user is, or who they are.",
			Refusals:    []*fault.Error{ErrUserNotFound}, Endpoint: httpx.Handle(http.StatusOK, s.handlePatientsOf),
		},
		{
			Method: http.MethodPost, Path: family, Permission: guardianChange,
			Name: "addUserPatient", Summary: "Let a patient or guardian see a patient's records",
			Description: "`relation` is SELF where the user is the patient, of whom there is one at most, and GUARDIAN otherwise. The user needs the role PATIENT. It needs the right to read all patients.",
			Refusals:    []*fault.Error{ErrUserNotFound, ErrNotFamily, ErrSelfTaken}, Endpoint: httpx.Handle(http.StatusOK, s.handleEntrust),
		},
		{
			Method: http.MethodDelete, Path: family + "/:patientId", Permission: guardianChange,
			Name: "removeUserPatient", Summary: "Take a patient's records from a patient or guardian",
			Description: "The user sees them no more from now on.",
			Refusals:    []*fault.Error{ErrNotGuardian}, Endpoint: httpx.Handle(http.StatusNoContent, s.handleWithhold),
		},
	}
}

// caseloadBody is all of a practitioner's caseload.
type caseloadBody struct {
	Data []Assignment `json:"data"`
}

// familyBody are all patients of a user.
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
