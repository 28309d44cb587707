package directory

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/permission"
)

// Organization is a practice. All other records belong to one.
type Organization struct {
	ID       uuid.UUID `json:"id" gorm:"primaryKey"`
	Name     string    `json:"name"` // The name of the practice.
	TimeZone string    `json:"timeZone"`
	// The number of hours before the start from which a cancellation is late.
	LateCancelHours int `json:"lateCancelHours"`
	// Whether units stay used after a no-show, for payers that pay for it.
	NoShowConsumes bool `json:"noShowConsumes"`
	// The number of hours after its end during which a session can be changed. Later, only
	// addenda are possible.
	SessionEditHours int `json:"sessionEditHours"`
	// The number of minutes before its booked start from which an appointment can be started.
	EarlyStartMinutes int `json:"earlyStartMinutes"`
	// The factor between actual and booked length above which a session must be confirmed.
	ConfirmLengthFactor float64 `json:"confirmLengthFactor"`
	// Whether the organization is disabled. If so, its users, keys and links have no access.
	Disabled  bool      `json:"disabled"`
	Version   int       `json:"version"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
}

// NewOrganization is the request for an organization. The settings of its appointments and its
// service pairs start with their defaults.
type NewOrganization struct {
	Name     string `json:"name" validate:"required,max=100,text"` // The name of the practice.
	TimeZone string `json:"timeZone" validate:"required,max=100"`
}

// Default settings of an organization's appointments.
const (
	defaultLateCancelHours  = 24
	defaultSessionEditHours = 72

	defaultEarlyStartMinutes   = 30
	defaultConfirmLengthFactor = 2
)

// Revision returns the version, which the API returns as ETag.
func (o Organization) Revision() int { return o.Version }

// OrganizationChange changes the given fields of an organization.
type OrganizationChange struct {
	ID    uuid.UUID   `param:"id"`
	Match patch.Match `header:"If-Match"`
	// The name of the practice.
	Name     patch.Field[string] `json:"name" validate:"omitempty,max=100,text"`
	TimeZone patch.Field[string] `json:"timeZone" validate:"omitempty,max=100"`
	// The decision about appointments that start on another date in a new time zone. `MOVE`
	// gives them the new service date, `KEEP` leaves it unchanged.
	ServiceDates ServiceDatePolicy `json:"serviceDates" validate:"omitempty,oneof=MOVE KEEP"`
	// The number of hours before the start from which a cancellation is late.
	LateCancelHours patch.Field[int] `json:"lateCancelHours" validate:"omitempty,min=0,max=720"`
	// Whether units stay used after a no-show, for payers that pay for it.
	NoShowConsumes patch.Field[bool] `json:"noShowConsumes"`
	// The number of hours after its end during which a session can be changed.
	SessionEditHours patch.Field[int] `json:"sessionEditHours" validate:"omitempty,min=0,max=8760"`

	// The number of minutes before its booked start from which an appointment can be started.
	EarlyStartMinutes patch.Field[int] `json:"earlyStartMinutes" validate:"omitempty,min=0,max=1440"`
	// The factor between actual and booked length above which a session must be confirmed.
	ConfirmLengthFactor patch.Field[float64] `json:"confirmLengthFactor" validate:"omitempty,min=1,max=100"`
}

// OrganizationSwitch disables or enables an organization.
type OrganizationSwitch struct {
	ID       uuid.UUID   `param:"id"`
	Match    patch.Match `header:"If-Match"`
	Disabled *bool       `json:"disabled" validate:"required"` // Whether the organization is disabled.
}

// CreateOrganization creates an organization. It needs no caller in the context, because the
// first one is created before any user can sign in. The error is [fault.ErrInvalid].
func (s *Service) CreateOrganization(ctx context.Context, n NewOrganization) (Organization, error) {
	now := s.now()
	created := Organization{
		ID: s.newID(), Name: n.Name, TimeZone: n.TimeZone,
		LateCancelHours: defaultLateCancelHours, SessionEditHours: defaultSessionEditHours,
		EarlyStartMinutes: defaultEarlyStartMinutes, ConfirmLengthFactor: defaultConfirmLengthFactor,
		Version: 1, CreatedAt: now, UpdatedAt: now,
	}
	if err := checkName(n.Name); err != nil { // not every caller uses HTTP, where the tags are validated
		return Organization{}, err
	}
	if err := checkZone(n.TimeZone); err != nil {
		return Organization{}, err
	}
	stored := func(ctx context.Context) (bool, error) {
		_, err := takeOrganization(ctx, created.ID)
		if db.IsNotFound(err) {
			return false, nil
		}
		return err == nil, err
	}
	return db.Serializable(ctx, s.database, "organization.create", func(ctx context.Context) (Organization, error) {
		if db.InDoubt(ctx) { // an earlier attempt may have committed: see db.ProvenBy
			if done, err := stored(ctx); done || err != nil {
				return created, err
			}
		}
		if err := db.Admit(ctx, created.ID); err != nil {
			return Organization{}, err
		}
		if err := insert(ctx, &created); err != nil {
			return Organization{}, err
		}
		if err := insertPairs(ctx, created.ID, defaultPairs); err != nil {
			return Organization{}, err
		}
		return created, s.recordOrganization(ctx, nil, &created, now)
	}, db.ProvenBy(stored))
}

// OrganizationsNamed returns the organizations with exactly this name, the oldest first. It needs
// no caller in the context, and is for operators only.
func (s *Service) OrganizationsNamed(ctx context.Context, name string) ([]Organization, error) {
	return db.Snapshot(ctx, s.database, "organization.named", func(ctx context.Context) ([]Organization, error) {
		return organizationsNamed(ctx, name)
	})
}

// Organization returns the caller's organization, or any if the caller holds
// [permission.OrganizationReadAll]. The error is [ErrOrganizationNotFound].
func (s *Service) Organization(ctx context.Context, id uuid.UUID) (Organization, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return Organization{}, err
	}
	if id != caller.OrganizationID && caller.RequireWhole(permission.OrganizationReadAll) != nil {
		return Organization{}, ErrOrganizationNotFound
	}
	return db.Snapshot(ctx, s.database, "organization.get", func(ctx context.Context) (Organization, error) {
		return organization(ctx, id)
	})
}

// Organizations lists the caller's organization, or all if the caller holds
// [permission.OrganizationReadAll].
func (s *Service) Organizations(ctx context.Context, p Page) ([]Organization, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return nil, err
	}
	only := caller.OrganizationID
	if caller.RequireWhole(permission.OrganizationReadAll) == nil {
		only = uuid.Nil
	}
	return db.Snapshot(ctx, s.database, "organization.list", func(ctx context.Context) ([]Organization, error) {
		return findOrganizations(ctx, p, only)
	})
}

// ChangeOrganization changes the caller's organization. Errors: [ErrOrganizationNotFound], also for
// other organizations, [fault.ErrInvalid], and for a new time zone [ErrServiceDates] and the
// refusals of the [Calendar].
func (s *Service) ChangeOrganization(ctx context.Context, c OrganizationChange) (Organization, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return Organization{}, err
	}
	if c.ID != caller.OrganizationID {
		return Organization{}, ErrOrganizationNotFound
	}
	if c.TimeZone.Given {
		if err := checkZone(c.TimeZone.Value); err != nil {
			return Organization{}, err
		}
	}
	var options []db.Option
	if c.TimeZone.Given && s.calendar != nil {
		options = append(options, s.calendar.WaitForBookings())
	}
	now := s.now()
	return db.Serializable(ctx, s.database, "organization.change", func(ctx context.Context) (Organization, error) {
		before, err := organization(ctx, c.ID)
		if err != nil {
			return Organization{}, err
		}
		if err := c.Match.Check(before.Version); err != nil {
			return Organization{}, err
		}
		after := before
		c.Name.Apply(&after.Name)
		c.TimeZone.Apply(&after.TimeZone)
		c.LateCancelHours.Apply(&after.LateCancelHours)
		c.NoShowConsumes.Apply(&after.NoShowConsumes)
		c.SessionEditHours.Apply(&after.SessionEditHours)
		c.EarlyStartMinutes.Apply(&after.EarlyStartMinutes)
		c.ConfirmLengthFactor.Apply(&after.ConfirmLengthFactor)
		if after == before {
			return before, nil
		}
		after.Version++
		after.UpdatedAt = now
		if err := updateOrganization(ctx, after); err != nil {
			return Organization{}, err
		}
		if after.TimeZone != before.TimeZone {
			if err := s.changeZone(ctx, after.TimeZone, c.ServiceDates); err != nil {
				return Organization{}, err
			}
		}
		if err := s.recordOrganization(ctx, &before, &after, now); err != nil {
			return Organization{}, err
		}
		return after, db.AfterCommit(ctx, func(context.Context) { s.zones.Invalidate(c.ID) })
	}, options...)
}

// SwitchOrganization disables or enables an organization other than the caller's own, see
// [Access]. It changes and deletes nothing else. Errors: [ErrOrganizationNotFound],
// [ErrOwnOrganization], [patch.ErrStale]. It works without [db.ProvenBy]: the caller can repeat
// it after an unknown outcome.
func (s *Service) SwitchOrganization(ctx context.Context, c OrganizationSwitch) (Organization, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return Organization{}, err
	}
	if c.ID == caller.OrganizationID {
		return Organization{}, ErrOwnOrganization
	}
	now := s.now()
	return db.Serializable(ctx, s.database, "organization.switch", func(ctx context.Context) (Organization, error) {
		before, err := organization(ctx, c.ID)
		if err != nil {
			return Organization{}, err
		}
		if err := c.Match.Check(before.Version); err != nil || before.Disabled == *c.Disabled {
			return before, err
		}
		if err := db.Admit(ctx, c.ID); err != nil {
			return Organization{}, err
		}
		after := before
		after.Disabled, after.Version, after.UpdatedAt = *c.Disabled, before.Version+1, now
		if err := updateOrganization(ctx, after); err != nil {
			return Organization{}, err
		}
		if err := s.access.Switched(ctx, c.ID, after.Disabled, after.Version); err != nil {
			return Organization{}, err
		}
		return after, s.recordOrganization(ctx, &before, &after, now)
	})
}

func organization(ctx context.Context, id uuid.UUID) (Organization, error) {
	found, err := takeOrganization(ctx, id)
	if db.IsNotFound(err) {
		err = ErrOrganizationNotFound
	}
	return found, err
}

func checkName(name string) error {
	const maxName = 100
	if strings.TrimSpace(name) == "" || utf8.RuneCountInString(name) > maxName ||
		!utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return fault.InvalidFields(fault.Field{
			Field: "name", Code: "text", Message: "must be one line of 1 to 100 characters",
		})
	}
	return nil
}

// checkZone accepts only IANA names. A system's zone directory contains others as well: some
// depend on the machine, and "right" counts leap seconds.
func checkZone(name string) error {
	first, _, _ := strings.Cut(strings.ToLower(name), "/")
	own := slices.Contains([]string{"", "local", "localtime", "posixrules", "posix", "right"}, first)
	if _, err := time.LoadLocation(name); err == nil && !own {
		return nil
	}
	return fault.InvalidFields(fault.Field{
		Field: "timeZone", Code: "timezone",
		Message: "must be a time zone's name, such as America/New_York",
	})
}
