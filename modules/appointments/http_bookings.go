package appointments

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/authorization"
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/command"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/permission"
	"omnirapeutic/platform/scheduling"
)

// Routes returns the operations of this module's API.
func (s *Service) Routes() []httpx.Route {
	placing := append([]*fault.Error{
		ErrPractitionerInactive, ErrCredentialMissing, ErrPractitionerOverlap, ErrPatientOverlap,
	}, authorization.Refusals()...)
	return append([]httpx.Route{
		{
			Method: http.MethodPost, Path: "/appointments",
			Permission: permission.AppointmentBook, RecordScopes: appointmentOwners.Scopes(),
			Name: "bookAppointment", Summary: "Book an appointment",
			Description: "Books a patient with a practitioner for a service, and reserves the units on the authorization, in one " +
				"transaction. For a group, send `patients` instead of `patientId` and `authorizationId`. For several practitioners, " +
				"send `practitionerIds`; the first one leads. A time in the past is allowed if the authorization covers it, for entries " +
				"from paper records. If the booking is refused, `reasons` lists every rule that it would break. With a `recurrenceRule` " +
				"it books a series at the same time of day in the organization's time zone, even across clock changes. The response has " +
				"the first appointment and all `occurrences`. A series is booked completely or not at all; with `allowPartial`, " +
				"occurrences that break a rule are skipped.",
			Refusals: append([]*fault.Error{ErrSeries}, placing...),
			Endpoint: httpx.Handle(http.StatusCreated, s.handleBook),
		},
		{
			Method: http.MethodGet, Path: "/appointments",
			Permission: permission.AppointmentRead, RecordScopes: appointmentOwners.Scopes(),
			Reads: subjectAppointment,
			Name:  "listAppointments", Summary: "List appointments",
			Description: "Appointments sorted by start, on the days `from` to `to` (both included, in the organization's time zone). " +
				"An appointment that crosses midnight is on both of its days. Filters: patient, practitioner, series, status.",
			Endpoint: httpx.Handle(http.StatusOK, s.handleList),
		},
		{
			Method: http.MethodGet, Path: "/appointments/:id",
			Permission: permission.AppointmentRead, RecordScopes: appointmentOwners.Scopes(),
			Reads: subjectAppointment,
			Name:  "getAppointment", Summary: "Get an appointment",
			Description: "Returns one appointment with its participants and the units that it holds.",
			Refusals:    []*fault.Error{ErrNotFound},
			Endpoint:    httpx.Handle(http.StatusOK, s.handleGet),
		},
		{
			Method: http.MethodPatch, Path: "/appointments/:id",
			Permission: permission.AppointmentReschedule, RecordScopes: appointmentOwners.Scopes(),
			Name: "changeAppointment", Summary: "Reschedule or change an appointment",
			Description: "A merge patch: fields that are not given stay unchanged. A new time, staff or authorization is checked like a " +
				"booking, and the reservation changes by the difference, in one transaction. That is possible while the appointment " +
				"is SCHEDULED. Notes can always be changed. With `scope` the change applies to this appointment and to the SCHEDULED " +
				"appointments of its series that start later, or to all of them; either all change or none. Only fields that differ " +
				"from this appointment's present values are applied to the others: a new date moves each by the same number of days, " +
				"and a new time of day or length applies to all. Unchanged fields do not affect appointments that were changed " +
				"individually. A move to a time that the clocks skip on the new day is refused (422), like a booking of a series.",
			Refusals: append([]*fault.Error{ErrNotFound, ErrTransition, ErrSeries}, placing...),
			Endpoint: httpx.Handle(http.StatusOK, s.handleChange),
		},
		{
			Method: http.MethodPost, Path: "/appointments/:id/start",
			Permission: permission.AppointmentStart, RecordScopes: appointmentOwners.Scopes(),
			Name: "startAppointment", Summary: "Start an appointment",
			Description: "Records that the appointment began at `startTime`; default: now. The time must be within the organization's " +
				"`earlyStartMinutes` before the booked start, or later, and before the booked end. The units stay reserved until " +
				"the appointment is completed.",
			Refusals: []*fault.Error{ErrNotFound, ErrTransition, ErrStartTooEarly, ErrStartTooLate},
			Endpoint: httpx.Handle(http.StatusOK, s.handleStart),
		},
		{
			Method: http.MethodPost, Path: "/appointments/:id/reopen",
			Permission: permission.AppointmentStart, RecordScopes: appointmentOwners.Scopes(),
			Name: "reopenAppointment", Summary: "Undo a start",
			Description: "Sets a started appointment without a session back to SCHEDULED. Its units stay reserved. The reason is in the " +
				"appointment and in the audit trail.",
			Refusals: []*fault.Error{ErrNotFound, ErrTransition},
			Endpoint: httpx.Handle(http.StatusOK, s.handleReopen),
		},
		{
			Method: http.MethodPost, Path: "/appointments/:id/complete",
			Permission: permission.AppointmentComplete, RecordScopes: appointmentOwners.Scopes(),
			Name: "completeAppointment", Summary: "Complete an appointment",
			Description: "Writes the session, and consumes the units of its actual time, once. If it was shorter than booked, the rest is " +
				"released. If it was longer, more units are taken as far as available; the others become the session's " +
				"`unauthorizedUnits`. This also works after the authorization has ended, because documentation is often late. " +
				"Default of `startTime`: the time at which the appointment was started, or else the booked start. Default of " +
				"`endTime`: the booked end, or now if the appointment was started and that is still to come. Times on another date " +
				"than booked, and a session that is longer or shorter than booked by more than the organization's " +
				"`confirmLengthFactor`, need `confirm: true`.",
			Refusals: []*fault.Error{ErrNotFound, ErrTransition, ErrUnconfirmed},
			Endpoint: httpx.Handle(http.StatusOK, s.handleComplete),
		},
		{
			Method: http.MethodPost, Path: "/appointments/:id/cancel",
			Permission: permission.AppointmentCancel, RecordScopes: appointmentOwners.Scopes(),
			Name: "cancelAppointment", Summary: "Cancel an appointment",
			Description: "Releases the units that this appointment holds, and records the user, the time, the reason and whether the " +
				"cancellation was late. With `scope` it also cancels the SCHEDULED appointments of its series that start later, or all " +
				"of them.",
			Refusals: []*fault.Error{ErrNotFound, ErrTransition, ErrSeries},
			Endpoint: httpx.Handle(http.StatusOK, s.handleCancel),
		},
		{
			Method: http.MethodPost, Path: "/appointments/:id/no-show",
			Permission: permission.AppointmentNoShow, RecordScopes: appointmentOwners.Scopes(),
			Name: "noShowAppointment", Summary: "Record a no-show",
			Description: "Records that the patient did not come. It releases the units that the appointment holds, or consumes them if the " +
				"organization's `noShowConsumes` is set. Possible from the booked start on; before that, the appointment can be " +
				"cancelled.",
			Refusals: []*fault.Error{ErrNotFound, ErrTransition, ErrNotBegun},
			Endpoint: httpx.Handle(http.StatusOK, s.handleNoShow),
		},
	}, slices.Concat(s.sessionRoutes(), s.previewRoutes(), s.renewalRoutes(), s.transferRoutes(), s.availabilityRoutes(), s.feedRoutes())...)
}

