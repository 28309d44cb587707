package directory

import (
	"context"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/permission"
)

// Routes returns the operations of this module's API.
func (s *Service) Routes() []httpx.Route {
	const created, ok = http.StatusCreated, http.StatusOK
	get, post, change := http.MethodGet, http.MethodPost, http.MethodPatch
	var all []httpx.Route
	add := func(
		name, method, path string, permission identity.Permission, endpoint httpx.Endpoint, summary, description string,
		refusals ...*fault.Error,
	) {
		all = append(all, httpx.Route{
			Name: name, Method: method, Path: path, Permission: permission, Endpoint: endpoint,
			Summary: summary, Description: description, Refusals: refusals,
		})
	}

	add("createOrganization", post, "/organizations", permission.OrganizationCreate,
		httpx.Handle(created, s.CreateOrganization),
		"Create an organization", "An organization is a practice. All other records belong to one, and are invisible to "+
			"others. Its time zone decides when its days begin and end.")
	add("listOrganizations", get, "/organizations", permission.OrganizationRead, httpx.Handle(ok, s.handleOrganizations),
		"List organizations", "The caller's own organization, or all of them for administrators of the installation.")
	add("getOrganization", get, "/organizations/:id", permission.OrganizationRead, read(s.Organization),
		"Get an organization", "Name, time zone and settings of an organization.", ErrOrganizationNotFound)
	add("changeOrganization", change, "/organizations/:id", permission.OrganizationChange,
		httpx.Handle(ok, s.ChangeOrganization),
		"Change an organization", "A merge patch: fields that are not given stay unchanged. A new time zone applies from "+
			"the next request on; stored dates do not change. If SCHEDULED appointments start on another date in it, "+
			"`serviceDates` decides about their service dates. MOVE: each gets its new date and is checked like a booking; "+
			"either all move or none. KEEP: they stay. Without it the answer is 409 with the list of these appointments.",
		append(s.zoneRefusals(), ErrOrganizationNotFound)...)
	add("switchOrganization", http.MethodPut, "/organizations/:id/disabled", permission.OrganizationDisable,
		httpx.Handle(ok, s.SwitchOrganization),
		"Disable or enable an organization", "`{\"disabled\": true}` immediately refuses all access to the organization: access tokens, "+
			"API keys, sign-ins, refresh tokens, invitations and calendar links. Streams end, webhooks and reminders wait. "+
			"Nothing is deleted or changed: `false` restores the access. The caller's own organization cannot be disabled.",
		ErrOrganizationNotFound, ErrOwnOrganization)

	add("createPatient", post, "/patients", permission.PatientCreate, httpx.Handle(created, s.CreatePatient),
		"Create a patient", "A patient is a person in the organization's care. "+
			"The medical record number is assigned by the practice and unique.",
		ErrMedicalRecordNumberTaken)
	add("listPatients", get, "/patients", permission.PatientRead, httpx.Handle(ok, s.handlePatients),
		"List patients", "All patients, in the order of their creation unless `sort` says otherwise. "+
			"To find a patient by name or number, use `POST /patients/search`.")
	all[len(all)-1].Reads = "patient"
	add("searchPatients", post, "/patients/search", permission.PatientRead, httpx.Handle(ok, s.handlePatientSearch),
		"Find patients", "Finds patients by the beginning of their last name, their medical record number or their date "+
			"of birth. It is a POST because health data does not belong in URLs. It changes nothing.")
	all[len(all)-1].Reads = "patient"
	all[len(all)-1].ReadOnly = true
	add("getPatient", get, "/patients/:id", permission.PatientRead, read(s.Patient),
		"Get a patient", "One patient of the organization.", ErrPatientNotFound)
	all[len(all)-1].Reads = "patient"
	add("changePatient", change, "/patients/:id", permission.PatientChange, httpx.Handle(ok, s.ChangePatient),
		"Change a patient", "A merge patch: fields that are not given stay unchanged, and `null` clears optional fields. "+
			"A patient who has left becomes INACTIVE; nothing is deleted.",
		ErrPatientNotFound, ErrMedicalRecordNumberTaken)

	add("createPractitioner", post, "/practitioners", permission.PractitionerCreate,
		httpx.Handle(created, s.CreatePractitioner),
		"Create a practitioner", "A practitioner renders services. Credentials such as BCBA or RBT decide which, and can "+
			"expire. The check digit of the NPI is validated.",
		ErrNPITaken)
	add("listPractitioners", get, "/practitioners", permission.PractitionerRead, httpx.Handle(ok, s.handlePractitioners),
		"List practitioners", "All practitioners, in the order of their creation unless `sort` says otherwise.")
	add("getPractitioner", get, "/practitioners/:id", permission.PractitionerRead, read(s.Practitioner),
		"Get a practitioner", "One practitioner with their credentials, including expired ones.", ErrPractitionerNotFound)
	add("changePractitioner", change, "/practitioners/:id", permission.PractitionerChange,
		httpx.Handle(ok, s.ChangePractitioner),
		"Change a practitioner",
		"A merge patch: fields that are not given stay unchanged. Credentials are replaced as a whole.",
		ErrPractitionerNotFound, ErrNPITaken)

	add("createPayer", post, "/payers", permission.PayerCreate, httpx.Handle(created, s.CreatePayer),
		"Create a payer", "A payer authorizes and pays for services. Its rounding rule converts minutes to units, "+
			"and it defines the first day of its weeks.")
	add("listPayers", get, "/payers", permission.PayerRead, httpx.Handle(ok, s.handlePayers),
		"List payers", "All payers of the organization, in the order of their creation unless `sort` says otherwise.")
	add("getPayer", get, "/payers/:id", permission.PayerRead, read(s.Payer),
		"Get a payer", "One payer with its rules.", ErrPayerNotFound)
	add("changePayer", change, "/payers/:id", permission.PayerChange, httpx.Handle(ok, s.ChangePayer),
		"Change a payer", "A merge patch: fields that are not given stay unchanged. A new `rounding` applies from `roundingFrom` on, by default "+
			"from today. It replaces a planned rule of the same day. A rule that has begun stays, because units were computed "+
			"with it.",
		ErrPayerNotFound)

	add("createInsurance", post, "/insurances", permission.InsuranceCreate, httpx.Handle(created, s.CreateInsurance),
		"Create a coverage", "An insurance is one patient's coverage by one payer, with the member number on the patient's card.")
	add("listInsurances", get, "/insurances", permission.InsuranceRead, httpx.Handle(ok, s.handleInsurances),
		"List coverages", "All coverages, or only the coverages of one patient or one payer.")
	all[len(all)-1].Reads = "insurance"
	add("getInsurance", get, "/insurances/:id", permission.InsuranceRead, read(s.Insurance),
		"Get a coverage", "One coverage.", ErrInsuranceNotFound)
	all[len(all)-1].Reads = "insurance"
	add("changeInsurance", change, "/insurances/:id", permission.InsuranceChange, httpx.Handle(ok, s.ChangeInsurance),
		"Change a coverage",
		"A merge patch: fields that are not given stay unchanged. Patient and payer cannot change; create another coverage "+
			"instead.",
		ErrInsuranceNotFound)

	add("createServiceCode", post, "/service-codes", permission.ServiceCodeCreate,
		httpx.Handle(created, s.CreateServiceCode),
		"Create a service code", "The code of a service, such as the CPT code 97153, with the length of its unit and the "+
			"credentials of which the practitioner needs one.",
		ErrServiceCodeTaken)
	add("listServiceCodes", get, "/service-codes", permission.ServiceCodeRead, httpx.Handle(ok, s.handleServiceCodes),
		"List service codes", "All service codes of the organization, or the one with the given code.")
	add("getServiceCode", get, "/service-codes/:id", permission.ServiceCodeRead, read(s.ServiceCode),
		"Get a service code", "One service code.", ErrServiceCodeNotFound)
	add("changeServiceCode", change, "/service-codes/:id", permission.ServiceCodeChange,
		httpx.Handle(ok, s.ChangeServiceCode),
		"Change a service code",
		"A merge patch: fields that are not given stay unchanged. Required credentials are replaced as a whole.",
		ErrServiceCodeNotFound, ErrServiceCodeTaken)

	add("getServicePairs", get, "/service-pairs", permission.ServiceCodeRead, httpx.Handle(ok, s.handleServicePairs),
		"List the services that may overlap", "A patient has one appointment at a time in each lane of services. "+
			"Appointments of different lanes may overlap only if their codes are a pair. A new organization has the pair 97153 and 97155.")
	add("replaceServicePairs", http.MethodPut, "/service-pairs", permission.ServiceCodeChange,
		httpx.Handle(ok, s.ReplaceServicePairs),
		"Replace the services that may overlap", "Replaces the whole list; with an empty list no services may overlap. "+
			"The order of the two codes makes no difference, and the codes need not exist yet. Booked appointments stay unchanged.")
	limited := map[identity.Permission]db.Owners{
		permission.PatientRead: patients.owners, permission.PatientChange: patients.owners,
		permission.InsuranceRead: insurances.owners, permission.InsuranceChange: insurances.owners,
		permission.PractitionerRead: practitioners.owners,
	}
	for i, r := range all {
		all[i].RecordScopes = limited[r.Permission].Scopes()
	}
	return all
}

