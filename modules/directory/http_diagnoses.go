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

func (s *Service) diagnosisRoutes() []httpx.Route {
	return []httpx.Route{
		route("createDiagnosis", http.MethodPost, "/diagnoses", permission.DiagnosisCreate,
			handle(http.StatusCreated, s.CreateDiagnosis, diagnosisBodyOf),
			"Create a diagnosis", "A diagnosis of a patient by its ICD-10-CM code. Every claim line needs at least one that "+
				"applies on its service date.",
			ErrDiagnosisTaken),
		showing("diagnosis", route("listDiagnoses", http.MethodGet, "/diagnoses", permission.DiagnosisRead,
			httpx.Handle(http.StatusOK, s.handleDiagnoses),
			"List diagnoses", "All diagnoses, or only the diagnoses of one patient, in the order of their creation.")),
		showing("diagnosis", route("getDiagnosis", http.MethodGet, "/diagnoses/:id", permission.DiagnosisRead,
			getRoute(s.Diagnosis, diagnosisBodyOf),
			"Get a diagnosis", "One diagnosis.", ErrDiagnosisNotFound)),
		route("changeDiagnosis", http.MethodPatch, "/diagnoses/:id", permission.DiagnosisChange,
			handle(http.StatusOK, s.ChangeDiagnosis, diagnosisBodyOf),
			"Change a diagnosis", "A merge patch: fields that are not given stay unchanged. Patient and code cannot change; "+
				"end the diagnosis and create another instead.",
			ErrDiagnosisNotFound, ErrDiagnosisTaken),
	}
}

// NewDiagnosis is the request for a diagnosis.
type NewDiagnosis struct {
	PatientID uuid.UUID `json:"patientId" validate:"required"`
	// The ICD-10-CM code, such as `F84.0`.
	Code string `json:"code" validate:"required,max=8,text"`
	// The rank among the patient's diagnoses. 1, the default, is the principal diagnosis.
	Rank int `json:"rank" validate:"omitempty,min=1,max=12"`
	// The first day of the diagnosis.
	StartsOn calendar.Date `json:"startsOn" validate:"required"`
	// The last day of the diagnosis. Null if no end is known.
	EndsOn calendar.Date `json:"endsOn"`
}

// DiagnosisChange changes the given fields of a diagnosis. Patient and code cannot change.
type DiagnosisChange struct {
	ID    uuid.UUID   `param:"id"`
	Match patch.Match `header:"If-Match"`
	// The rank among the patient's diagnoses.
	Rank patch.Field[int] `json:"rank" validate:"omitempty,min=1,max=12"`
	// The first day of the diagnosis.
	StartsOn patch.Field[calendar.Date] `json:"startsOn"`
	// The last day of the diagnosis. Null if no end is known.
	EndsOn patch.Clearable[calendar.Date] `json:"endsOn"`
}

// diagnosisBody is a diagnosis of a patient.
type diagnosisBody struct {
	recordBody
	PatientID uuid.UUID     `json:"patientId"`
	Code      string        `json:"code"`               // The ICD-10-CM code.
	Rank      int           `json:"rank"`               // The rank; 1 is the principal diagnosis.
	StartsOn  calendar.Date `json:"startsOn"`           // The first day of the diagnosis.
	EndsOn    calendar.Date `json:"endsOn" null:"true"` // The last day of the diagnosis. Null if no end is known.
	diagnosisReferences
}

// Location returns the path of the diagnosis.
func (b diagnosisBody) Location() string { return apiPath + "/diagnoses/" + b.ID.String() }

func diagnosisBodyOf(d Diagnosis) diagnosisBody {
	return diagnosisBody{recordBody(d.Record), d.PatientID, d.Code, d.Rank, d.StartsOn, d.EndsOn, diagnosisReferences{}}
}

var diagnosisList = listing[Diagnosis, diagnosisBody]{
	idOf:   func(d Diagnosis) uuid.UUID { return d.ID },
	bodyOf: diagnosisBodyOf,
	show:   diagnoses.show,
}

type diagnosesQuery struct {
	httpx.PageQuery
	PatientID uuid.UUID `query:"patientId"`
}

func (s *Service) handleDiagnoses(ctx context.Context, in diagnosesQuery) (httpx.Page[diagnosisBody], error) {
	return diagnosisList.page(ctx, in.PageQuery, "", func(ctx context.Context, p Page) ([]Diagnosis, error) {
		return s.Diagnoses(ctx, DiagnosisFilter{Page: p, PatientID: in.PatientID})
	})
}