// roundingBody is the payer's rounding rule that was used.
type roundingBody struct {
	Method   scheduling.Rounding `json:"method"`
	StartsOn calendar.Date       `json:"startsOn"` // the first day on which the rule applies
}

// participantBody is a patient's part in an appointment.
type participantBody struct {
	PatientID       uuid.UUID    `json:"patientId"`
	AuthorizationID uuid.UUID    `json:"authorizationId"`
	ReservationID   *uuid.UUID   `json:"reservationId"` // null: its time has never been long enough for a unit
	Units           int          `json:"units"`         // of the booked time; after completion, of the actual time
	Minutes         int          `json:"minutes"`       // of the booked time; after completion, of the actual time
	UnitMinutes     int          `json:"unitMinutes"`   // the length of a unit
	Rounding        roundingBody `json:"rounding"`
}

// appointmentBody is an appointment in API responses.
type appointmentBody struct {
	command.Replayed `json:"-"`

	ID              uuid.UUID         `json:"id"`
	OrganizationID  uuid.UUID         `json:"organizationId"`
	PatientID       uuid.UUID         `json:"patientId"`       // the first of patients
	PractitionerID  uuid.UUID         `json:"practitionerId"`  // the first of practitionerIds
	AuthorizationID uuid.UUID         `json:"authorizationId"` // of the first patient
	Units           int               `json:"units"`           // of the first patient
	ServiceCodeID   uuid.UUID         `json:"serviceCodeId"`
	Status          Status            `json:"status"`
	StartTime       time.Time         `json:"startTime"`
	EndTime         time.Time         `json:"endTime"`
	ServiceDate     calendar.Date     `json:"serviceDate"` // of the start, in the organization's time zone
	Patients        []participantBody `json:"patients"`
	PractitionerIDs []uuid.UUID       `json:"practitionerIds"` // the first one leads
	Notes           *string           `json:"notes" needs:"appointment:read-notes"`
	SeriesID        *uuid.UUID        `json:"seriesId"`
	SessionID       *uuid.UUID        `json:"sessionId"` // set when the appointment is completed
	StartedAt       *time.Time        `json:"startedAt"`
	ReopenedAt      *time.Time        `json:"reopenedAt"` // the last time that a start was undone
	ReopenedBy      *uuid.UUID        `json:"reopenedBy"`
	ReopenReason    *string           `json:"reopenReason" needs:"appointment:read-notes"`
	CancelledAt     *time.Time        `json:"cancelledAt"` // the time of the cancellation or no-show
	CancelledBy     *uuid.UUID        `json:"cancelledBy"`
	CancelReason    *string           `json:"cancelReason" needs:"appointment:read-notes"`
	LateCancel      bool              `json:"lateCancel"`
	CreatedBy       uuid.UUID         `json:"createdBy"`
	Version         int               `json:"version"`
	CreatedAt       time.Time         `json:"createdAt"`
	UpdatedAt       time.Time         `json:"updatedAt"`

	// Occurrences has all requested appointments of a series: the accepted ones and, with
	// `allowPartial`, the refused ones.
	Occurrences []Occurrence `json:"occurrences,omitempty"`

	// Warnings are concerns about a booking that breaks no rule. They are returned when it is
	// booked or moved.
	Warnings []Warning `json:"warnings,omitempty"`
}

