package directory

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
)

// TimeZone returns the time zone in which the organization's dates begin and end. It is cached
// for 30 seconds, or until this process changes it. It needs no caller in the context. It joins
// the transaction of the context, or opens its own. The error is [ErrOrganizationNotFound].
func (s *Service) TimeZone(ctx context.Context, organizationID uuid.UUID) (*time.Location, error) {
	ctx = db.FromPrimary(ctx)
	read := func() (*time.Location, error) {
		found, err := db.Snapshot(ctx, s.database, "organization.time-zone", func(ctx context.Context) (Organization, error) {
			return s.organization(ctx, organizationID)
		})
		if err != nil {
			return nil, err
		}
		zone, err := time.LoadLocation(found.TimeZone)
		if err != nil {
			return nil, fmt.Errorf("the time zone of organization %s: %w", organizationID, err)
		}
		return zone, nil
	}
	if db.OnStandby(ctx) {
		return read()
	}
	return s.zones.Get(organizationID, s.clock(), read)
}

// ForgetTimeZone removes the organization's time zone from the cache, because it has changed.
func (s *Service) ForgetTimeZone(organizationID uuid.UUID) { s.zones.Invalidate(organizationID) }

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
