package audit

import (
	"strings"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/trail"
)

// AlertKind is the kind of an alert.
type AlertKind string

// The kinds of alerts.
const (
	AlertMassRead  AlertKind = "mass-read"        // a caller has read the records of many patients
	AlertDenials   AlertKind = "denials"          // many requests of a caller were denied
	AlertEmergency AlertKind = "emergency-access" // a user has taken emergency access
)

// AlertKinds returns all kinds.
func AlertKinds() []AlertKind { return []AlertKind{AlertMassRead, AlertDenials, AlertEmergency} }

// alertWindow is the time in which patients and denials are counted.
const alertWindow = 10 * time.Minute

// AlertLimits say which events are suspicious. The zero value means that none is.
type AlertLimits struct {
	Patients  int    // an alert follows if a caller has read more patients in ten minutes; 0: never
	Denials   int    // an alert follows if more requests of a caller were denied in ten minutes; 0: never
	Emergency string // the action of taking emergency access
}

// isWatched reports whether an event can lead to an alert.
func (l AlertLimits) isWatched(e trail.Event) bool {
	switch {
	case e.OrganizationID == uuid.Nil:
		return false
	case e.Outcome == trail.Denied:
		return l.Denials > 0
	case e.Action == l.Emergency:
		return l.Emergency != ""
	}
	return l.Patients > 0 && e.ActorID != uuid.Nil && strings.HasSuffix(e.Action, ".read")
}

// alert is a suspicious access.
type alert struct {
	Kind     AlertKind
	Cause    trail.Event // the last event of the caller
	Patients int         // read in the window
	Denials  int         // in the window
}

// actorKey identifies events that are counted together: events of a user or an API key, or an address without one.
type actorKey struct {
	organization, actor uuid.UUID
	address             string // without an actor
}

func actorKeyOf(e trail.Event) actorKey {
	if e.ActorID != uuid.Nil {
		return actorKey{e.OrganizationID, e.ActorID, ""}
	}
	return actorKey{e.OrganizationID, uuid.Nil, trail.Network(e.Address)}
}

// activity is the activity of a caller in the window.
type activity struct {
	lastAt   time.Time
	patients map[uuid.UUID]time.Time // the last read of each
	denials  []time.Time
	alerted  map[AlertKind]time.Time
}

// activities are the activities of all callers.
type activities map[actorKey]*activity

// add adds an event, and returns the alert that it causes, if any. A caller causes one alert of a kind in each
// window.
func (all activities) add(l AlertLimits, e trail.Event) (alert, bool) {
	if e.Outcome != trail.Denied && e.Action == l.Emergency {
		return alert{Kind: AlertEmergency, Cause: e}, true
	}
	by := actorKeyOf(e)
	a := all[by]
	if a == nil {
		a = &activity{patients: map[uuid.UUID]time.Time{}, alerted: map[AlertKind]time.Time{}}
		all[by] = a
	}
	a.lastAt = e.OccurredAt
	if e.Outcome == trail.Denied {
		a.denials = append(a.denials, e.OccurredAt)
		a.forget(e.OccurredAt.Add(-alertWindow))
		if len(a.denials) > l.Denials && a.mayAlert(AlertDenials, e.OccurredAt) {
			return alert{Kind: AlertDenials, Cause: e, Denials: len(a.denials)}, true
		}
		return alert{}, false
	}
	if e.PatientID != nil {
		a.patients[*e.PatientID] = e.OccurredAt
	}
	for _, r := range e.Records {
		a.patients[r.PatientID] = e.OccurredAt
	}
	if len(a.patients) <= l.Patients {
		return alert{}, false
	}
	a.forget(e.OccurredAt.Add(-alertWindow))
	if len(a.patients) > l.Patients && a.mayAlert(AlertMassRead, e.OccurredAt) {
		return alert{Kind: AlertMassRead, Cause: e, Patients: len(a.patients)}, true
	}
	return alert{}, false
}

// mayAlert reports whether the last alert of the kind is longer ago than a window, and notes the new one.
func (a *activity) mayAlert(kind AlertKind, now time.Time) bool {
	if last, alerted := a.alerted[kind]; alerted && now.Sub(last) < alertWindow {
		return false
	}
	a.alerted[kind] = now
	return true
}

// forget removes reads and denials before the time.
func (a *activity) forget(before time.Time) {
	for patient, at := range a.patients {
		if at.Before(before) {
			delete(a.patients, patient)
		}
	}
	i := 0
	for i < len(a.denials) && a.denials[i].Before(before) {
		i++
	}
	a.denials = a.denials[i:]
}

// forget removes callers without events after the time.
func (all activities) forget(before time.Time) {
	for by, a := range all {
		if a.lastAt.Before(before) {
			delete(all, by)
		}
	}
}
