package appointments

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/authorization"
	"omnirapeutic/platform/command"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/permission"
)

// bookingRefusals returns the rules that a booking can break.
func bookingRefusals() []*fault.Error {
	return append([]*fault.Error{
		ErrPractitionerInactive, ErrCredentialMissing, ErrPractitionerOverlap, ErrPractitionerBusy, ErrPatientOverlap,
	}, authorization.Refusals()...)
}

func (s *BookingService) bookingRoutes() []httpx.Route {
	return []httpx.Route{
		{
			Method: http.MethodPost, Path: "/appointments",
			Permission: permission.AppointmentBook, RecordScopes: appointmentOwners.Scopes(),
			Name: "bookAppointment", Summary: "Book an appointment",
			Description: "Books a patient with a practitioner for a service, and reserves the units on the authorization, in " +
				"one transaction. For a group, send `patients` instead of `patientId` and `authorizationId`. For several " +
				"practitioners, send `practitionerIds`; the first one leads. A time in the past is allowed if the authorization " +
				"covers it, for entries from paper records. If the booking is refused, `reasons` lists every rule that it would " +
				"break. With a `recurrenceRule` it books a series at the same time of day in the organization's time zone, even " +
				"across clock changes. The response has the first appointment and all `occurrences`. A series is booked " +
				"completely or not at all; with `allowPartial`, occurrences that break a rule are skipped.",
			Refusals: append([]*fault.Error{ErrSeries, ErrMakeUpExceeds}, bookingRefusals()...),
			Endpoint: httpx.Handle(http.StatusCreated, s.handleBook),
		},
		{
			Method: http.MethodPatch, Path: "/appointments/:id",
			Permission: permission.AppointmentReschedule, RecordScopes: appointmentOwners.Scopes(),
			Name: "changeAppointment", Summary: "Reschedule or change an appointment",
			Description: "A merge patch: fields that are not given stay unchanged. A new time, staff or authorization is " +
				"checked like a booking, and the reservation changes by the difference, in one transaction. That is possible " +
				"while the appointment is SCHEDULED. Notes can always be changed. With `scope` the change applies to this " +
				"appointment and to the SCHEDULED appointments of its series that start later, or to all of them; either all " +
				"change or none. Only fields that differ from this appointment's present values are applied to the others: a new " +
				"date moves each by the same number of days, and a new time of day or length applies to all. Unchanged fields do " +
				"not affect appointments that were changed individually. `patients` replaces the patients of a single " +
				"appointment. A move to a time that the clocks skip on the new day is " +
				"refused (422), like a booking of a series.",
			Refusals: append([]*fault.Error{ErrNotFound, ErrTransition, ErrSeries, ErrMakeUpExceeds}, bookingRefusals()...),
			Endpoint: httpx.Handle(http.StatusOK, s.handleChange),
		},
	}
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
	// The patients with their authorizations, instead of patientId and authorizationId.
	Patients []bookedPatientRequest `json:"patients" validate:"omitempty,min=1,max=20,dive"`
	// The practitioners, instead of practitionerId. The first one leads.
	PractitionerIDs []uuid.UUID `json:"practitionerIds" validate:"omitempty,min=1,max=10"`
	ServiceCodeID   uuid.UUID   `json:"serviceCodeId" validate:"required"`
	// The start, a whole minute.
	StartTime time.Time `json:"startTime" validate:"required"`
	// The end, a whole minute and at most 24 hours later.
	EndTime time.Time `json:"endTime" validate:"required"`
	bookedPlace
	// The notes of the organization.
	Notes *string `json:"notes" validate:"omitempty,max=4000"`
	// The cancelled appointment or no-show that this one makes up for.
	MakeUpFor *uuid.UUID `json:"makeUpFor"`
	// Whether the make-ups may be longer than the missed appointment.
	ExceedsMissedTime bool `json:"exceedsMissedTime"`
	// The recurrence rule (RFC 5545), such as FREQ=WEEKLY;BYDAY=MO,WE;COUNT=20. The
	// appointment is the first of the series.
	RecurrenceRule *string `json:"recurrenceRule" validate:"omitempty,min=1,max=500"`
}

type bookRequest struct {
	command.Keyed
	proposal
	// Whether to book only the appointments of a series that break no rule, and to report the
	// others.
	AllowPartial bool `json:"allowPartial"`
}

