package appointments

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/directory"
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/command"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/record"
)

// Booking has the fields of an appointment to book.
type Booking struct {
	Patients      []BookedPatient // 1 to [MaxPatients], each once
	Practitioners []uuid.UUID     // 1 to [MaxPractitioners], each once; the first one leads
	ServiceCodeID uuid.UUID
	Span          // in whole minutes, at most [MaxLength]; may be in the past, for entries from paper records
	Notes         *string
	Place         // without a time zone
	// MakeUpFor is the missed appointment that the booking makes up for, or nil.
	MakeUpFor *uuid.UUID `json:",omitempty"`
	// ExceedsMissedTime accepts that the make-ups are longer than the missed appointment.
	ExceedsMissedTime bool `json:",omitempty"`

	roster bool // of a change: fields of patients always have an index
}

// BookedPatient is a patient and the authorization to take the units from.
type BookedPatient struct {
	PatientID       uuid.UUID
	AuthorizationID uuid.UUID
}

// Change is a change of an appointment. Fields that are not given stay unchanged.
type Change struct {
	Match           patch.Match // the versions that the change applies to
	Start           patch.Field[time.Time]
	End             patch.Field[time.Time]
	Practitioners   patch.Field[[]uuid.UUID]
	AuthorizationID patch.Field[uuid.UUID]       // only if the appointment has one patient
	Patients        patch.Field[[]BookedPatient] // all patients: the others are removed
	Notes           patch.Clearable[string]
	Place           PlaceChange
}

// Completion has the fields of a session. Start defaults to the recorded start, or else to the
// booked start. End defaults to the booked end, or to now if the appointment was started and the
// booked end is in the future.
type Completion struct {
	Start, End *time.Time
	Narrative  *string
	Confirm    bool         // confirms times that differ considerably from the booked ones
	Patients   []Attendance // of patients who were absent or have own times; each once
	Overlap    *string      // the reason to accept an overlap with another session
	ClockOut   *Coordinates `json:",omitempty"` // of a completion that is also the clock-out
}

// Attendance is a patient's presence in a session.
type Attendance struct {
	PatientID  uuid.UUID
	Attended   *bool // nil: true
	Start, End *time.Time
}

// absent reports whether the patient did not come.
func (a Attendance) absent() bool { return a.Attended != nil && !*a.Attended }

// Cancellation says which side cancels an appointment, and why.
type Cancellation struct {
	Party    *directory.Party // nil: the party of the reason
	ReasonID *uuid.UUID       // of the organization's list of reasons
}

// kind is the kind of a request.
type kind string

const (
	book       kind = "book"
	reschedule kind = "reschedule"
	start      kind = "start"
	reopen     kind = "reopen" // of a start, a cancellation or a no-show
	complete   kind = "complete"
	cancel     kind = "cancel"
	noShow     kind = "no-show"
	clockOut   kind = "clock-out"
	correct    kind = "correct"  // of a session
	void       kind = "void"     // of a session
	transfer   kind = "transfer" // of bookings, from one authorization to another

	// recountUnits is the kind under which changes of other appointments of a visit are recorded.
	recountUnits kind = "recount"
)

// request is one call. Its ids are chosen before the transaction begins, so that it can be found
// after an ambiguous COMMIT and retried after any failure.
type request struct {
	command.Call
	kind        kind
	caller      identity.Caller
	zone        *time.Location
	appointment uuid.UUID

	reservations []uuid.UUID // ids of reservations to create, by patient index
	session      uuid.UUID   // id of the session to create, to correct or to void

	booking Booking
	rule    string    // recurrence rule of a series
	partial bool      // of a series: book only the appointments that break no rule
	series  uuid.UUID // the series that a booking creates or belongs to
	scope   Scope     // of a change or a cancellation
	parts   []request // one per appointment, of a request for several
	change  Change
	// If redates is set, the organization's time zone changes, and with it the appointment's
	// service date. Its time stays.
	redates bool
	// knownRefusal is a refusal that was found before the decision, or nil: a part of a series change whose day
	// does not have the new time, or a correction that the caller may no longer make. It is stored like others, and
	// a request that took effect earlier is repeated without it.
	knownRefusal *fault.Error
	completion   Completion
	correction   Correction
	voidedTo     Status     // the appointment's status after its session is voided
	started      *time.Time // the given time of a start; nil: now
	reason       *string
	weekdays     []WeekdayChange  // of a change of a series: other weekdays
	action       OccurrenceAction // of a part of such a change
	cancellation *Cancellation    // of a cancellation that has more than a text
	coordinates  *Coordinates     // of a clock-in or a clock-out
	transfer     *Transfer        // of a transfer
	since        calendar.Date    // of a transfer: the first day, even if the transfer does not give it
	settling     *strandedSet     // of a request for appointments that a change of their authorization would strand
}