const base = "/api/v1"

// Location returns the path of the organization.
func (o Organization) Location() string { return base + "/organizations/" + o.ID.String() }

// Location returns the path of the patient.
func (p Patient) Location() string { return base + "/patients/" + p.ID.String() }

// Location returns the path of the practitioner.
func (p Practitioner) Location() string { return base + "/practitioners/" + p.ID.String() }

// Location returns the path of the payer.
func (p Payer) Location() string { return base + "/payers/" + p.ID.String() }

// Location returns the path of the coverage.
func (i Insurance) Location() string { return base + "/insurances/" + i.ID.String() }

// Location returns the path of the service code.
func (c ServiceCode) Location() string { return base + "/service-codes/" + c.ID.String() }

type byID struct {
	ID uuid.UUID `param:"id"`
}

func read[T any](get func(ctx context.Context, id uuid.UUID) (T, error)) httpx.Endpoint {
	return httpx.Handle(http.StatusOK, func(ctx context.Context, in byID) (T, error) { return get(ctx, in.ID) })
}

// order is a sort order of a list, with a record's value of it.
type order[T any] struct {
	column, expression string
	value              func(T) string
}

// pageOf lists one page in the order of sort: a key of orders, or createdAt, which is the order
// of ids. A minus sign reverses it. find is called for one record more than fits on the page.
func pageOf[T any](
	q httpx.PageQuery, sort string, orders map[string]order[T], idOf func(T) uuid.UUID, find func(Page) ([]T, error),
) (httpx.Page[T], error) {
	name, descending := strings.CutPrefix(sort, "-")
	by := orders[name]
	p := Page{Column: by.column, Expression: by.expression, Descending: descending, Limit: q.Size() + 1}
	if err := q.DecodeCursor(&p.After); err != nil {
		return httpx.Page[T]{}, err
	}
	found, err := find(p)
	position := func(t T) any {
		at := db.Position{ID: idOf(t)}
		if by.value != nil {
			at.Value = by.value(t)
		}
		return at
	}
	return httpx.PageOf(q, found, func(t T) T { return t }, position), err
}

