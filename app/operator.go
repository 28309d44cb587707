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
	"omnirapeutic/modules/authorization"
	"omnirapeutic/modules/directory"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/db"
)

// What an operator does at the command line, beside the API.

// VerifyAll checks the books of all organizations.
func (p *Program) VerifyAll(ctx context.Context) (authorization.Report, error) {
	return p.Authorizations.Verify(ctx, uuid.Nil)
}

// FirstUser is a user whom an operator makes, perhaps with the organization.
type FirstUser struct {
	rbac.NewUser
	Organization string // an id, or a new organization's name
	TimeZone     string // of the new organization
}

// CreateUser makes the user, and the organization first where a time zone is
// given: both or neither.
func (p *Program) CreateUser(ctx context.Context, u FirstUser) (rbac.User, error) {
	organization, err := uuid.Parse(u.Organization)
	switch {
	case err == nil && u.TimeZone != "":
		return rbac.User{}, errors.New("--time-zone makes a new organization, which needs a name, not an id")
	case err != nil && u.TimeZone == "":
		return rbac.User{}, fmt.Errorf("%q is not the id of an organization; to make one of that name, add --time-zone", u.Organization)
	case err == nil:
		return p.Access.CreateUser(ctx, organization, u.NewUser)
	}
	return db.Serializable(ctx, p.database, "user.create-first", func(ctx context.Context) (rbac.User, error) {
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
	dir := filepath.Join(c.DataDir, "scratch-"+time.Now().Format("20060102-150405"))
	storage, err := OpenScratch(ctx, dir, c, logger)
	if err != nil {
		return nil, err
	}
	p, err := OpenOn(ctx, storage, c, logger)
	if err != nil {
		return nil, errors.Join(err, storage.Close())
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
