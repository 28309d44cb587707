package appointments

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/scheduling"
)

// slot is the time that somebody's part in an appointment occupies.
type slot struct {
	Span
	appointment uuid.UUID
	service     scheduling.Lane // of patients: what takes place, in which lane
	code        string
	minutes     int
	units       int
	lead        uuid.UUID // of patients: the practitioner who leads
}

// occupied are the slots of practitioners and patients that requests may meet, as
// those decided before have left them. Practitioners and patients have ids of
// their own, so that they fit into one map.
type occupied map[scheduling.Key][]slot

// replace puts an appointment's new slots in the place of those that it had.
func (o occupied) replace(before, after Appointment) {
	for _, key := range before.subjects() {
		o[key] = slices.DeleteFunc(o[key], func(s slot) bool { return s.appointment == before.ID })
	}
	if !after.Status.Occupies() {
		return
	}
	span := after.Occupied()
	for _, id := range after.Practitioners {
		o.add(scheduling.Key{OrganizationID: after.OrganizationID, ID: id}, slot{Span: span, appointment: after.ID})
	}
	for _, p := range after.Patients {
		o.add(scheduling.Key{OrganizationID: after.OrganizationID, ID: p.PatientID}, slot{
			Span: span, appointment: after.ID, service: p.Lane, code: p.Code,
			minutes: p.Minutes, units: p.Units, lead: after.Practitioners[0],
		})
	}
}

// add adds a slot, once: several reads may have found it.
func (o occupied) add(key scheduling.Key, s slot) {
	if !slices.ContainsFunc(o[key], func(other slot) bool { return other.appointment == s.appointment }) {
		o[key] = append(o[key], s)
	}
}

// without removes the slots of an appointment.
func (o occupied) without(appointment uuid.UUID) {
	for key := range o {
		o[key] = slices.DeleteFunc(o[key], func(s slot) bool { return s.appointment == appointment })
	}
}

// subjects returns everybody who takes part.
func (a Appointment) subjects() []scheduling.Key {
	var all []scheduling.Key
	for _, id := range a.Practitioners {
		all = append(all, scheduling.Key{OrganizationID: a.OrganizationID, ID: id})
	}
	for _, p := range a.Patients {
		all = append(all, scheduling.Key{OrganizationID: a.OrganizationID, ID: p.PatientID})
	}
	return all
}

// earliest returns the first slot in time that stands in the way of an appointment.
func (o occupied) earliest(key scheduling.Key, a Appointment, stands func(slot) bool) (found slot, ok bool) {
	for _, s := range o[key] {
		if s.appointment != a.ID && s.Overlaps(a.Span) && stands(s) && (!ok || s.Start.Before(found.Start)) {
			found, ok = s, true
		}
	}
	return found, ok
}

// overlaps returns what else takes place at the appointment's time and cannot take
// place beside it: a practitioner is in one place; a patient has one appointment in
// each lane, and in other lanes those that the organization lets run together.
func (o occupied) overlaps(a Appointment, rules scheduling.Organization) []*fault.Error {
	var reasons []*fault.Error
	for _, id := range a.Practitioners {
		key := scheduling.Key{OrganizationID: a.OrganizationID, ID: id}
		if s, ok := o.earliest(key, a, func(slot) bool { return true }); ok {
			reasons = append(reasons, ErrPractitionerOverlap.With(PractitionerOverlap{id, s.conflicting()},
				"The practitioner has another appointment from %s to %s.", moment(s.Start), moment(s.End)))
		}
	}
	for _, p := range a.Patients {
		key := scheduling.Key{OrganizationID: a.OrganizationID, ID: p.PatientID}
		s, ok := o.earliest(key, a, func(s slot) bool { return s.service == p.Lane || !rules.Together(s.code, p.Code) })
		if ok {
			reasons = append(reasons, ErrPatientOverlap.With(PatientOverlap{p.PatientID, s.conflicting()},
				"The patient has an appointment of %s from %s to %s, which cannot run beside one of %s.", s.code, moment(s.Start), moment(s.End), p.Code))
		}
	}
	return reasons
}

func (s slot) conflicting() Conflicting {
	return Conflicting{AppointmentID: s.appointment, StartTime: s.Start.UTC(), EndTime: s.End.UTC()}
}

func moment(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// visitBeside returns what else of the patient's visit is known: the other
// appointments on the day with the same practitioner in the lead.
func (o occupied) visitBeside(a Appointment, patient uuid.UUID, day calendar.Date, zone *time.Location) visit {
	var others visit
	for _, s := range o[scheduling.Key{OrganizationID: a.OrganizationID, ID: patient}] {
		if s.appointment != a.ID && s.lead == a.Practitioners[0] && calendar.DateIn(s.Start, zone) == day {
			others.minutes += s.minutes
			others.units += s.units
		}
	}
	return others
}
