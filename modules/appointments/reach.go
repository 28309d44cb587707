package appointments

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/scheduling"
)

// sight is what a caller may see of those who take part in appointments. Whoever
// delivers an appointment sees all of it; who reaches a patient sees that patient's
// part, and of a group not who else belongs to it. The zero value sees nobody.
type sight struct {
	everything bool
	db.Reached
}

// sees reports whether the caller sees the patient's part in what the staff deliver.
func (s sight) sees(staff []uuid.UUID, patient uuid.UUID) bool {
	return s.everything || s.Patients[patient] || slices.ContainsFunc(staff, func(id uuid.UUID) bool { return s.Practitioners[id] })
}

// of returns the appointment with those who are seen.
func (s sight) of(a Appointment) Appointment {
	if !s.everything {
		a.Patients = seen(a.Patients, func(p Participant) bool { return s.sees(a.Practitioners, p.PatientID) })
	}
	return a
}

// ofSession returns the session with those who are seen, and with their units only.
func (s sight) ofSession(each Session) Session {
	if s.everything {
		return each
	}
	each.Patients = seen(each.Patients, func(p SessionPatient) bool { return s.sees(each.Practitioners, p.PatientID) })
	each.UnauthorizedUnits = 0
	for _, p := range each.Patients {
		each.UnauthorizedUnits += p.UnauthorizedUnits
	}
	return each
}

// seen leaves the slice as it is: it may be what others are shown.
func seen[T any](all []T, keep func(T) bool) []T {
	left := []T{}
	for _, each := range all {
		if keep(each) {
			left = append(left, each)
		}
	}
	return left
}

// sightOf returns what the caller sees of the people, in the transaction of the
// context. A caller whose reach is the organization is not asked about.
func sightOf(ctx context.Context, patients, practitioners []uuid.UUID) (sight, error) {
	reach, err := db.ReachOf(ctx)
	if err != nil || reach.Everything() {
		return sight{everything: err == nil}, err
	}
	reached, err := reach.Among(ctx, patients, practitioners)
	return sight{Reached: reached}, err
}

// within returns the appointments as their caller sees them.
func (s *Service) within(ctx context.Context, found []Appointment) ([]Appointment, error) {
	var patients, staff []uuid.UUID
	for _, a := range found {
		staff = append(staff, a.Practitioners...)
		for _, p := range a.Patients {
			patients = append(patients, p.PatientID)
		}
	}
	sees, err := sightOf(ctx, patients, staff)
	for i := range found {
		found[i] = sees.of(found[i])
	}
	return found, err
}

// sessionsWithin returns the sessions as their caller sees them.
func (s *Service) sessionsWithin(ctx context.Context, found []Session) ([]Session, error) {
	var patients, staff []uuid.UUID
	for _, each := range found {
		staff = append(staff, each.Practitioners...)
		for _, p := range each.Patients {
			patients = append(patients, p.PatientID)
		}
	}
	sees, err := sightOf(ctx, patients, staff)
	for i := range found {
		found[i] = sees.ofSession(found[i])
	}
	return found, err
}

func (s *Service) sessionWithin(ctx context.Context, found Session) (Session, error) {
	seen, err := s.sessionsWithin(ctx, []Session{found})
	return seen[0], err
}

// requireReached returns [ErrNotFound] where one of the appointments is out of the
// caller's reach, by the condition that lists have. It asks nothing where the reach is
// the organization: then it is for others to find out what is there.
func (s *Service) requireReached(ctx context.Context, ids []uuid.UUID) error {
	reach, err := db.ReachOf(ctx)
	if err != nil || reach.Everything() {
		return err
	}
	reached, err := s.store.reachable(ctx, ids)
	if err == nil && len(reached) < len(ids) {
		err = ErrNotFound
	}
	return err
}

// admit refuses a request on what is out of the caller's reach as one on what is not
// there, before anybody waits in the lane, and returns what the caller may see of the
// answer. It asks nothing about callers whose reach is the organization.
func (s *Service) admit(ctx context.Context, r request) (sight, error) {
	reach, err := db.ReachOf(ctx)
	if err != nil || reach.Everything() {
		return sight{everything: err == nil}, err
	}
	return db.Snapshot(ctx, s.database, "appointments.reach", func(ctx context.Context) (sight, error) {
		if r.kind == book {
			return r.booking.admit(ctx)
		}
		ids := []uuid.UUID{r.appointment}
		if r.scope.several() {
			series, err := s.store.seriesOf(ctx, []scheduling.Key{r.key()})
			if err != nil {
				return sight{}, err
			}
			if others := series[r.key()]; others != nil {
				ids = others
			}
		}
		if err := s.requireReached(ctx, ids); err != nil {
			return sight{}, err
		}
		there, err := s.store.several(ctx, []scheduling.Key{r.key()})
		if err != nil {
			return sight{}, err
		}
		a := there[r.key()]
		patients := make([]uuid.UUID, len(a.Patients))
		for i, p := range a.Patients {
			patients[i] = p.PatientID
		}
		sees, err := sightOf(ctx, patients, a.Practitioners)
		// Whoever gives an appointment to somebody else sees what they have done.
		sees.everything = len(seen(patients, func(p uuid.UUID) bool { return sees.sees(a.Practitioners, p) })) == len(patients)
		return sees, err
	})
}

// admit refuses patients who are out of the caller's reach as those that do not exist.
func (b Booking) admit(ctx context.Context) (sight, error) {
	patients := make([]uuid.UUID, len(b.Patients))
	for i, p := range b.Patients {
		patients[i] = p.PatientID
	}
	sees, err := sightOf(ctx, patients, b.Practitioners)
	if err != nil {
		return sees, err
	}
	var wrong []fault.Field
	for i, p := range patients {
		if !sees.sees(b.Practitioners, p) {
			wrong = append(wrong, fault.Field{Field: b.field(i, "patientId"), Code: "reference", Message: "does not exist"})
		}
	}
	return sight{everything: true}, errorOf(wrong)
}

// reachesPractitioner reports whether the practitioner is within the caller's reach.
func reachesPractitioner(ctx context.Context, id uuid.UUID) (bool, error) {
	sees, err := sightOf(ctx, nil, []uuid.UUID{id})
	return sees.everything || sees.Practitioners[id], err
}
