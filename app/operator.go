package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
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
func (p *Program) VerifyAll(ctx context.Context) (Verification, error) {
	return p.verify(ctx, uuid.Nil)
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
	})
}

// Scratch is a server on a database that nobody needs, for measurements.
type Scratch struct {
	URL string

	program *Program
	rest    func() // stops the program's own work
	dir     string
}

// ServeScratch starts the program with demo data on a private, durable
// PostgreSQL in a new folder beside the data folder, so that it lies on the
// same disk as what it stands for.
func ServeScratch(ctx context.Context, c config.Config, logger logrus.FieldLogger) (*Scratch, error) {
	if err := os.MkdirAll(c.DataDir, 0o755); err != nil { //nolint:gosec // the private server's user must be able to enter
		return nil, err
	}
	dir, err := os.MkdirTemp(c.DataDir, "scratch-")
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // as above
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	storage, err := OpenScratch(ctx, filepath.Join(dir, "postgres"), c, logger)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	c.Database.AutoMigrate = true // whatever holds for the data of somebody
	p, err := OpenOn(ctx, storage, c, logger)
	if err != nil {
		return nil, errors.Join(err, storage.Close(), os.RemoveAll(dir))
	}
	s := &Scratch{program: p, dir: dir, rest: func() {}}
	if _, err := p.LoadDemo(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.URL = "http://" + listener.Addr().String()
	s.rest = p.work(ctx)
	go p.server.Serve(listener) //nolint:errcheck // ends with Close
	return s, nil
}

// Close stops the server and removes its database.
func (s *Scratch) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	stopped := s.program.server.Shutdown(ctx)
	s.rest()
	return errors.Join(stopped, s.program.Close(), os.RemoveAll(s.dir))
}
