package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"omnirapeutic/config"
	"omnirapeutic/modules/audit"
	"omnirapeutic/modules/directory"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/db"
)

// What an operator does at the command line, beside the API.

// VerifyAll checks the books of all organizations, and all audit trails.
func (p *Program) VerifyAll(ctx context.Context) (VerificationResult, error) {
	return p.verify(ctx, uuid.Nil, nil, nil)
}

// RemoveAudit removes the oldest events of every audit trail, as the owner of the
// tables. Errors: those of [audit.Service.Remove], *[db.SchemaError], *[db.UnavailableError].
func RemoveAudit(ctx context.Context, s *Storage, c config.Config, r audit.Removal, logger logrus.FieldLogger) ([]audit.Checkpoint, error) {
	owner, err := db.Open(ctx, db.Config{URL: s.OwnerURL, MaxConns: 2, ExecMode: c.Database.ExecMode, Logger: logger})
	if err != nil {
		return nil, err
	}
	defer owner.Close()
	if err := owner.CheckSchema(ctx); err != nil {
		return nil, err
	}
	return audit.New(audit.Dependencies{Database: owner, Clock: time.Now, Logger: logger}).Remove(ctx, r)
}

// FirstUser is a user whom an operator makes, perhaps with the organization.
type FirstUser struct {
	rbac.NewUser
	Organization string // an id, or a new organization's name
	TimeZone     string // of the new organization
}

// Check says whether the organization is named in one of the two ways.
func (u FirstUser) Check() error {
	_, err := uuid.Parse(u.Organization)
	switch {
	case err == nil && u.TimeZone != "":
		return errors.New("--time-zone makes a new organization, which needs a name, not an id")
	case err != nil && u.TimeZone == "":
		return fmt.Errorf("%q is not the id of an organization; to make one of that name, add --time-zone", u.Organization)
	}
	return nil
}

// CreateUser makes the user, and the organization first where a time zone is
// given: both or neither. It refuses to make a second organization of a name:
// whoever repeats a command means the one that is there.
func (p *Program) CreateUser(ctx context.Context, u FirstUser) (rbac.User, error) {
	if err := u.Check(); err != nil {
		return rbac.User{}, err
	}
	if u.TimeZone == "" {
		return p.Access.CreateUser(ctx, uuid.MustParse(u.Organization), u.NewUser)
	}
	return db.Serializable(ctx, p.database, "user.create-first", func(ctx context.Context) (rbac.User, error) {
		there, err := p.Directory.OrganizationsNamed(ctx, u.Organization)
		if err != nil {
			return rbac.User{}, err
		}
		if len(there) > 0 {
			return rbac.User{}, fmt.Errorf("there is an organization %q: for a user in it, give its id, --organization %s, and no --time-zone", u.Organization, there[0].ID)
		}
		made, err := p.Directory.CreateOrganization(ctx, directory.NewOrganization{Name: u.Organization, TimeZone: u.TimeZone})
		if err != nil {
			return rbac.User{}, err
		}
		return p.Access.CreateUser(ctx, made.ID, u.NewUser)
	}, db.AllOrganizations())
}
