package appointments

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/command"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/permission"
)

func (s *Service) correctionRoutes() []httpx.Route {
	correcting := []*fault.Error{
		ErrSessionNotFound, ErrSessionVoided, ErrUnconfirmed, ErrCredentialMissing, ErrPractitionerInactive, ErrNotToday,
		ErrSessionExported,
		ErrSessionSigned,
		ErrSessionOverlap,
	}
	return []httpx.Route{
		{
			Method: http.MethodPost, Path: "/sessions/:id/correct",
			Permission: permission.SessionCorrect, RecordScopes: sessionOwners.Scopes(),
			Name: "correctSession", Summary: "Correct a session",
			Description: "Replaces the times, practitioners, patients, authorizations or place of a session. One transaction takes " +
				"back the units that the session consumed and consumes the right ones, computed by the payer's rule of the " +
				"service date. The ledger's entries name what they correct. Fields that are not given stay unchanged. " +
				"`patients` lists all patients of the session: one who is missing is removed, and a new one needs an " +
				"`authorizationId`. A correction without any change also consumes units that were unauthorized before and are " +
				"available now. Users who may correct only their own sessions can do so on the day of the session, " +
				"until it is signed. After a correction the session needs new signatures.",
			Refusals: correcting,
			Endpoint: httpx.Handle(http.StatusOK, s.handleCorrect),
		},
		{
			Method: http.MethodPost, Path: "/sessions/:id/correct/preview",
			Permission: permission.SessionCorrect, RecordScopes: sessionOwners.Scopes(), ReadOnly: true, Reads: subjectSession,
			Name: "previewCorrection", Summary: "Preview a correction of a session",
			Description: "The session before and after a correction with these fields. Nothing is written.",
			Refusals:    correcting,
			Endpoint:    httpx.Handle(http.StatusOK, s.handlePreviewCorrection),
		},
		{
			Method: http.MethodPost, Path: "/sessions/:id/void",
			Permission: permission.SessionVoid, RecordScopes: sessionOwners.Scopes(),
			Name: "voidSession", Summary: "Void a session",
			Description: "Takes back all units of a session that did not take place, and gives its appointment the status " +
				"`appointment`. With `SCHEDULED` the appointment is booked again: its time and units must be free. With " +
				"`NO_SHOW` its booked units are consumed if `noShowConsumes` of the payer, or else of the organization, is set.",
			Refusals: slices.Concat([]*fault.Error{
				ErrSessionNotFound, ErrSessionVoided, ErrNotToday, ErrSessionSigned, ErrSessionExported,
			}, bookingRefusals()),
			Endpoint: httpx.Handle(http.StatusOK, s.handleVoid),
		},
		{
			Method: http.MethodGet, Path: "/sessions/:id/versions",
			Permission: permission.SessionRead, RecordScopes: sessionOwners.Scopes(), Reads: subjectSession,
			Name: "listSessionVersions", Summary: "List the versions of a session",
			Description: "All versions, oldest first: the completion, each correction, each recount of its visit, and the void. " +
				"The last one is in force.",
			Refusals: []*fault.Error{ErrSessionNotFound},
			Endpoint: httpx.Handle(http.StatusOK, s.handleVersions),
		},
	}
}

// correctedPatientBody is a patient of a corrected session.
type correctedPatientBody struct {
	PatientID uuid.UUID  `json:"patientId" validate:"required"`
	Attended  *bool      `json:"attended"`  // Whether the patient came.
	StartTime *time.Time `json:"startTime"` // The time at which the patient came.
	EndTime   *time.Time `json:"endTime"`   // The time at which the patient left.
	// The authorization. It stays unchanged if it is not given, and is required for a new patient.
	AuthorizationID *uuid.UUID `json:"authorizationId"`
}

// correctionFields are the corrected fields of a session. Fields that are not given stay unchanged.
type correctionFields struct {
	byID
	matching
	StartTime *time.Time `json:"startTime"` // The actual start.
	EndTime   *time.Time `json:"endTime"`   // The actual end, not in the future.
	// The practitioners. The first one leads.
	PractitionerIDs []uuid.UUID `json:"practitionerIds" validate:"omitempty,min=1,max=10"`
	// All patients of the session.
	Patients []correctedPatientBody `json:"patients" validate:"omitempty,min=1,max=20,dive"`
	placeChangeFields
	// Whether times that differ much from the booked ones are right.
	Confirm bool `json:"confirm"`
	// The reason to accept an overlap with another session. This needs `session:accept-overlap`.
	OverlapReason *string `json:"overlapReason" validate:"omitempty,min=1,max=500,text"`
}

func (f correctionFields) correction() Correction {
	c := Correction{
		Match: f.IfMatch, Start: f.StartTime, End: f.EndTime, Practitioners: f.PractitionerIDs, Confirm: f.Confirm,
		Overlap: f.OverlapReason,
		Place:   f.placeChangeFields.change(),
	}
	for _, p := range f.Patients {
		c.Patients = append(c.Patients, CorrectedPatient{
			Attendance{p.PatientID, p.Attended, p.StartTime, p.EndTime}, p.AuthorizationID,
		})
	}
	return c
}

