package appointments

import (
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/record"
	"omnirapeutic/platform/scheduling"
)

// slot is the time that a participant's part in an appointment occupies.
type slot struct {
	Span
	appointment uuid.UUID        // or the calendar entry
	entry       EntryKind        // of a calendar entry; empty: an appointment
	service     scheduling.Track // of patients: the track of the service
	code        string
	Place       // only its time zone
}

// occupied has the slots of practitioners and patients that requests may conflict with, changed by
// the earlier decisions. Practitioners and patients have distinct ids, so one map suffices.
type occupied map[record.Key][]slot

// replace replaces an appointment's slots.
func (o occupied) replace(before, after Appointment) {
	for _, key := range before.subjects() {
		o[key] = slices.DeleteFunc(o[key], func(s slot) bool { return s.appointment == before.ID })
	}
	if !after.Status.Occupies() {
		return
	}
	span := after.Occupied()
	for _, id := range after.Practitioners {
		o.add(record.Of(after.OrganizationID, id), slot{Span: span, appointment: after.ID})
	}
	for _, p := range after.Patients {
		o.add(record.Of(after.OrganizationID, p.PatientID), slot{
			Span: span, appointment: after.ID, service: p.Track, code: p.Code,
		})
	}
}

// add adds a slot, unless it is already present: several reads may have found it.
func (o occupied) add(key record.Key, s slot) {
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

// subjects returns the keys of all participants.
func (a Appointment) subjects() []record.Key {
	var all []record.Key
	for _, id := range a.Practitioners {
		all = append(all, record.Of(a.OrganizationID, id))
	}
	for _, p := range a.Patients {
		all = append(all, record.Of(a.OrganizationID, p.PatientID))
	}
	return all
}

// earliest returns the first slot in time that conflicts with the appointment.
func (o occupied) earliest(key record.Key, a Appointment, conflicts func(slot) bool) (found slot, ok bool) {
	for _, s := range o[key] {
		if s.appointment != a.ID && s.Overlaps(a.Span) && conflicts(s) && (!ok || s.Start.Before(found.Start)) {
			found, ok = s, true
		}
	}
	return found, ok
}

// overlaps returns an error for each conflicting appointment. A practitioner has one appointment at
// a time. A patient has one appointment at a time in each track, and in other tracks only appointments
// that the organization allows to run together. The texts give times in the zone.
func (o occupied) overlaps(a Appointment, rules scheduling.Rules, zone *time.Location) []*fault.Error {
	var reasons []*fault.Error
	day := calendar.DateIn(a.Start, zone)
	for _, id := range a.Practitioners {
		key := record.Of(a.OrganizationID, id)
		s, ok := o.earliest(key, a, func(slot) bool { return true })
		switch {
		case ok && s.entry != "":
			reasons = append(reasons, ErrPractitionerBusy.With(
				PractitionerBusy{id, s.appointment, s.entry, s.Start.UTC(), s.End.UTC()},
				"%s is not free from %s (%s).", rules.Practitioners[key].Name, localSpanOn(day, s.Span, zone),
				strings.ToLower(entryNames[s.entry])))
		case ok:
			reasons = append(reasons, ErrPractitionerOverlap.With(PractitionerOverlap{id, s.conflicting()},
				"%s is booked from %s with %s.", rules.Practitioners[key].Name, localSpanOn(day, s.Span, zone), o.otherPatientText(a, s)))
		}
	}
	mayOverlap := rules.Organizations[a.OrganizationID].MayOverlap
	for _, p := range a.Patients {
		key := record.Of(a.OrganizationID, p.PatientID)
		s, ok := o.earliest(key, a, func(s slot) bool { return s.service == p.Track || !mayOverlap(s.code, p.Code) })
		if ok {
			reasons = append(reasons, ErrPatientOverlap.With(PatientOverlap{p.PatientID, s.conflicting()},
				"The patient is booked for %s from %s, and %s cannot take place at the same time.",
				s.code, localSpanOn(day, s.Span, zone), p.Code))
		}
	}
	return reasons
}

// otherPatientText returns the words for the patient of a practitioner's slot: one of the appointment's patients,
// or another one.
func (o occupied) otherPatientText(a Appointment, practitioner slot) string {
	for _, p := range a.Patients {
		slots := o[record.Of(a.OrganizationID, p.PatientID)]
		if slices.ContainsFunc(slots, func(s slot) bool { return s.appointment == practitioner.appointment }) {
			return "the same patient"
		}
	}
	return "another patient"
}

func (s slot) conflicting() Conflicting {
	return Conflicting{AppointmentID: s.appointment, StartTime: s.Start.UTC(), EndTime: s.End.UTC()}
}
