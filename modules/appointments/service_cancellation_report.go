package appointments

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/modules/directory"
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/record"
	"omnirapeutic/platform/trail"
)

// The days of the report of cancellations: the default, and the most.
const (
	cancellationReportDays = 30
	maxReportDays          = 366
)

// CancellationGroup is the property by which missed appointments are grouped.
type CancellationGroup string

// The groups.
const (
	GroupByReason       CancellationGroup = "reason"
	GroupByParty        CancellationGroup = "party"
	GroupByPatient      CancellationGroup = "patient"
	GroupByPractitioner CancellationGroup = "practitioner" // the leading one
	GroupByMonth        CancellationGroup = "month"        // of the service date
)

// CancellationFilter narrows the report of cancellations. Zero ids and an empty party do not filter.
type CancellationFilter struct {
	GroupBy        CancellationGroup
	Days           Days // by service date; the default is the last 30 days
	PatientID      uuid.UUID
	PractitionerID uuid.UUID // the leading one
	ReasonID       uuid.UUID
	Party          directory.Party
	After          *GroupPosition
	Limit          int
}

// GroupPosition is the position of a group in the report.
type GroupPosition struct{ Key string }

// MissedGroup has the sums of a group of missed appointments. Appointments are counted once, minutes and units
// are sums over all patients.
type MissedGroup struct {
	GroupKey                     string                        // the id, the party or the month; empty: not given
	Reason                       *directory.CancellationReason `gorm:"-"`
	Cancellations                int
	LateCancellations            int
	NoShows                      int
	MissedMinutes, MissedUnits   int
	MadeUpMinutes, MadeUpUnits   int // by completed make-ups
	PlannedMinutes, PlannedUnits int // by open make-ups
	LeftMinutes, LeftUnits       int
}

// Cancellations returns the groups of missed appointments within the caller's record scope. The error is
// [fault.ErrInvalid] for more than 366 days.
func (s *ScheduleService) Cancellations(ctx context.Context, f CancellationFilter) ([]MissedGroup, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return nil, err
	}
	zone, err := s.Directory.TimeZone(ctx, caller.OrganizationID)
	if err != nil {
		return nil, err
	}
	f.Days = f.Days.orLast(cancellationReportDays, calendar.DateIn(s.now(), zone))
	if daysBetween(f.Days.First, f.Days.Last) >= maxReportDays {
		return nil, fault.InvalidFields(fault.Field{
			Field: "to", Code: "range", Message: "must be less than 366 days after from",
		})
	}
	return db.Snapshot(ctx, s.Database, "appointments.cancellations", func(ctx context.Context) ([]MissedGroup, error) {
		found, err := s.store.missedGroups(ctx, f, f.Days.in(zone))
		if err != nil {
			return nil, err
		}
		if f.GroupBy == GroupByPatient {
			for _, g := range found {
				id := uuid.MustParse(g.GroupKey)
				trail.Show(ctx, trail.Subject{Type: "patient", ID: id, PatientID: id})
			}
		}
		return found, s.addReasons(ctx, caller.OrganizationID, f.GroupBy, found)
	})
}

// addReasons adds the reasons to groups by reason.
func (s *ScheduleService) addReasons(
	ctx context.Context, organization uuid.UUID, by CancellationGroup, found []MissedGroup,
) error {
	if by != GroupByReason {
		return nil
	}
	var keys []record.Key
	for _, g := range found {
		if g.GroupKey != "" {
			keys = append(keys, record.Of(organization, uuid.MustParse(g.GroupKey)))
		}
	}
	reasons, err := s.Directory.CancellationReasonsByKey(ctx, keys)
	for i, g := range found {
		if g.GroupKey == "" {
			continue
		}
		if reason, exists := reasons[record.Of(organization, uuid.MustParse(g.GroupKey))]; exists {
			found[i].Reason = &reason
		}
	}
	return err
}

// orLast completes days that are not limited: the last day is today, and the first one as many days before.
func (d Days) orLast(days int, today calendar.Date) Days {
	if d.Last.IsZero() {
		d.Last = today
		if d.First.After(today) {
			d.Last = d.First
		}
	}
	if d.First.IsZero() {
		d.First = d.Last.AddDays(1 - days)
	}
	return d
}