var (
	patientOrders = map[string]order[Patient]{
		"lastName": {"last_name", "lower(%s)", func(p Patient) string { return p.LastName }},
	}
	practitionerOrders = map[string]order[Practitioner]{
		"lastName": {"last_name", "lower(%s)", func(p Practitioner) string { return p.LastName }},
	}
	payerOrders        = map[string]order[Payer]{"name": {"name", "lower(%s)", func(p Payer) string { return p.Name }}}
	organizationOrders = map[string]order[Organization]{"name": {
		"name", "lower(%s)", func(o Organization) string { return o.Name },
	}}
	serviceCodeOrders = map[string]order[ServiceCode]{"code": {
		"code", "%s", func(c ServiceCode) string { return c.Code },
	}}
	insuranceOrders = map[string]order[Insurance]{
		"startsOn": {"starts_on", "CAST(%s AS date)", func(i Insurance) string { return i.StartsOn.String() }},
	}
)

type organizationsQuery struct {
	httpx.PageQuery
	Sort string `query:"sort" validate:"omitempty,oneof=createdAt -createdAt name -name"`
}

func (s *Service) handleOrganizations(ctx context.Context, in organizationsQuery) (httpx.Page[Organization], error) {
	return pageOf(in.PageQuery, in.Sort, organizationOrders, func(o Organization) uuid.UUID { return o.ID },
		func(p Page) ([]Organization, error) {
			return s.Organizations(ctx, p)
		})
}

