package directory

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
)

// What a caller may be allowed to do with the records of the directory.
const (
	PermissionOrganizationRead    identity.Permission = "organization:read"
	PermissionOrganizationReadAll identity.Permission = "organization:read-all" // also the others; asked for beside organization:read
	PermissionOrganizationCreate  identity.Permission = "organization:create"
	PermissionOrganizationChange  identity.Permission = "organization:change"
	PermissionPatientRead         identity.Permission = "patient:read"
	PermissionPatientCreate       identity.Permission = "patient:create"
	PermissionPatientChange       identity.Permission = "patient:change"
	PermissionPractitionerRead    identity.Permission = "practitioner:read"
	PermissionPractitionerCreate  identity.Permission = "practitioner:create"
	PermissionPractitionerChange  identity.Permission = "practitioner:change"
	PermissionPayerRead           identity.Permission = "payer:read"
	PermissionPayerCreate         identity.Permission = "payer:create"
	PermissionPayerChange         identity.Permission = "payer:change"
	PermissionInsuranceRead       identity.Permission = "insurance:read"
	PermissionInsuranceCreate     identity.Permission = "insurance:create"
	PermissionInsuranceChange     identity.Permission = "insurance:change"
	PermissionServiceCodeRead     identity.Permission = "service-code:read"
	PermissionServiceCodeCreate   identity.Permission = "service-code:create"
	PermissionServiceCodeChange   identity.Permission = "service-code:change"
)

// Routes returns the operations of this module's API.
func (s *Service) Routes() []httpx.Route {
	const created, ok = http.StatusCreated, http.StatusOK
	route := func(method, path string, permission identity.Permission, summary string, endpoint httpx.Endpoint) httpx.Route {
		return httpx.Route{Method: method, Path: path, Permission: permission, Summary: summary, Endpoint: endpoint}
	}
	return []httpx.Route{
		route("POST", "/organizations", PermissionOrganizationCreate, "Make an organization", httpx.Handle(created, s.CreateOrganization)),
		route("GET", "/organizations", PermissionOrganizationRead, "List organizations", httpx.Handle(ok, s.handleOrganizations)),
		route("GET", "/organizations/:id", PermissionOrganizationRead, "Read an organization", read(s.Organization)),
		route("PATCH", "/organizations/:id", PermissionOrganizationChange, "Change an organization", httpx.Handle(ok, s.ChangeOrganization)),

		route("POST", "/patients", PermissionPatientCreate, "Enter a patient", httpx.Handle(created, s.CreatePatient)),
		route("GET", "/patients", PermissionPatientRead, "List patients", httpx.Handle(ok, s.handlePatients)),
		route("POST", "/patients/search", PermissionPatientRead, "Find patients", httpx.Handle(ok, s.handlePatientSearch)),
		route("GET", "/patients/:id", PermissionPatientRead, "Read a patient", read(s.Patient)),
		route("PATCH", "/patients/:id", PermissionPatientChange, "Change a patient", httpx.Handle(ok, s.ChangePatient)),

		route("POST", "/practitioners", PermissionPractitionerCreate, "Enter a practitioner", httpx.Handle(created, s.CreatePractitioner)),
		route("GET", "/practitioners", PermissionPractitionerRead, "List practitioners", httpx.Handle(ok, s.handlePractitioners)),
		route("GET", "/practitioners/:id", PermissionPractitionerRead, "Read a practitioner", read(s.Practitioner)),
		route("PATCH", "/practitioners/:id", PermissionPractitionerChange, "Change a practitioner", httpx.Handle(ok, s.ChangePractitioner)),

		route("POST", "/payers", PermissionPayerCreate, "Enter a payer", httpx.Handle(created, s.CreatePayer)),
		route("GET", "/payers", PermissionPayerRead, "List payers", httpx.Handle(ok, s.handlePayers)),
		route("GET", "/payers/:id", PermissionPayerRead, "Read a payer", read(s.Payer)),
		route("PATCH", "/payers/:id", PermissionPayerChange, "Change a payer", httpx.Handle(ok, s.ChangePayer)),

		route("POST", "/insurances", PermissionInsuranceCreate, "Enter a patient's coverage by a payer", httpx.Handle(created, s.CreateInsurance)),
		route("GET", "/insurances", PermissionInsuranceRead, "List coverages", httpx.Handle(ok, s.handleInsurances)),
		route("GET", "/insurances/:id", PermissionInsuranceRead, "Read a coverage", read(s.Insurance)),
		route("PATCH", "/insurances/:id", PermissionInsuranceChange, "Change a coverage", httpx.Handle(ok, s.ChangeInsurance)),

		route("POST", "/service-codes", PermissionServiceCodeCreate, "Enter a service code", httpx.Handle(created, s.CreateServiceCode)),
		route("GET", "/service-codes", PermissionServiceCodeRead, "List service codes", httpx.Handle(ok, s.handleServiceCodes)),
		route("GET", "/service-codes/:id", PermissionServiceCodeRead, "Read a service code", read(s.ServiceCode)),
		route("PATCH", "/service-codes/:id", PermissionServiceCodeChange, "Change a service code", httpx.Handle(ok, s.ChangeServiceCode)),
	}
}

const base = "/api/v1"

// Location is where the organization can be read.
func (o Organization) Location() string { return base + "/organizations/" + o.ID.String() }

