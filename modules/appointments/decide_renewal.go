package appointments

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/authorization"
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/record"
)

// refuseTransfer returns an error if one of the two authorizations does not exist, or if they do
// not match.
func (s *records) refuseTransfer(r request) *fault.Error {
	from, ok := s.ledger.Authorization(r.caller.OrganizationID, r.transfer.From)
	if !ok {
		return authorization.ErrNotFound
	}
	to, ok := s.ledger.Authorization(r.caller.OrganizationID, r.transfer.To)
	var message string
	switch {
	case !ok:
		message = "does not exist"
	case r.transfer.To == r.transfer.From:
		message = "must be another authorization"
	case to.PatientID != from.PatientID:
		message = "belongs to another patient"
	case to.ServiceCodeID != from.ServiceCodeID:
		message = "is for another service"
	default:
		return nil
	}
	field := "toAuthorizationId"
	if r.settling != nil {
		field = "moveToAuthorizationId" // the field of an authorization's change
	}
	return fault.InvalidFields(fault.Field{Field: field, Code: "reference", Message: message})
}

// withoutChangedParts returns the request without the parts whose appointments earlier requests of the
// batch have started, cancelled or moved. Appointments that these requests have booked are not
// moved, as if they had been booked later.
func (s *bookingState) withoutChangedParts(r request) request {
	if r.kind != transfer {
		return r
	}
	r.parts = slices.DeleteFunc(slices.Clone(r.parts), func(part request) bool {
		return !r.moves(s.appointments[part.key()])
	})
	return r
}

func refuseServiceDates(occurrences []Occurrence) *fault.Error {
	return ErrServiceDatesRefused.With(MoveRefusal{occurrences},
		"%d of the %d appointments cannot have the service date of the new time zone.",
		refusedOf(occurrences), len(occurrences))
}

// Transfer moves bookings from one authorization of a patient to another, for example after a
// renewal: the SCHEDULED ones from the first day on.
type Transfer struct {
	From  uuid.UUID     // the authorization to move bookings from
	To    uuid.UUID     // another one of the same patient, for the same service
	Since calendar.Date // the first service date; zero: today in the organization's time zone
}

// concerns reports whether the transfer moves the participant's units.
func (t Transfer) concerns(p Participant) bool {
	return p.AuthorizationID == t.From || p.AuthorizationID == t.To
}

func refuseMove(occurrences []Occurrence) *fault.Error {
	return ErrMove.With(MoveRefusal{occurrences}, "%d of the %d bookings cannot be moved, so none was moved.",
		refusedOf(occurrences), len(occurrences))
}

// refusedOf counts the refused occurrences.
func refusedOf(occurrences []Occurrence) int {
	refused := 0
	for _, o := range occurrences {
		if len(o.Reasons) > 0 {
			refused++
		}
	}
	return refused
}

// withFirstDay returns the request to run: a transfer without a first day starts today. The original
// transfer stays unchanged, so a retry on another day has the same fingerprint.
func (r request) withFirstDay(now time.Time) request {
	if r.transfer == nil {
		return r
	}
	if r.since = r.transfer.Since; r.since.IsZero() {
		r.since = calendar.DateIn(now, r.zone)
	}
	return r
}

// subject returns the id of the request's subject.
func (r request) subject() uuid.UUID {
	if r.transfer != nil {
		return r.transfer.From
	}
	return r.appointment
}

// spreadTransfers splits transfers into parts, one for each appointment that moves, sorted by
// start. backed has the appointments by request index.
func spreadTransfers(requests []request, backed map[int][]record.Key, existing map[record.Key]Appointment) []request {
	for i, r := range requests {
		if r.kind != transfer {
			continue
		}
		parts := []request{}
		for _, key := range backed[i] {
			if a, ok := existing[key]; ok && r.moves(a) {
				parts = append(parts, r.transferOf(a))
			}
		}
		slices.SortFunc(parts, func(x, y request) int {
			if c := existing[x.key()].Start.Compare(existing[y.key()].Start); c != 0 {
				return c
			}
			return x.key().Compare(y.key())
		})
		requests[i].parts = parts
	}
	return requests
}

// moves reports whether the transfer moves the appointment.
func (r request) moves(a Appointment) bool {
	if r.settling != nil && !r.settling.appointments[a.ID] {
		return false
	}
	return a.Status == Scheduled && !a.ServiceDate.Before(r.since) && a.patientOn(r.transfer.From) >= 0
}

// patientOn returns the index of the patient whose part is on the authorization, or -1.
func (a Appointment) patientOn(authorization uuid.UUID) int {
	return slices.IndexFunc(a.Patients, func(p Participant) bool { return p.AuthorizationID == authorization })
}

// UnitsOn returns the units that the appointment holds on the authorization.
func (a Appointment) UnitsOn(authorization uuid.UUID) int {
	if i := a.patientOn(authorization); i >= 0 {
		return a.Patients[i].Units
	}
	return 0
}

// transferOf returns the transfer for one appointment.
func (r request) transferOf(a Appointment) request {
	part := r
	part.appointment = a.ID
	part.reservations = make([]uuid.UUID, len(r.reservations))
	for i, id := range r.reservations {
		part.reservations[i] = uuid.NewSHA1(id, a.ID[:]) // the same in every attempt
	}
	return part
}

// strandedSet has the appointments that a change of their authorization would strand.
type strandedSet struct{ appointments map[uuid.UUID]bool }

func settlingOf(appointments []uuid.UUID) *strandedSet {
	s := &strandedSet{appointments: map[uuid.UUID]bool{}}
	for _, id := range appointments {
		s.appointments[id] = true
	}
	return s
}
