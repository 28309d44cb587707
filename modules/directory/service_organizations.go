package directory

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/permission"
)

// CreateOrganization creates an organization. It needs no caller in the context, because the
// first one is created before any user can sign in. The error is [fault.ErrInvalid].
func (s *Service) CreateOrganization(ctx context.Context, n NewOrganization) (Organization, error) {
	now := s.now()
	created := Organization{
		ID: s.newID(), Name: n.Name, TimeZone: n.TimeZone,
		LateCancelHours:   defaultLateCancelHours,
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
		_, err := s.store.takeOrganization(ctx, created.ID)
		if db.IsNotFound(err) {
			return false, nil
		}
		return err == nil, err
	}
	return db.Serializable(ctx, s.database, "organization.create", func(ctx context.Context) (Organization, error) {
		if db.InDoubt(ctx) { // an earlier attempt may have committed: see db.ProvenBy
			if exists, err := stored(ctx); exists || err != nil {
				return created, err
			}
		}
		if err := db.Admit(ctx, created.ID); err != nil {
			return Organization{}, err
		}
		if err := s.store.insertOrganization(ctx, created); err != nil {
			return Organization{}, err
		}
		if err := s.store.insertPairs(ctx, created.ID, defaultPairs); err != nil {
			return Organization{}, err
		}
		if err := s.store.insertCancellationReasons(ctx, created, defaultCancellationReasons); err != nil {
			return Organization{}, err
		}
		return created, s.recordOrganization(ctx, nil, &created, now)
	}, db.ProvenBy(stored))
}

// OrganizationsByID returns organizations for access control, sorted by name, in the transaction of
// the context. It needs no caller, because a person who signs in has none. It makes one query, also
// without ids.
func (s *Service) OrganizationsByID(ctx context.Context, ids []uuid.UUID) ([]Organization, error) {
	return s.store.organizationsByID(ctx, ids)
}

// OrganizationsNamed returns the organizations with exactly this name, the oldest first. It needs
// no caller in the context, and is for operators only.
func (s *Service) OrganizationsNamed(ctx context.Context, name string) ([]Organization, error) {
	return db.Snapshot(ctx, s.database, "organization.named", func(ctx context.Context) ([]Organization, error) {
		return s.store.organizationsNamed(ctx, name)
	})
}

// Organization returns the caller's organization, or any if the caller holds
// [permission.OrganizationReadAll]. The error is [ErrOrganizationNotFound].
func (s *Service) Organization(ctx context.Context, id uuid.UUID) (Organization, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return Organization{}, err
	}
	if id != caller.OrganizationID && caller.RequireForOrganization(permission.OrganizationReadAll) != nil {
		return Organization{}, ErrOrganizationNotFound
	}
	return db.Snapshot(ctx, s.database, "organization.get", func(ctx context.Context) (Organization, error) {
		return s.organization(ctx, id)
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
	if caller.RequireForOrganization(permission.OrganizationReadAll) == nil {
		only = uuid.Nil
	}
	return db.Snapshot(ctx, s.database, "organization.list", func(ctx context.Context) ([]Organization, error) {
		return s.store.findOrganizations(ctx, p, only)
	})
}

// ChangeOrganization changes the caller's organization. It joins the transaction of the context, or
// opens its own. Service dates of appointments do not change with the time zone. Errors:
// [ErrOrganizationNotFound], also for other organizations, [patch.ErrStale], [fault.ErrInvalid].
func (s *Service) ChangeOrganization(ctx context.Context, c OrganizationChange) (Organization, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return Organization{}, err
	}
	if c.ID != caller.OrganizationID {
		return Organization{}, ErrOrganizationNotFound
	}
	if err := c.Check(); err != nil {
		return Organization{}, err
	}
	now := s.now()
	return db.Serializable(ctx, s.database, "organization.change", func(ctx context.Context) (Organization, error) {
		before, err := s.organization(ctx, c.ID)
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
		c.EarlyStartMinutes.Apply(&after.EarlyStartMinutes)
		c.ConfirmLengthFactor.Apply(&after.ConfirmLengthFactor)
		if after == before {
			return before, nil
		}
		after.Version++
		after.UpdatedAt = now
		if err := s.store.updateOrganization(ctx, after); err != nil {
			return Organization{}, err
		}
		if err := s.recordOrganization(ctx, &before, &after, now); err != nil {
			return Organization{}, err
		}
		return after, db.AfterCommit(ctx, func(context.Context) { s.zones.Invalidate(c.ID) })
	})
}

// SetOrganizationDisabled disables or enables an organization other than the caller's own, see
// [Access]. It changes and deletes nothing else. Errors: [ErrOrganizationNotFound],
// [ErrOwnOrganization], [patch.ErrStale]. It works without [db.ProvenBy]: the caller can repeat
// it after an unknown outcome.
func (s *Service) SetOrganizationDisabled(ctx context.Context, c OrganizationDisabledChange) (Organization, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return Organization{}, err
	}
	if c.ID == caller.OrganizationID {
		return Organization{}, ErrOwnOrganization
	}
	now := s.now()
	return db.Serializable(ctx, s.database, "organization.switch", func(ctx context.Context) (Organization, error) {
		before, err := s.organization(ctx, c.ID)
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
		if err := s.store.updateOrganization(ctx, after); err != nil {
			return Organization{}, err
		}
		if err := s.access.SetOrganizationDisabled(ctx, c.ID, after.Disabled, after.Version); err != nil {
			return Organization{}, err
		}
		return after, s.recordOrganization(ctx, &before, &after, now)
	})
}

func (s *Service) organization(ctx context.Context, id uuid.UUID) (Organization, error) {
	found, err := s.store.takeOrganization(ctx, id)
	if db.IsNotFound(err) {
		err = ErrOrganizationNotFound
	}
	return found, err
}
