package directory

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
)

// zoneLifetime is how long a time zone is remembered: how long another process
// may go on with the old one after a change.
const zoneLifetime = 30 * time.Second

// TimeZone returns the time zone in which the organization's dates begin and end.
// It is remembered for 30 seconds, less if this process changes it. It needs no
// caller in the context, joins a transaction that is open there, and opens one of
// its own otherwise. The error is [ErrOrganizationNotFound] where there is no such
// organization.
func (s *Service) TimeZone(ctx context.Context, organizationID uuid.UUID) (*time.Location, error) {
	now := s.clock()
	zone, edition := s.zones.recall(organizationID, now)
	if zone != nil {
		return zone, nil
	}
	found, err := db.Snapshot(ctx, s.database, "organization.time-zone", func(ctx context.Context) (Organization, error) {
		return organization(ctx, organizationID)
	})
	if err != nil {
		return nil, err
	}
	zone, err = time.LoadLocation(found.TimeZone)
	if err != nil {
		return nil, fmt.Errorf("the time zone of organization %s: %w", organizationID, err)
	}
	s.zones.remember(organizationID, zone, now.Add(zoneLifetime), edition)
	return zone, nil
}

// today returns the date in the caller's organization.
func (s *Service) today(ctx context.Context) (calendar.Date, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return calendar.Date{}, err
	}
	zone, err := s.TimeZone(ctx, caller.OrganizationID)
	if err != nil {
		return calendar.Date{}, err
	}
	return calendar.DateIn(s.clock(), zone), nil
}

// zones remembers time zones. The zero value remembers none. Safe for concurrent use.
type zones struct {
	mutex sync.RWMutex
	known map[uuid.UUID]knownZone
	// edition counts what was forgotten: what was read before is not remembered after.
	edition int
}

type knownZone struct {
	zone  *time.Location
	until time.Time
}

// recall returns the zone, or nil, and the edition to be given to remember.
func (z *zones) recall(organization uuid.UUID, now time.Time) (*time.Location, int) {
	z.mutex.RLock()
	defer z.mutex.RUnlock()
	if k := z.known[organization]; now.Before(k.until) {
		return k.zone, z.edition
	}
	return nil, z.edition
}

func (z *zones) remember(organization uuid.UUID, zone *time.Location, until time.Time, edition int) {
	z.mutex.Lock()
	defer z.mutex.Unlock()
	if edition != z.edition {
		return
	}
	if z.known == nil {
		z.known = map[uuid.UUID]knownZone{}
	}
	z.known[organization] = knownZone{zone, until}
}

func (z *zones) forget(organization uuid.UUID) {
	z.mutex.Lock()
	defer z.mutex.Unlock()
	delete(z.known, organization)
	z.edition++
}