// booking returns the requested booking. The error names fields that exclude each other.
func (r proposal) booking() (Booking, error) {
	b := Booking{
		Practitioners: r.PractitionerIDs, ServiceCodeID: r.ServiceCodeID, Span: Span{r.StartTime, r.EndTime},
		Notes: r.Notes, Place: r.place(), MakeUpFor: r.MakeUpFor, ExceedsMissedTime: r.ExceedsMissedTime,
	}
	for _, p := range r.Patients {
		b.Patients = append(b.Patients, BookedPatient(p))
	}
	fieldErrors := r.makeUpErrors()
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

// makeUpErrors returns an error for members that have no effect together. A series makes up for nothing.
func (r proposal) makeUpErrors() []fault.Field {
	switch {
	case r.MakeUpFor != nil && r.RecurrenceRule != nil:
		return []fault.Field{{
			Field: "makeUpFor", Code: "excluded_with", Message: "must not be given together with recurrenceRule",
		}}
	case r.MakeUpFor == nil && r.ExceedsMissedTime:
		return []fault.Field{{
			Field: "exceedsMissedTime", Code: "required_with", Message: "must not be given without makeUpFor",
		}}
	}
	return nil
}

func (s *BookingService) handleBook(ctx context.Context, in bookRequest) (appointmentBody, error) {
	b, err := in.booking()
	if err != nil {
		return appointmentBody{}, err
	}
	if in.RecurrenceRule != nil {
		return s.warned(ctx)(s.BookSeries(ctx, b, *in.RecurrenceRule, in.AllowPartial, in.Key))
	}
	return s.warned(ctx)(s.Book(ctx, b, in.Key))
}

// scoped selects appointments of a series.
type scoped struct {
	// The affected appointments: this one (the default), also later ones of its series, or all
	// of them.
	Scope string `query:"scope" validate:"omitempty,oneof=one following all"`
}

type changeAppointmentRequest struct {
	byID
	matching
	scoped
	StartTime      patch.Field[time.Time] `json:"startTime"`
	EndTime        patch.Field[time.Time] `json:"endTime"`
	PractitionerID patch.Field[uuid.UUID] `json:"practitionerId"`
	// The practitioners, instead of practitionerId. The first one leads.
	PractitionerIDs patch.Field[[]uuid.UUID] `json:"practitionerIds" validate:"omitempty,min=1,max=10"`
	// The authorization of the patient. It can be changed only if the appointment has one
	// patient.
	AuthorizationID patch.Field[uuid.UUID] `json:"authorizationId"`
	// All patients of the appointment, instead of authorizationId. The units of a patient who is no
	// longer in the list are released, and a new one is booked. Only for a single appointment.
	Patients patch.Field[[]bookedPatientRequest] `json:"patients" validate:"omitempty,min=1,max=20,dive"`
	placeChangeFields
	// The reason of given modifiers, for the audit trail. It is required with them.
	ModifierReason *string `json:"modifierReason" validate:"omitempty,min=1,max=500,text"`
	// The notes of the organization.
	Notes patch.Clearable[string] `json:"notes" validate:"omitempty,max=4000" needs:"appointment:read-notes"`
}

func (s *BookingService) handleChange(ctx context.Context, in changeAppointmentRequest) (appointmentBody, error) {
	c := Change{
		Match: in.IfMatch, Start: in.StartTime, End: in.EndTime, Practitioners: in.PractitionerIDs,
		AuthorizationID: in.AuthorizationID, Notes: in.Notes, Place: in.placeChangeFields.change(),
	}
	c.Place.Reason = in.ModifierReason
	if in.PractitionerID.Given {
		if in.PractitionerIDs.Given {
			return appointmentBody{}, fault.InvalidFields(fault.Field{
				Field: "practitionerIds", Code: "excluded_with", Message: "must not be given together with practitionerId",
			})
		}
		c.Practitioners = patch.Set([]uuid.UUID{in.PractitionerID.Value})
	}
	if in.Patients.Given {
		roster := make([]BookedPatient, len(in.Patients.Value))
		for i, p := range in.Patients.Value {
			roster[i] = BookedPatient(p)
		}
		c.Patients = patch.Set(roster)
	}
	return s.warned(ctx)(s.Change(ctx, in.ID, c, Scope(in.Scope)))
}

// warned adds warnings to the response of a booking or a change. If they cannot be computed, the
// response has none: the booking has already been made.
func (s *BookingService) warned(ctx context.Context) func(o Outcome, err error) (appointmentBody, error) {
	return func(o Outcome, err error) (appointmentBody, error) {
		b, err := answerOf(o, err)
		if err != nil {
			return b, err
		}
		b.Warnings, _ = s.availability.warnings(ctx, o.Appointment.OrganizationID, o.Appointment.Practitioners, o.spans(),
			uuid.Nil)
		b.Warnings = append(b.Warnings, groupWarnings(o.Appointment)...)
		return b, nil
	}
}
