package appointments

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/command"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/record"
)

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

// Moved is the result of a transfer.
type Moved struct {
	Occurrences []Occurrence // the appointments, sorted by start
	Replayed    bool         // whether it is the stored response of an earlier request with the same key
}

// MoveRefusal has the details of [ErrMove].
type MoveRefusal struct {
	Occurrences []Occurrence `json:"occurrences"` // all of them, including those that break no rule
}

// ErrMove carries [MoveRefusal].
var ErrMove = fault.Define(fault.Conflict, "move-refused", "Some bookings cannot move to the other authorization, so none was moved.").
	Carrying(MoveRefusal{}).
	Advising("Show `occurrences` with their `reasons`. Reschedule or cancel those, or move them to another authorization. Set " +
		"`from` to skip earlier bookings.")

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

// MoveBookings moves the transfer's bookings: each releases its units on the old authorization and
// reserves units on the new one, by the rules of the new one and its payer. It moves all or none,
// once per key. For a group, only the patient's part moves. A transfer without bookings succeeds.
// Errors: the account book's for an unknown authorization, [ErrMove], [fault.ErrInvalid] if the new
// authorization is unknown or does not match, [command.ErrReused].
func (s *Service) MoveBookings(ctx context.Context, t Transfer, reason *string, key command.Key) (Moved, error) {
	r, err := s.transferRequest(ctx, t, reason, key)
	if err != nil {
		return Moved{}, err
	}
	v, err := s.run(ctx, r)
	return Moved{Occurrences: v.occurrences, Replayed: v.replayed}, err
}

// PreviewMove returns the result that [Service.MoveBookings] would have now. It writes nothing.
// Broken rules are in the result; the error is for unknown authorizations and those that do not
// match.
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
		d, err := s.load(ctx, []request{r})
		if err != nil {
			return verdict{}, err
		}
		for _, each := range d.expanded[r.CallID].parts {
			showAppointments(ctx, d.appointments[each.key()])
		}
		return d.scene.decide(d.expanded[r.CallID])
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

func (s *Service) transferRequest(ctx context.Context, t Transfer, reason *string, key command.Key) (request, error) {
	r, err := s.request(ctx, transfer, uuid.Nil, key)
	r.transfer, r.reason = &t, reason
	return r, err
}

// begin returns the request to run: a transfer without a first day starts today. The original
// transfer stays unchanged, so a retry on another day has the same fingerprint.
func (r request) begin(now time.Time) request {
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
	return a.Status == Scheduled && !a.ServiceDate.Before(r.since) && a.placeOn(r.transfer.From) >= 0
}

// placeOn returns the index of the patient whose part is on the authorization, or -1.
func (a Appointment) placeOn(authorization uuid.UUID) int {
	return slices.IndexFunc(a.Patients, func(p Participant) bool { return p.AuthorizationID == authorization })
}

// UnitsOn returns the units that the appointment holds on the authorization.
func (a Appointment) UnitsOn(authorization uuid.UUID) int {
	if place := a.placeOn(authorization); place >= 0 {
		return a.Patients[place].Units
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
