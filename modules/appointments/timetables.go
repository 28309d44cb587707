package appointments

import (
	"sync"
	"time"

	"github.com/google/uuid"
)

// timetablesLifetime is how long it is remembered of which practitioners anything is
// said: how long another process may leave out warnings after that was begun.
const timetablesLifetime = 30 * time.Second

// timetables remembers of which practitioners of an organization anything is said, so
// that a booking costs no statement where there is nothing to warn of. The zero value
// remembers none. Safe for concurrent use.
type timetables struct {
	mutex sync.RWMutex
	known map[uuid.UUID]knownTimetables
	// edition counts what was forgotten: what was read before is not remembered after.
	edition int
}

type knownTimetables struct {
	practitioners map[uuid.UUID]bool
	until         time.Time
}

// recall returns the practitioners, nil where they are not remembered, and the
// edition to be given to remember.
func (k *timetables) recall(organization uuid.UUID, now time.Time) (map[uuid.UUID]bool, int) {
	k.mutex.RLock()
	defer k.mutex.RUnlock()
	if found := k.known[organization]; now.Before(found.until) {
		return found.practitioners, k.edition
	}
	return nil, k.edition
}

func (k *timetables) remember(organization uuid.UUID, practitioners map[uuid.UUID]bool, until time.Time, edition int) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	if edition != k.edition {
		return
	}
	if k.known == nil {
		k.known = map[uuid.UUID]knownTimetables{}
	}
	k.known[organization] = knownTimetables{practitioners, until}
}

func (k *timetables) forget(organization uuid.UUID) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	delete(k.known, organization)
	k.edition++
}
