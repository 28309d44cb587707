package appointments

import (
	"maps"
	"slices"
	"sync"
	"time"

	"omnirapeutic/platform/record"
)

// reminderSearch is the interval at which an instance searches all near appointments for due reminders. In
// between it looks only at appointments that have come near, and at the ones that it has changed. The search
// finds what an instance that was killed has left.
const reminderSearch = time.Hour

// reminderProgress is how far an instance has published reminders. It is safe for concurrent use.
type reminderProgress struct {
	mu       sync.Mutex
	horizon  time.Duration // the longest time before an appointment
	changed  map[record.Key]bool
	since    time.Time // of the last complete run
	searched time.Time // the last search of all near appointments
}

// reminderRun is one run of the publication.
type reminderRun struct {
	now, since time.Time
	search     bool // of all near appointments
	changed    []record.Key
}

// add records appointments that were committed, unless they are too far away for a reminder.
func (p *reminderProgress) add(now time.Time, appointments []Appointment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range appointments {
		if a.Status == Scheduled && a.Start.After(now) && !a.Start.After(now.Add(p.horizon)) {
			p.keep(a.key())
		}
	}
}

func (p *reminderProgress) keep(key record.Key) {
	if p.changed == nil {
		p.changed = map[record.Key]bool{}
	}
	p.changed[key] = true
}

// begin begins a run.
func (p *reminderProgress) begin(now time.Time, times []time.Duration) reminderRun {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, before := range times {
		p.horizon = max(p.horizon, before)
	}
	run := reminderRun{now: now, since: p.since, changed: slices.Collect(maps.Keys(p.changed))}
	run.search = p.since.IsZero() || now.Sub(p.searched) >= reminderSearch
	p.changed = nil
	return run
}

// end ends a run. The next one repeats it if it has failed.
func (p *reminderProgress) end(run reminderRun, failed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if failed {
		for _, key := range run.changed {
			p.keep(key)
		}
		return
	}
	p.since = run.now
	if run.search {
		p.searched = run.now
	}
}

// after returns the start of the appointments that the run does not need to read for a reminder.
func (r reminderRun) after(before time.Duration) time.Time {
	if r.search || r.since.Add(before).Before(r.now) {
		return r.now
	}
	return r.since.Add(before)
}
