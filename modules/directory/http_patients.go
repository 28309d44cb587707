package directory

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/permission"
)

func (s *Service) patientRoutes() []httpx.Route {
	return []httpx.Route{
		route("createPatient", http.MethodPost, "/patients", permission.PatientCreate,
			handle(http.StatusCreated, s.CreatePatient, patientBodyOf),
			"Create a patient", "A patient is a person in the organization's care. "+
				"The medical record number is assigned by the practice and unique.",
			ErrMedicalRecordNumberTaken),
		showing("patient", route("listPatients", http.MethodGet, "/patients", permission.PatientRead,
			httpx.Handle(http.StatusOK, s.handlePatients),
			"List patients", "All patients, in the order of their creation unless `sort` says otherwise. "+
				"To find a patient by name or number, use `POST /patients/search`.")),
		readOnly(showing("patient",
			route("searchPatients", http.MethodPost, "/patients/search", permission.PatientRead, httpx.Handle(http.StatusOK, s.handlePatientSearch),
				"Find patients", "Finds patients by the beginning of their last name, their medical record number or their date of birth. "+
					"It is a POST because health data does not belong in URLs. It changes nothing."))),
		showing("patient", route("getPatient", http.MethodGet, "/patients/:id", permission.PatientRead,
			getRoute(s.Patient, patientBodyOf),
			"Get a patient", "One patient of the organization.", ErrPatientNotFound)),
		route("changePatient", http.MethodPatch, "/patients/:id", permission.PatientChange,
			handle(http.StatusOK, s.ChangePatient, patientBodyOf),
			"Change a patient", "A merge patch: fields that are not given stay unchanged, and `null` clears optional fields. "+
				"A patient who has left becomes INACTIVE; nothing is deleted.",
			ErrPatientNotFound, ErrMedicalRecordNumberTaken),
	}
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
	// The sex that the payer has on file. Claims need it.
	Sex *Sex `json:"sex" validate:"omitempty,oneof=FEMALE MALE UNKNOWN"`
	// The postal address. Claims need it.
	Address *PostalAddressBody `json:"address"`
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
	// The sex that the payer has on file.
	Sex patch.Clearable[Sex] `json:"sex" validate:"omitempty,oneof=FEMALE MALE UNKNOWN"`
	// The postal address. It replaces the previous one as a whole.
	Address patch.Clearable[PostalAddressBody] `json:"address" validate:"omitempty"`
}

// patientBody is a person who is, or was, in the organization's care.
type patientBody struct {
	recordBody
	FirstName           string             `json:"firstName"`
	LastName            string             `json:"lastName"`
	DateOfBirth         calendar.Date      `json:"dateOfBirth"`
	MedicalRecordNumber *string            `json:"medicalRecordNumber"`
	Status              Status             `json:"status"`  // Whether the patient is in care.
	Sex                 *Sex               `json:"sex"`     // The sex that the payer has on file. Null if it is unknown.
	Address             *PostalAddressBody `json:"address"` // The postal address. Null if it is unknown.
}

// Location returns the path of the patient.
func (b patientBody) Location() string { return apiPath + "/patients/" + b.ID.String() }

func patientBodyOf(p Patient) patientBody {
	return patientBody{
		recordBody(p.Record), p.FirstName, p.LastName, p.DateOfBirth, p.MedicalRecordNumber, p.Status, p.Sex,
		postalAddressBodyOf(p.Address),
	}
}

var patientList = listing[Patient, patientBody]{
	orders: map[string]order[Patient]{
		"lastName": {"last_name", "lower(%s)", func(p Patient) string { return p.LastName }},
	},
	idOf:   func(p Patient) uuid.UUID { return p.ID },
	bodyOf: patientBodyOf,
	show:   patients.show,
}

type patientsQuery struct {
	httpx.PageQuery
	Sort string `query:"sort" validate:"omitempty,oneof=createdAt -createdAt lastName -lastName"`
	// The status of the patients.
	Status Status `query:"status" validate:"omitempty,oneof=ACTIVE INACTIVE"`
}

func (s *Service) handlePatients(ctx context.Context, in patientsQuery) (httpx.Page[patientBody], error) {
	return patientList.page(ctx, in.PageQuery, in.Sort, func(ctx context.Context, p Page) ([]Patient, error) {
		return s.Patients(ctx, PatientFilter{Page: p, Status: in.Status})
	})
}

// patientSearch is a request body: names and numbers of patients do not belong in URLs, which are
// logged and stored in browser histories.
type patientSearch struct {
	httpx.PageQuery
	Sort string `query:"sort" validate:"omitempty,oneof=createdAt -createdAt lastName -lastName"`
	// The beginning of the last name.
	LastName            string        `json:"lastName" validate:"omitempty,max=100,text"`
	MedicalRecordNumber string        `json:"medicalRecordNumber" validate:"omitempty,max=50,text"`
	DateOfBirth         calendar.Date `json:"dateOfBirth"`
	// The status of the patients.
	Status Status `json:"status" validate:"omitempty,oneof=ACTIVE INACTIVE"`
}

func (s *Service) handlePatientSearch(ctx context.Context, in patientSearch) (httpx.Page[patientBody], error) {
	return patientList.page(ctx, in.PageQuery, in.Sort, func(ctx context.Context, p Page) ([]Patient, error) {
		return s.Patients(ctx, PatientFilter{
			Page: p, Status: in.Status, LastName: in.LastName, MedicalRecordNumber: in.MedicalRecordNumber,
			DateOfBirth: in.DateOfBirth,
		})
	})
}