// Location returns the path of the appointment.
func (b appointmentBody) Location() string { return "/api/v1/appointments/" + b.ID.String() }

// Revision returns the version, which the API sends as the ETag.
func (b appointmentBody) Revision() int { return b.Version }

func bodyOf(a Appointment) appointmentBody {
	b := appointmentBody{
		ID: a.ID, OrganizationID: a.OrganizationID, ServiceCodeID: a.ServiceCodeID, Status: a.Status,
		StartTime: a.Start, EndTime: a.End, ServiceDate: a.ServiceDate, PractitionerIDs: a.Practitioners, Notes: a.Notes,
		SeriesID: a.SeriesID, SessionID: a.SessionID, StartedAt: a.StartedAt,
		ReopenedAt: a.ReopenedAt, ReopenedBy: a.ReopenedBy, ReopenReason: a.ReopenReason, CancelledAt: a.CancelledAt, CancelledBy: a.CancelledBy,
		CancelReason: a.CancelReason, LateCancel: a.LateCancel, CreatedBy: a.CreatedBy,
		Version: a.Version, CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt,
	}
	for _, p := range a.Patients {
		b.Patients = append(b.Patients, participantBody{
			p.PatientID, p.AuthorizationID, p.ReservationID, p.Units, p.Minutes, p.UnitMinutes, roundingBody{p.Rounding.Method, p.Rounding.StartsOn},
		})
	}
	if len(b.Patients) > 0 { // it has no patients if the request failed
		b.PatientID, b.AuthorizationID, b.Units = b.Patients[0].PatientID, b.Patients[0].AuthorizationID, b.Patients[0].Units
		b.PractitionerID = b.PractitionerIDs[0]
	}
	return b
}

type byID struct {
	ID uuid.UUID `param:"id"`
}

// matching is the header that makes a change conditional on a version.
type matching struct {
	IfMatch patch.Match `header:"If-Match"`
}

func answerOf(o Outcome, err error) (appointmentBody, error) {
	b := bodyOf(o.Appointment)
	b.Replayed, b.Occurrences = command.Replayed(o.Replayed), o.Occurrences
	return b, err
}