type patientsQuery struct {
	httpx.PageQuery
	Sort string `query:"sort" validate:"omitempty,oneof=createdAt -createdAt lastName -lastName"`
	// The status of the patients.
	Status Status `query:"status" validate:"omitempty,oneof=ACTIVE INACTIVE"`
}

func (s *Service) handlePatients(ctx context.Context, in patientsQuery) (httpx.Page[Patient], error) {
	page, err := pageOf(in.PageQuery, in.Sort, patientOrders, func(p Patient) uuid.UUID { return p.ID }, func(p Page) ([]Patient, error) {
		return s.Patients(ctx, PatientFilter{Page: p, Status: in.Status})
	})
	patients.show(ctx, page.Data...)
	return page, err
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

func (s *Service) handlePatientSearch(ctx context.Context, in patientSearch) (httpx.Page[Patient], error) {
	page, err := pageOf(in.PageQuery, in.Sort, patientOrders, func(p Patient) uuid.UUID { return p.ID }, func(p Page) ([]Patient, error) {
		return s.Patients(ctx, PatientFilter{
			Page: p, Status: in.Status, LastName: in.LastName, MedicalRecordNumber: in.MedicalRecordNumber,
			DateOfBirth: in.DateOfBirth,
		})
	})
	patients.show(ctx, page.Data...)
	return page, err
}

type practitionersQuery struct {
	httpx.PageQuery
	Sort string `query:"sort" validate:"omitempty,oneof=createdAt -createdAt lastName -lastName"`
	// The status of the practitioners.
	Status Status `query:"status" validate:"omitempty,oneof=ACTIVE INACTIVE"`
}

func (s *Service) handlePractitioners(ctx context.Context, in practitionersQuery) (httpx.Page[Practitioner], error) {
	return pageOf(in.PageQuery, in.Sort, practitionerOrders, func(p Practitioner) uuid.UUID { return p.ID },
		func(p Page) ([]Practitioner, error) {
			return s.Practitioners(ctx, PractitionerFilter{Page: p, Status: in.Status})
		})
}

type payersQuery struct {
	httpx.PageQuery
	Sort string `query:"sort" validate:"omitempty,oneof=createdAt -createdAt name -name"`
}

func (s *Service) handlePayers(ctx context.Context, in payersQuery) (httpx.Page[Payer], error) {
	return pageOf(in.PageQuery, in.Sort, payerOrders, func(p Payer) uuid.UUID { return p.ID }, func(p Page) ([]Payer, error) {
		return s.Payers(ctx, p)
	})
}

type insurancesQuery struct {
	httpx.PageQuery
	Sort      string    `query:"sort" validate:"omitempty,oneof=createdAt -createdAt startsOn -startsOn"`
	PatientID uuid.UUID `query:"patientId"`
	PayerID   uuid.UUID `query:"payerId"`
}

func (s *Service) handleInsurances(ctx context.Context, in insurancesQuery) (httpx.Page[Insurance], error) {
	page, err := pageOf(in.PageQuery, in.Sort, insuranceOrders, func(i Insurance) uuid.UUID { return i.ID },
		func(p Page) ([]Insurance, error) {
			return s.Insurances(ctx, InsuranceFilter{Page: p, PatientID: in.PatientID, PayerID: in.PayerID})
		})
	insurances.show(ctx, page.Data...)
	return page, err
}

type serviceCodesQuery struct {
	httpx.PageQuery
	Sort string `query:"sort" validate:"omitempty,oneof=createdAt -createdAt code -code"`
	// The code of the service.
	Code string `query:"code" validate:"omitempty,max=20"`
}

func (s *Service) handleServiceCodes(ctx context.Context, in serviceCodesQuery) (httpx.Page[ServiceCode], error) {
	return pageOf(in.PageQuery, in.Sort, serviceCodeOrders, func(c ServiceCode) uuid.UUID { return c.ID },
		func(p Page) ([]ServiceCode, error) {
			return s.ServiceCodes(ctx, ServiceCodeFilter{Page: p, Code: in.Code})
		})
}

func (s *Service) handleServicePairs(ctx context.Context, _ struct{}) (ServicePairs, error) {
	return s.ServicePairs(ctx)
}