// Location is where the patient can be read.
func (p Patient) Location() string { return base + "/patients/" + p.ID.String() }

// Location is where the practitioner can be read.
func (p Practitioner) Location() string { return base + "/practitioners/" + p.ID.String() }

// Location is where the payer can be read.
func (p Payer) Location() string { return base + "/payers/" + p.ID.String() }

// Location is where the coverage can be read.
func (i Insurance) Location() string { return base + "/insurances/" + i.ID.String() }

// Location is where the service code can be read.
func (c ServiceCode) Location() string { return base + "/service-codes/" + c.ID.String() }

type byID struct {
	ID uuid.UUID `param:"id"`
}

func read[T any](get func(ctx context.Context, id uuid.UUID) (T, error)) httpx.Endpoint {
	return httpx.Handle(http.StatusOK, func(ctx context.Context, in byID) (T, error) { return get(ctx, in.ID) })
}

// pageOf lists one page: find is asked for one record more than fits on it.
func pageOf[T any](q httpx.PageQuery, idOf func(T) uuid.UUID, find func(Page) ([]T, error)) (httpx.Page[T], error) {
	p := Page{Limit: q.Size() + 1}
	if err := q.DecodeCursor(&p.After); err != nil {
		return httpx.Page[T]{}, err
	}
	found, err := find(p)
	return httpx.PageOf(found, q.Size(), func(t T) T { return t }, func(t T) any { return idOf(t) }), err
}

func (s *Service) handleOrganizations(ctx context.Context, in struct{ httpx.PageQuery }) (httpx.Page[Organization], error) {
	return pageOf(in.PageQuery, func(o Organization) uuid.UUID { return o.ID }, func(p Page) ([]Organization, error) {
		return s.Organizations(ctx, p)
	})
}

type patientsQuery struct {
	httpx.PageQuery
	Status Status `query:"status" validate:"omitempty,oneof=ACTIVE INACTIVE"`
}

func (s *Service) handlePatients(ctx context.Context, in patientsQuery) (httpx.Page[Patient], error) {
	return pageOf(in.PageQuery, func(p Patient) uuid.UUID { return p.ID }, func(p Page) ([]Patient, error) {
		return s.Patients(ctx, PatientFilter{Page: p, Status: in.Status})
	})
}

// patientSearch comes in a body: names and numbers of patients do not belong in
// URLs, which end up in logs and histories.
type patientSearch struct {
	httpx.PageQuery
	LastName            string        `json:"lastName" validate:"omitempty,max=100,text"` // how it begins
	MedicalRecordNumber string        `json:"medicalRecordNumber" validate:"omitempty,max=50,text"`
	DateOfBirth         calendar.Date `json:"dateOfBirth"`
	Status              Status        `json:"status" validate:"omitempty,oneof=ACTIVE INACTIVE"`
}

func (s *Service) handlePatientSearch(ctx context.Context, in patientSearch) (httpx.Page[Patient], error) {
	return pageOf(in.PageQuery, func(p Patient) uuid.UUID { return p.ID }, func(p Page) ([]Patient, error) {
		return s.Patients(ctx, PatientFilter{
			Page: p, Status: in.Status, LastName: in.LastName, MedicalRecordNumber: in.MedicalRecordNumber, DateOfBirth: in.DateOfBirth,
		})
	})
}

type practitionersQuery struct {
	httpx.PageQuery
	Status Status `query:"status" validate:"omitempty,oneof=ACTIVE INACTIVE"`
}

func (s *Service) handlePractitioners(ctx context.Context, in practitionersQuery) (httpx.Page[Practitioner], error) {
	return pageOf(in.PageQuery, func(p Practitioner) uuid.UUID { return p.ID }, func(p Page) ([]Practitioner, error) {
		return s.Practitioners(ctx, PractitionerFilter{Page: p, Status: in.Status})
	})
}

func (s *Service) handlePayers(ctx context.Context, in struct{ httpx.PageQuery }) (httpx.Page[Payer], error) {
	return pageOf(in.PageQuery, func(p Payer) uuid.UUID { return p.ID }, func(p Page) ([]Payer, error) {
		return s.Payers(ctx, p)
	})
}

type insurancesQuery struct {
	httpx.PageQuery
	PatientID uuid.UUID `query:"patientId"`
	PayerID   uuid.UUID `query:"payerId"`
}

func (s *Service) handleInsurances(ctx context.Context, in insurancesQuery) (httpx.Page[Insurance], error) {
	return pageOf(in.PageQuery, func(i Insurance) uuid.UUID { return i.ID }, func(p Page) ([]Insurance, error) {
		return s.Insurances(ctx, InsuranceFilter{Page: p, PatientID: in.PatientID, PayerID: in.PayerID})
	})
}

type serviceCodesQuery struct {
	httpx.PageQuery
	Code string `query:"code" validate:"omitempty,max=20"`
}

func (s *Service) handleServiceCodes(ctx context.Context, in serviceCodesQuery) (httpx.Page[ServiceCode], error) {
	return pageOf(in.PageQuery, func(c ServiceCode) uuid.UUID { return c.ID }, func(p Page) ([]ServiceCode, error) {
		return s.ServiceCodes(ctx, ServiceCodeFilter{Page: p, Code: in.Code})
	})
}