type bookedPatientRequest struct {
	PatientID       uuid.UUID `json:"patientId" validate:"required"`
	AuthorizationID uuid.UUID `json:"authorizationId" validate:"required"`
}

// proposal is a requested appointment.
type proposal struct {
	PatientID       *uuid.UUID `json:"patientId" validate:"required_without=Patients"`
	AuthorizationID *uuid.UUID `json:"authorizationId" validate:"required_with=PatientID"`
	PractitionerID  *uuid.UUID `json:"practitionerId" validate:"required_without=PractitionerIDs"`
	// Instead of patientId and authorizationId.
	Patients        []bookedPatientRequest `json:"patients" validate:"omitempty,min=1,max=20,dive"`
	PractitionerIDs []uuid.UUID            `json:"practitionerIds" validate:"omitempty,min=1,max=10"` // instead of practitionerId
	ServiceCodeID   uuid.UUID              `json:"serviceCodeId" validate:"required"`
	StartTime       time.Time              `json:"startTime" validate:"required"` // a whole minute
	EndTime         time.Time              `json:"endTime" validate:"required"`   // a whole minute, at most 24 hours later
	Notes           *string                `json:"notes" validate:"omitempty,max=4000"`
	// RFC 5545, such as FREQ=WEEKLY;BYDAY=MO,WE;COUNT=20. The appointment is the first of the
	// series.
	RecurrenceRule *string `json:"recurrenceRule" validate:"omitempty,min=1,max=500"`
}

type bookRequest struct {
	command.Keyed
	proposal
	AllowPartial bool `json:"allowPartial"` // of a series: book only the appointments that break no rule, and report the others
}

// booking returns the requested booking. The error names fields that exclude each other.
func (r proposal) booking() (Booking, error) {
	b := Booking{Practitioners: r.PractitionerIDs, ServiceCodeID: r.ServiceCodeID, Span: Span{r.StartTime, r.EndTime}, Notes: r.Notes}
	for _, p := range r.Patients {
		b.Patients = append(b.Patients, BookedPatient(p))
	}
	var fieldErrors []fault.Field
	if r.PatientID != nil || r.AuthorizationID != nil {
		if len(r.Patients) > 0 {
			fieldErrors = append(fieldErrors, fault.Field{
				Field: "patients", Code: "excluded_with", Message: "must not be given together with patientId or authorizationId",
			})
		} else if r.PatientID != nil && r.AuthorizationID != nil {
			b.Patients = []BookedPatient{{*r.PatientID, *r.AuthorizationID}}
		}
	}
	if r.PractitionerID != nil {
		if len(r.PractitionerIDs) > 0 {
			fieldErrors = append(fieldErrors, fault.Field{
				Field: "practitionerIds", Code: "excluded_with", Message: "must not be given together with practitionerId",
			})
		} else {
			b.Practitioners = []uuid.UUID{*r.PractitionerID}
		}
	}
	return b, errorOf(fieldErrors)
}

func (s *Service) handleBook(ctx context.Context, in bookRequest) (appointmentBody, error) {
	b, err := in.booking()
	if err != nil {
		return appointmentBody{}, err
	}
	if in.RecurrenceRule != nil {
		return s.warned(ctx)(s.BookSeries(ctx, b, *in.RecurrenceRule, in.AllowPartial, in.Key))
	}
	return s.warned(ctx)(s.Book(ctx, b, in.Key))
}

func (s *Service) handleGet(ctx context.Context, in byID) (appointmentBody, error) {
	a, err := s.Get(ctx, in.ID)
	return bodyOf(a), err
}

// within has the days of a list.
type within struct {
	From calendar.Date `query:"from"`                                  // the first day
	To   calendar.Date `query:"to" validate:"omitempty,gtefield=From"` // the last day
}

func (w within) days() Days { return Days{w.From, w.To} }

type listRequest struct {
	httpx.PageQuery
	within
	Sort           string    `query:"sort" validate:"omitempty,oneof=startTime -startTime"`
	PatientID      uuid.UUID `query:"patientId"`
	PractitionerID uuid.UUID `query:"practitionerId"`
	SeriesID       uuid.UUID `query:"seriesId"`
	Status         []string  `query:"status" validate:"dive,oneof=SCHEDULED IN_PROGRESS COMPLETED CANCELLED NO_SHOW"`
}

