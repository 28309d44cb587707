package appointments

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/scheduling"
)

// Transfer moves bookings from one authorization of a patient to another, as when
// the payer has renewed it: those that are SCHEDULED, of the first day and later.
type Transfer struct {
	From  uuid.UUID     // an authorization
	To    uuid.UUID     // another one, of the same patient for the same service
	Since calendar.Date // the first service date; zero: today in the organization's time zone
}

// concerns reports whether it is the part in an appointment that moves.
func (t Transfer) concerns(p Participant) bool {
	return p.AuthorizationID == t.From || p.AuthorizationID == t.To
}

// Moved is what a transfer came to.
type Moved struct {
	Occurrences []Occurrence // the appointments, in the order of their times
	Replayed    bool         // the answer of an earlier request with the same key
}

// MoveRefusal are the details of [ErrMove].
type MoveRefusal struct {
	Occurrences []Occurrence `json:"occurrences"` // every one, also those that nothing stands against
}

// ErrMove comes with [MoveRefusal].
var ErrMove = fault.Define(fault.Conflict, "move-refused", "Not every booking can move to the other authorization, so none does.").Carrying(MoveRefusal{}).
	Advising("Show `occurrences`: each has the `reasons` that stand against it. Reschedule or cancel those, or move them to another authorization; `from` leaves out what is earlier.")

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

// MoveBookings has every booking of the transfer release what it holds of the one
// authorization and hold what it needs of the other, by the rules of that and of
// its payer: all of them or none, once per key. Of a group only the patient's part
// moves. That there is nothing to move is no failure. Refusals: the account book's
// for an authorization that is not there, [ErrMove], [fault.ErrInvalid] where the
// other one is not there or does not fit, [idempotency.ErrReused].
func (s *Service) MoveBookings(ctx context.Context, t Transfer, reason *string, key Key) (Moved, error) {
	r, err := s.transferRequest(ctx, t, reason, key)
	if err != nil {
		return Moved{}, err
	}
	v, err := s.carryOut(ctx, r)
	return Moved{Occurrences: v.occurrences, Replayed: v.replayed}, err
}

// PreviewMove tells what [Service.MoveBookings] would come to, by the same decision.
// Nothing is written. What stands against the bookings is in the answer; the error
// is that of what does not exist or does not fit.
func (s *Service) PreviewMove(ctx context.Context, t Transfer) (Moved, error) {
	r, err := s.transferRequest(ctx, t, nil, "")
	if err != nil {
		return Moved{}, err
	}
	if r.zone, err = s.directory.TimeZone(ctx, r.caller.OrganizationID); err != nil {
		return Moved{}, err
	}
	r = r.begin(s.now())
	v, err := db.Snapshot(ctx, s.database, "appointments.preview-move", func(ctx context.Context) (verdict, error) {
		d, err := s.open(ctx, []request{r})
		if err != nil {
			return verdict{}, err
		}
		for _, each := range d.requests[0].parts {
			showAppointments(ctx, d.appointments[each.key()])
		}
		return d.decide(d.requests[0])
	})
	if err != nil {
		return Moved{}, err
	}
	m := Moved{Occurrences: v.occurrences}
	if v.refusal != nil {
		details, ok := v.refusal.Details().(MoveRefusal)
		if !ok {
			return Moved{}, v.refusal
		}
		m.Occurrences = details.Occurrences
	}
	return m, nil
}

func (s *Service) transferRequest(ctx context.Context, t Transfer, reason *string, key Key) (request, error) {
	r, err := s.request(ctx, transfer, uuid.Nil, key)
	r.transfer, r.reason = &t, reason
	return r, err
}

// begin returns the request as it is to be carried out: a transfer that leaves the
// first day open has today's. It stands beside what was asked for, so that who asks
// again tomorrow asks for the same.
func (r request) begin(now time.Time) request {
	if r.transfer == nil {
		return r
	}
	if r.since = r.transfer.Since; r.since.IsZero() {
		r.since = calendar.DateIn(now, r.zone)
	}
	return r
}

// subject is what the request is about.
func (r request) subject() uuid.UUID {
	if r.transfer != nil {
		return r.transfer.From
	}
	return r.appointment
}

// spreadTransfers returns the requests with transfers made into parts, one for each
// appointment that moves, in the order of their times. What backs them is by the
// requests' places.
func spreadTransfers(requests []request, backed map[int][]scheduling.Key, there map[scheduling.Key]Appointment) []request {
	for i, r := range requests {
		if r.kind != transfer {
			continue
		}
		parts := []request{}
		for _, key := range backed[i] {
			if a, ok := there[key]; ok && r.moves(a) {
				parts = append(parts, r.transferOf(a))
			}
		}
		slices.SortFunc(parts, func(x, y request) int {
			if c := there[x.key()].Start.Compare(there[y.key()].Start); c != 0 {
				return c
			}
			return compareKeys(x.key(), y.key())
		})
		requests[i].parts = parts
	}
	return requests
}

// moves reports whether the appointment is one of those that the transfer moves.
func (r request) moves(a Appointment) bool {
	if r.settling != nil && !r.settling.appointments[a.ID] {
		return false
	}
	return a.Status == Scheduled && !a.ServiceDate.Before(r.since) && a.placeOn(r.transfer.From) >= 0
}

// placeOn returns the place of the patient whose part is on the authorization, -1
// where there is none.
func (a Appointment) placeOn(authorization uuid.UUID) int {
	return slices.IndexFunc(a.Patients, func(p Participant) bool { return p.AuthorizationID == authorization })
}

// UnitsOn returns the units that the appointment holds of the authorization.
func (a Appointment) UnitsOn(authorization uuid.UUID) int {
	if place := a.placeOn(authorization); place >= 0 {
		return a.Patients[place].Units
	}
	return 0
}

// transferOf returns what the transfer means for one appointment.
func (r request) transferOf(a Appointment) request {
	part := r
	part.appointment = a.ID
	part.reservations = make([]uuid.UUID, len(r.reservations))
	for i, id := range r.reservations {
		part.reservations[i] = uuid.NewSHA1(id, a.ID[:]) // the same in every attempt
	}
	return part
}
