package audit

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"

	"omnirapeutic/platform/trail"
)

// maxPending limits the events that wait for [Service.FindAlerts].
const maxPending = 20_000

// watcher finds suspicious access in the events of this instance. Requests only append to a list; a background
// job does the rest. Safe for concurrent use.
type watcher struct {
	limits AlertLimits

	mu      sync.Mutex
	pending []trail.Event

	finding    sync.Mutex // guards the rest
	activities activities
	unrecorded []trail.Event // alerts

	found map[AlertKind]*atomic.Int64
}

func newWatcher(l AlertLimits) *watcher {
	w := &watcher{limits: l, activities: activities{}, found: map[AlertKind]*atomic.Int64{}}
	for _, kind := range AlertKinds() {
		w.found[kind] = &atomic.Int64{}
	}
	return w
}

// add adds recorded events that can lead to an alert. Beyond the limit they are dropped, so that an attack does
// not use up the memory.
func (w *watcher) add(recorded []trail.Event) {
	for i := range recorded {
		if !w.limits.isWatched(recorded[i]) {
			continue
		}
		w.mu.Lock()
		if len(w.pending) < maxPending {
			w.pending = append(w.pending, recorded[i])
		}
		w.mu.Unlock()
	}
}

func (w *watcher) take() []trail.Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	taken := w.pending
	w.pending = nil
	return taken
}

// foundAlert is the After value of an alert.
type foundAlert struct {
	Patients int    `json:"patients,omitempty"` // number of patients whose records were read in the window
	Denials  int    `json:"denials,omitempty"`  // number of denied requests in the window
	Minutes  int    `json:"minutes,omitempty"`  // length of the window
	Cause    string `json:"cause"`              // the action of the last event
}

// event returns the event that records the alert. Its subject is the caller, and the program is the actor.
func (a alert) event() trail.Event {
	found := foundAlert{Patients: a.Patients, Denials: a.Denials, Cause: a.Cause.Action}
	if a.Kind != AlertEmergency {
		found.Minutes = int(alertWindow.Minutes())
	}
	e := trail.Event{
		OrganizationID: a.Cause.OrganizationID, RequestID: a.Cause.RequestID, Address: a.Cause.Address,
		Action: "alert." + string(a.Kind), OccurredAt: a.Cause.OccurredAt, After: found,
	}
	if a.Cause.ActorID != uuid.Nil {
		e.SubjectType, e.SubjectID = "user", a.Cause.ActorID
	}
	if a.Kind == AlertEmergency {
		e.PatientID, e.GrantID = a.Cause.PatientID, a.Cause.GrantID
	}
	return e
}

// FindAlerts looks for suspicious access in the events that this instance has recorded since the last call,
// records each finding as an event "alert.…", and returns their number. Findings that cannot be recorded are
// recorded by a later call.
func (s *Service) FindAlerts(ctx context.Context) (int64, error) {
	w := s.watcher
	w.finding.Lock()
	defer w.finding.Unlock()
	for _, e := range w.take() {
		if a, found := w.activities.add(w.limits, e); found {
			w.found[a.Kind].Add(1)
			w.unrecorded = append(w.unrecorded, a.event())
		}
	}
	w.activities.forget(s.now().Add(-alertWindow))
	if err := s.Note(ctx, w.unrecorded); err != nil {
		return 0, err
	}
	n := len(w.unrecorded)
	w.unrecorded = nil
	return int64(n), nil
}

// Alerts returns the number of alerts of this instance, by kind.
func (s *Service) Alerts() map[AlertKind]int64 {
	counts := map[AlertKind]int64{}
	for kind, n := range s.watcher.found {
		counts[kind] = n.Load()
	}
	return counts
}