// byStart returns the page of a list that is sorted by start.
func byStart(q httpx.PageQuery, sort string) (db.Keyset, error) {
	page := db.Keyset{Column: "starts_at", Expression: "CAST(%s AS timestamptz)", Descending: sort == "-startTime", Limit: q.Size() + 1}
	return page, q.DecodeCursor(&page.After)
}

func positionOf(start time.Time, id uuid.UUID) any {
	return db.Position{Value: start.UTC().Format(time.RFC3339Nano), ID: id}
}

func (s *Service) handleList(ctx context.Context, in listRequest) (httpx.Page[appointmentBody], error) {
	page, err := byStart(in.PageQuery, in.Sort)
	if err != nil {
		return httpx.Page[appointmentBody]{}, err
	}
	f := Filter{PatientID: in.PatientID, PractitionerID: in.PractitionerID, SeriesID: in.SeriesID, Days: in.days(), Page: page}
	for _, status := range in.Status {
		f.Statuses = append(f.Statuses, Status(status))
	}
	found, err := s.List(ctx, f)
	return httpx.PageOf(in.PageQuery, found, bodyOf, func(a Appointment) any { return positionOf(a.Start, a.ID) }), err
}

// scoped selects appointments of a series.
type scoped struct {
	// This appointment (the default), also later ones of its series, or all of them.
	Scope string `query:"scope" validate:"omitempty,oneof=one following all"`
}

type changeAppointmentRequest struct {
	byID
	matching
	scoped
	StartTime       patch.Field[time.Time]   `json:"startTime"`
	EndTime         patch.Field[time.Time]   `json:"endTime"`
	PractitionerID  patch.Field[uuid.UUID]   `json:"practitionerId"`
	PractitionerIDs patch.Field[[]uuid.UUID] `json:"practitionerIds" validate:"omitempty,min=1,max=10"`
	AuthorizationID patch.Field[uuid.UUID]   `json:"authorizationId"` // only if the appointment has one patient
	Notes           patch.Clearable[string]  `json:"notes" validate:"omitempty,max=4000" needs:"appointment:read-notes"`
}

func (s *Service) handleChange(ctx context.Context, in changeAppointmentRequest) (appointmentBody, error) {
	c := Change{
		Match: in.IfMatch, Start: in.StartTime, End: in.EndTime, Practitioners: in.PractitionerIDs,
		AuthorizationID: in.AuthorizationID, Notes: in.Notes,
	}
	if in.PractitionerID.Given {
		if in.PractitionerIDs.Given {
			return appointmentBody{}, fault.InvalidFields(fault.Field{
				Field: "practitionerIds", Code: "excluded_with", Message: "must not be given together with practitionerId",
			})
		}
		c.Practitioners = patch.Set([]uuid.UUID{in.PractitionerID.Value})
	}
	return s.warned(ctx)(s.Change(ctx, in.ID, c, Scope(in.Scope)))
}

type startRequest struct {
	byID
	command.Keyed
	StartTime *time.Time `json:"startTime"` // default: now; not in the future, and at most 24 hours ago
}

func (s *Service) handleStart(ctx context.Context, in startRequest) (appointmentBody, error) {
	return answerOf(s.Start(ctx, in.ID, in.StartTime, in.Key))
}

type reopenRequest struct {
	byID
	command.Keyed
	Reason string `json:"reason" validate:"required,max=500,text"`
}

func (s *Service) handleReopen(ctx context.Context, in reopenRequest) (appointmentBody, error) {
	return answerOf(s.Reopen(ctx, in.ID, in.Reason, in.Key))
}

type cancelRequest struct {
	byID
	command.Keyed
	scoped
	Reason *string `json:"reason" validate:"omitempty,min=1,max=500,text"`
}

func (s *Service) handleCancel(ctx context.Context, in cancelRequest) (appointmentBody, error) {
	return answerOf(s.Cancel(ctx, in.ID, in.Reason, Scope(in.Scope), in.Key))
}

type noShowRequest struct {
	byID
	command.Keyed
	Reason *string `json:"reason" validate:"omitempty,min=1,max=500,text"`
}

func (s *Service) handleNoShow(ctx context.Context, in noShowRequest) (appointmentBody, error) {
	return answerOf(s.NoShow(ctx, in.ID, in.Reason, in.Key))
}