// asRecount returns the request as the cause of changes of other appointments.
func (r request) asRecount() request {
	r.kind = recountUnits
	return r
}

func (r request) key() record.Key {
	return record.Of(r.caller.OrganizationID, r.appointment)
}

// fingerprint returns a hash by which two requests with one id are compared. It excludes the caller
// and the generated ids.
func (r request) fingerprint() []byte {
	appointment := r.appointment
	if r.kind == book {
		appointment = uuid.Nil
	}
	members := []any{
		r.kind, appointment, r.booking, r.change, r.completion, r.reason, r.rule, r.partial, r.scope,
		r.started, r.correction, r.voidedTo,
	}
	if r.transfer != nil {
		members = append(members, *r.transfer)
	}
	if r.coordinates != nil {
		members = append(members, *r.coordinates)
	}
	if r.weekdays != nil {
		members = append(members, r.weekdays)
	}
	if r.cancellation != nil {
		members = append(members, *r.cancellation)
	}
	encoded, err := json.Marshal(members)
	if err != nil {
		panic(fmt.Sprintf("appointments: encode a request as JSON: %v", err))
	}
	sum := sha256.Sum256(encoded)
	return sum[:]
}

// fieldErrors returns the field errors of a span.
func (s Span) fieldErrors() []fault.Field {
	var fieldErrors []fault.Field
	for _, each := range []struct {
		name string
		at   time.Time
	}{{"startTime", s.Start}, {"endTime", s.End}} {
		switch {
		case !calendar.InstantInRange(each.at): // result of a series or a move
			fieldErrors = append(fieldErrors, fault.Field{
				Field: each.name, Code: "range", Message: fmt.Sprintf("must be from %s to %s", calendar.First, calendar.Last),
			})
		case !each.at.Truncate(time.Minute).Equal(each.at):
			fieldErrors = append(fieldErrors, fault.Field{Field: each.name, Code: "minute", Message: "must be a whole minute"})
		}
	}
	if len(fieldErrors) > 0 {
		return fieldErrors
	}
	switch {
	case !s.Start.Before(s.End):
		fieldErrors = append(fieldErrors, fault.Field{Field: "endTime", Code: "gtfield", Message: "must be after startTime"})
	case s.End.Sub(s.Start) > MaxLength:
		fieldErrors = append(fieldErrors, fault.Field{
			Field: "endTime", Code: "length", Message: "must not be more than 24 hours after startTime",
		})
	}
	return fieldErrors
}

// check returns the errors of a booking that do not depend on stored state.
func (b Booking) check() error {
	fieldErrors := b.Span.fieldErrors()
	fieldErrors = append(fieldErrors, staffErrors(b.Practitioners)...)
	return errorOf(append(fieldErrors, b.patientErrors()...))
}

// patientErrors returns an error for each patient that is given twice, and for a wrong number.
func (b Booking) patientErrors() []fault.Field {
	var fieldErrors []fault.Field
	if n := len(b.Patients); n == 0 || n > MaxPatients {
		fieldErrors = append(fieldErrors, fault.Field{
			Field: "patients", Code: "range", Message: fmt.Sprintf("must have between 1 and %d entries", MaxPatients),
		})
	}
	seen := map[uuid.UUID]bool{}
	for i, p := range b.Patients {
		if seen[p.PatientID] {
			fieldErrors = append(fieldErrors, fault.Field{
				Field: b.field(i, "patientId"), Code: "duplicate",
				Message: "is given twice",
			})
		}
		seen[p.PatientID] = true
	}
	return fieldErrors
}

func errorOf(fieldErrors []fault.Field) error {
	if len(fieldErrors) == 0 {
		return nil
	}
	return fault.InvalidFields(fieldErrors...)
}

// field returns the name of a patient's field. A booking of one patient uses the short form.
func (b Booking) field(i int, name string) string {
	if len(b.Patients) == 1 && !b.roster {
		return name
	}
	return patientField(i, name)
}

func patientField(i int, name string) string { return fmt.Sprintf("patients[%d].%s", i, name) }

func staffErrors(practitioners []uuid.UUID) []fault.Field {
	if n := len(practitioners); n == 0 || n > MaxPractitioners {
		return []fault.Field{{
			Field: "practitionerIds", Code: "range", Message: fmt.Sprintf("must have between 1 and %d entries",
				MaxPractitioners),
		}}
	}
	var fieldErrors []fault.Field
	seen := map[uuid.UUID]bool{}
	for i, id := range practitioners {
		if seen[id] {
			fieldErrors = append(fieldErrors, fault.Field{
				Field: staffField(practitioners, i), Code: "duplicate",
				Message: "is given twice",
			})
		}
		seen[id] = true
	}
	return fieldErrors
}

func staffField(practitioners []uuid.UUID, i int) string {
	if len(practitioners) == 1 {
		return "practitionerId"
	}
	return fmt.Sprintf("practitionerIds[%d]", i)
}
