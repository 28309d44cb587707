package appointments

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/operation"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/scheduling"
)

// Key lets a client ask again after any failure: requests with the same key by the
// same user are one request. The zero value is no key.
type Key string

// keyNamespace makes operation ids of keys; it must never change.
var keyNamespace = uuid.MustParse("1c2f3c55-9d2e-4a8f-9a0d-52f6a3c4b7e9")

// Booking is what a person enters of an appointment.
type Booking struct {
	Patients      []BookedPatient // 1 to [MaxPatients], each once
	Practitioners []uuid.UUID     // 1 to [MaxPractitioners], each once; the first one leads
	ServiceCodeID uuid.UUID
	Span          // in whole minutes, at most [MaxLength]; the past is allowed: it is how paper catches up
	Notes         *string
}

// BookedPatient is a patient and the authorization that the units are taken from.
type BookedPatient struct {
	PatientID       uuid.UUID
	AuthorizationID uuid.UUID
}

// Change is a change of an appointment. Fields that are not given stay as they are.
type Change struct {
	Match           patch.Match // which versions the change is meant for
	Start           patch.Field[time.Time]
	End             patch.Field[time.Time]
	Practitioners   patch.Field[[]uuid.UUID]
	AuthorizationID patch.Field[uuid.UUID] // of an appointment with one patient
	Notes           patch.Clearable[string]
}

// Completion is what is entered of a session; nil stands for what is known: the
// start for when it was started, or else for the booked one; the end for the booked
// one, or for now where that is still to come and it was started.
type Completion struct {
	Start, End *time.Time
	Narrative  *string
	Confirm    bool // confirms times that differ much from the booked ones
}

// kind says what a request asks for.
type kind string

const (
	book       kind = "book"
	reschedule kind = "reschedule"
	start      kind = "start"
	reopen     kind = "reopen"
	complete   kind = "complete"
	cancel     kind = "cancel"
	noShow     kind = "no-show"
	transfer   kind = "transfer" // of bookings, from one authorization to another
)

// request is what somebody asks for in one call. Its ids are chosen before any
// transaction begins, so that it can be found again after an ambiguous COMMIT, and
// asked for again after any failure.
type request struct {
	kind        kind
	caller      identity.Caller
	operation   uuid.UUID // repeated, it takes effect once
	call        uuid.UUID // tells it from others with the same key
	repeatable  bool      // the client chose the operation's id and may ask again: a refusal is remembered too
	zone        *time.Location
	appointment uuid.UUID

	reservations []uuid.UUID // ids of those that it may make, by the places of the patients
	session      uuid.UUID   // id of the one that it may write

	booking Booking
	rule    string    // recurrence rule of a series
	partial bool      // of a series: book only the appointments that break no rule
	series  uuid.UUID // the series that a booking creates or belongs to
	scope   Scope     // of a change or a cancellation
	parts   []request // one for each appointment of a request for several
	change  Change
	// redates: the organization's time zone changes, and with it the appointment's service date.
	// Its time stays.
	redates bool
	// unplaceable is the refusal of a part of a series change whose day does not have the new time;
	// otherwise nil.
	unplaceable *fault.Error
	completion  Completion
	started     *time.Time // the given time of a start; nil: now
	reason      *string
	transfer    *Transfer     // of a transfer
	since       calendar.Date // of a transfer: the first day, even if the transfer does not give it
	settling    *settling     // of a request for appointments that a change of their authorization would strand
}

func (r request) key() scheduling.Key {
	return scheduling.Key{OrganizationID: r.caller.OrganizationID, ID: r.appointment}
}

func (r request) operationKey() operation.Key {
	return operation.Key{OrganizationID: r.caller.OrganizationID, ID: r.operation}
}

// fingerprint tells whether two requests with one id ask for the same thing. It
// leaves out who asks, and what was chosen for the request, not by it.
func (r request) fingerprint() []byte {
	appointment := r.appointment
	if r.kind == book {
		appointment = uuid.Nil
	}
	members := []any{r.kind, appointment, r.booking, r.change, r.completion, r.reason, r.rule, r.partial, r.scope, r.started}
	if r.transfer != nil {
		members = append(members, *r.transfer)
	}
	asked, err := json.Marshal(members)
	if err != nil {
		panic(fmt.Sprintf("appointments: a request cannot be written as JSON: %v", err))
	}
	sum := sha256.Sum256(asked)
	return sum[:]
}

// wrong returns what is wrong with a span, whatever the state.
func (s Span) wrong() []fault.Field {
	var wrong []fault.Field
	for _, each := range []struct {
		name string
		at   time.Time
	}{{"startTime", s.Start}, {"endTime", s.End}} {
		switch {
		case !calendar.InstantInRange(each.at): // result of a series or a move
			wrong = append(wrong, fault.Field{
				Field: each.name, Code: "range", Message: fmt.Sprintf("must be from %s to %s", calendar.First, calendar.Last),
			})
		case !each.at.Truncate(time.Minute).Equal(each.at):
			wrong = append(wrong, fault.Field{Field: each.name, Code: "minute", Message: "must be a whole minute"})
		}
	}
	if len(wrong) > 0 {
		return wrong
	}
	switch {
	case !s.Start.Before(s.End):
		wrong = append(wrong, fault.Field{Field: "endTime", Code: "gtfield", Message: "must be after startTime"})
	case s.End.Sub(s.Start) > MaxLength:
		wrong = append(wrong, fault.Field{Field: "endTime", Code: "length", Message: "must not be more than 24 hours after startTime"})
	}
	return wrong
}

// check refuses what is wrong with a booking whatever the state.
func (b Booking) check() error {
	wrong := b.Span.wrong()
	wrong = append(wrong, wrongStaff(b.Practitioners)...)
	if n := len(b.Patients); n == 0 || n > MaxPatients {
		wrong = append(wrong, fault.Field{Field: "patients", Code: "range", Message: fmt.Sprintf("must have between 1 and %d entries", MaxPatients)})
	}
	seen := map[uuid.UUID]bool{}
	for i, p := range b.Patients {
		if seen[p.PatientID] {
			wrong = append(wrong, fault.Field{Field: b.field(i, "patientId"), Code: "duplicate", Message: "takes part already"})
		}
		seen[p.PatientID] = true
	}
	return errorOf(wrong)
}

func errorOf(wrong []fault.Field) error {
	if len(wrong) == 0 {
		return nil
	}
	return fault.InvalidFields(wrong...)
}

// field names a field of a patient: of one patient, the short form does.
func (b Booking) field(place int, name string) string {
	if len(b.Patients) == 1 {
		return name
	}
	return fmt.Sprintf("patients[%d].%s", place, name)
}

func wrongStaff(practitioners []uuid.UUID) []fault.Field {
	if n := len(practitioners); n == 0 || n > MaxPractitioners {
		return []fault.Field{{
			Field: "practitionerIds", Code: "range", Message: fmt.Sprintf("must have between 1 and %d entries", MaxPractitioners),
		}}
	}
	var wrong []fault.Field
	seen := map[uuid.UUID]bool{}
	for i, id := range practitioners {
		if seen[id] {
			wrong = append(wrong, fault.Field{Field: staffField(practitioners, i), Code: "duplicate", Message: "takes part already"})
		}
		seen[id] = true
	}
	return wrong
}

func staffField(practitioners []uuid.UUID, place int) string {
	if len(practitioners) == 1 {
		return "practitionerId"
	}
	return fmt.Sprintf("practitionerIds[%d]", place)
}
