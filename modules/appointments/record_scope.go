package appointments

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

// visibility is the caller's record scope, restricted to the participants of appointments. A
// practitioner of an appointment sees all of it. A caller with access to a patient sees only that
// patient's part, without the other patients of a group. The zero value has access to no one's
// records.
type visibility struct {
	everything bool
	db.VisiblePeople
}

// includes reports whether the caller may see the patient's part in an appointment of the staff.
func (s visibility) includes(staff []uuid.UUID, patient uuid.UUID) bool {
	return s.everything || s.Patients[patient] || slices.ContainsFunc(staff, func(id uuid.UUID) bool {
		return s.Practitioners[id]
	})
}

// of returns the appointment with only the visible participants.
func (s visibility) of(a Appointment) Appointment {
	if !s.everything {
		a.MakeUps = s.makeUpsOf(a)
		a.Patients = seen(a.Patients, func(p Participant) bool { return s.includes(a.Practitioners, p.PatientID) })
	}
	return a
}

// makeUpsOf returns the make-ups of an appointment in which a visible patient takes part.
func (s visibility) makeUpsOf(a Appointment) []Appointment {
	return seen(a.MakeUps, func(m Appointment) bool {
		return slices.ContainsFunc(m.Patients, func(p Participant) bool {
			return s.includes(a.Practitioners, p.PatientID)
		})
	})
}

// ofSession returns the session with only the visible participants, and with their units only.
func (s visibility) ofSession(each Session) Session {
	if s.everything {
		return each
	}
	each.Patients = seen(each.Patients, func(p SessionPatient) bool { return s.includes(each.Practitioners, p.PatientID) })
	each.UnauthorizedUnits = 0
	for _, p := range each.Patients {
		each.UnauthorizedUnits += p.UnauthorizedUnits
	}
	return each
}

// seen returns the elements for which keep is true. It does not modify the slice, which others may
// share.
func seen[T any](all []T, keep func(T) bool) []T {
	left := []T{}
	for _, each := range all {
		if keep(each) {
			left = append(left, each)
		}
	}
	return left
}

// visibilityOf returns the caller's access to the people, read in the transaction of the context. It
// runs no query for callers whose record scope is the organization.
func visibilityOf(ctx context.Context, patients, practitioners []uuid.UUID) (visibility, error) {
	scope, err := db.RecordScopeOf(ctx)
	if err != nil || scope.WholeOrganization() {
		return visibility{everything: err == nil}, err
	}
	visible, err := scope.Visible(ctx, patients, practitioners)
	return visibility{VisiblePeople: visible}, err
}

// visibleAppointments returns the appointments as the caller may see them.
func visibleAppointments(ctx context.Context, found []Appointment) ([]Appointment, error) {
	var patients, staff []uuid.UUID
	for _, a := range found {
		staff = append(staff, a.Practitioners...)
		for _, p := range a.Patients {
			patients = append(patients, p.PatientID)
		}
	}
	sees, err := visibilityOf(ctx, patients, staff)
	for i := range found {
		found[i] = sees.of(found[i])
	}
	return found, err
}

// visibleSessions returns the sessions as the caller may see them.
func visibleSessions(ctx context.Context, found []Session) ([]Session, error) {
	var patients, staff []uuid.UUID
	for _, each := range found {
		staff = append(staff, each.Practitioners...)
		for _, p := range each.Patients {
			patients = append(patients, p.PatientID)
		}
	}
	sees, err := visibilityOf(ctx, patients, staff)
	for i := range found {
		found[i] = sees.ofSession(found[i])
	}
	return found, err
}

func visibleSession(ctx context.Context, found Session) (Session, error) {
	seen, err := visibleSessions(ctx, []Session{found})
	return seen[0], err
}

// seesPractitioner reports whether the practitioner is within the caller's record scope.
func seesPractitioner(ctx context.Context, id uuid.UUID) (bool, error) {
	sees, err := visibilityOf(ctx, nil, []uuid.UUID{id})
	return sees.everything || sees.Practitioners[id], err
}
