package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/audit"
	"omnirapeutic/modules/audit/anchor"
	"omnirapeutic/modules/directory"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/user"
	"omnirapeutic/modules/verification"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
)

// Operator actions on the command line.

// VerifyAll verifies the ledgers of all organizations and all audit trails. An incremental verification
// omits the events without an organization.
func (p *Program) VerifyAll(ctx context.Context, mode verification.Mode) (VerificationResult, error) {
	if mode == verification.Incremental {
		return p.verifyChanges(ctx)
	}
	basis := verification.Basis{Mode: verification.Full, At: time.Now().UTC().Truncate(time.Microsecond)}
	result, heads, err := p.verify(ctx, verifyScope{basis: basis})
	if err != nil || !result.OK {
		return result, err
	}
	for _, head := range heads {
		if head.OrganizationID == uuid.Nil {
			continue
		}
		ctx := identity.With(ctx, identity.System(head.OrganizationID))
		if err := p.addCheckpoint(ctx, basis, []audit.Head{head}); err != nil {
			return result, err
		}
	}
	return result, nil
}

// CompareAnchors compares anchored heads with the audit trails; see [audit.Service.CompareHeads].
func (p *Program) CompareAnchors(ctx context.Context, heads []anchor.Head) (audit.Findings, error) {
	return p.Audit.CompareHeads(ctx, heads)
}

// verifyChanges verifies each organization from its checkpoint, and adds the results up.
func (p *Program) verifyChanges(ctx context.Context) (VerificationResult, error) {
	organizations, err := p.Audit.Organizations(ctx)
	if err != nil {
		return VerificationResult{}, err
	}
	all := VerificationResult{OK: true, CheckedAt: time.Now().UTC(), Audit: audit.FindingsBody{OK: true}}
	for _, organization := range organizations {
		if organization == uuid.Nil {
			continue
		}
		one, err := p.verifyOne(ctx, organization, verification.Incremental, nil, nil)
		if err != nil {
			return all, err
		}
		all.add(one)
	}
	return all, nil
}

// FirstUser is a user created by an operator, optionally with a new organization.
type FirstUser struct {
	user.NewUser
	Organization string // an id, or the name of a new organization
	TimeZone     string // of the new organization
}

// Check returns an error unless the organization is given in one of the two ways.
func (u FirstUser) Check() error {
	_, err := uuid.Parse(u.Organization)
	switch {
	case err == nil && u.TimeZone != "":
		return errors.New("--time-zone creates a new organization, which needs a name, not an id")
	case err != nil && u.TimeZone == "":
		return fmt.Errorf("%q is not the id of an organization; to create one with this name, add --time-zone",
			u.Organization)
	}
	return nil
}

// CreateUser creates the user. If a time zone is given, it first creates the
// organization, in the same transaction. It refuses a second organization of the same
// name, because a repeated command means the existing one.
func (p *Program) CreateUser(ctx context.Context, u FirstUser) (rbac.User, error) {
	if err := u.Check(); err != nil {
		return rbac.User{}, err
	}
	if u.TimeZone == "" {
		return p.Access.Users.Create(ctx, uuid.MustParse(u.Organization), u.NewUser)
	}
	return db.Serializable(ctx, p.database, "user.create-first", func(ctx context.Context) (rbac.User, error) {
		existing, err := p.Directory.OrganizationsNamed(ctx, u.Organization)
		if err != nil {
			return rbac.User{}, err
		}
		if len(existing) > 0 {
			return rbac.User{}, fmt.Errorf("the organization %q exists already: for a user in it, give its id, --organization "+
				"%s, and omit --time-zone", u.Organization, existing[0].ID)
		}
		organization, err := p.Directory.CreateOrganization(ctx,
			directory.NewOrganization{Name: u.Organization, TimeZone: u.TimeZone})
		if err != nil {
			return rbac.User{}, err
		}
		return p.Access.Users.Create(ctx, organization.ID, u.NewUser)
	}, db.AllOrganizations())
}