type correctRequest struct {
	correctionFields
	command.Keyed
	Reason string `json:"reason" validate:"required,max=500,text"` // The reason of the correction.
}

// correctedBody is a corrected or voided session.
type correctedBody struct {
	command.Replayed `json:"-"`

	Session     sessionBody     `json:"session"`     // The session in its new version.
	Appointment appointmentBody `json:"appointment"` // The appointment of the session.
	// The new versions of the other sessions of the visit whose units changed.
	Recounted []sessionBody `json:"recounted"`
}

func correctedBodyOf(c Corrected) correctedBody {
	b := correctedBody{
		Replayed: command.Replayed(c.Replayed), Session: sessionBodyOf(c.Session), Appointment: bodyOf(c.Appointment),
		Recounted: []sessionBody{},
	}
	for _, each := range c.Recounted {
		b.Recounted = append(b.Recounted, sessionBodyOf(each))
	}
	return b
}

func (s *Service) handleCorrect(ctx context.Context, in correctRequest) (correctedBody, error) {
	done, err := s.Correct(ctx, in.ID, in.correction(), in.Reason, in.Key)
	if err != nil {
		return correctedBody{}, err
	}
	return correctedBodyOf(done), nil
}

type previewCorrectionRequest struct{ correctionFields }

// correctionPreviewBody is the result of a preview of a correction.
type correctionPreviewBody struct {
	Current   sessionBody `json:"current"`   // The session as it is.
	Corrected sessionBody `json:"corrected"` // The session as it would be.
	// The other sessions of the visit as they would be, if their units would change.
	Recounted []sessionBody `json:"recounted"`
}

func (s *Service) handlePreviewCorrection(
	ctx context.Context, in previewCorrectionRequest,
) (correctionPreviewBody, error) {
	p, err := s.PreviewCorrection(ctx, in.ID, in.correction())
	if err != nil {
		return correctionPreviewBody{}, err
	}
	b := correctedBodyOf(p.Corrected)
	return correctionPreviewBody{sessionBodyOf(p.Current), b.Session, b.Recounted}, nil
}

type voidRequest struct {
	byID
	matching
	command.Keyed
	Reason string `json:"reason" validate:"required,max=500,text"` // The reason of the void.
	// The status of the appointment afterwards.
	Appointment Status `json:"appointment" validate:"required,oneof=CANCELLED NO_SHOW SCHEDULED"`
}

func (s *Service) handleVoid(ctx context.Context, in voidRequest) (correctedBody, error) {
	done, err := s.Void(ctx, in.ID, Correction{Match: in.IfMatch}, in.Appointment, in.Reason, in.Key)
	if err != nil {
		return correctedBody{}, err
	}
	return correctedBodyOf(done), nil
}

// sessionVersionBody is a version of a session.
type sessionVersionBody struct {
	Version int `json:"version"`
	// The change that made this version.
	Change    SessionChange `json:"change"`
	ChangedAt time.Time     `json:"changedAt"` // The time of the change.
	ChangedBy uuid.UUID     `json:"changedBy"` // The user who made this version.
	// The reason of a correction or a void.
	ChangeReason    *string              `json:"changeReason" needs:"session:read-narrative"`
	StartTime       time.Time            `json:"startTime"`
	EndTime         time.Time            `json:"endTime"`
	ServiceDate     calendar.Date        `json:"serviceDate"`
	PractitionerIDs []uuid.UUID          `json:"practitionerIds"` // The practitioners. The first one leads.
	Patients        []sessionPatientBody `json:"patients"`        // The patients with their units.
	// The number of units of all patients that no authorization covered.
	UnauthorizedUnits int `json:"unauthorizedUnits"`
	placeBody
	sessionVersionReferences
}

// sessionVersionsBody has all versions of a session, oldest first.
type sessionVersionsBody struct {
	Versions []sessionVersionBody `json:"versions"` // The versions, oldest first.
}

func (s *Service) handleVersions(ctx context.Context, in byID) (sessionVersionsBody, error) {
	found, err := s.Versions(ctx, in.ID)
	b := sessionVersionsBody{Versions: []sessionVersionBody{}}
	for _, v := range found {
		s := sessionBodyOf(v.Session)
		b.Versions = append(b.Versions, sessionVersionBody{
			Version: s.Version, Change: s.Change, ChangedAt: v.ChangedAt, ChangedBy: s.ChangedBy,
			ChangeReason: s.ChangeReason, StartTime: s.StartTime, EndTime: s.EndTime, ServiceDate: s.ServiceDate,
			PractitionerIDs: s.PractitionerIDs, Patients: s.Patients, UnauthorizedUnits: s.UnauthorizedUnits,
			placeBody: s.placeBody,
		})
	}
	return b, err
}
