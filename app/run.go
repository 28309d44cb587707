package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"omnirapeutic/app/demo"
	"omnirapeutic/config"
	"omnirapeutic/platform/db"
)

// Program is the [App] with everything that it runs on, opened.
type Program struct {
	*App
	Storage *Storage
}

// Open opens the storage, brings the schema up to date where the configuration
// says so, checks it otherwise, and builds the program. Errors: those of
// [OpenStorage], *[db.SchemaError], *[db.UnavailableError].
func Open(ctx context.Context, c config.Config, logger logrus.FieldLogger) (*Program, error) {
	storage, err := OpenStorage(ctx, c, logger)
	if err != nil {
		return nil, err
	}
	p, err := OpenOn(ctx, storage, c, logger)
	if err != nil {
		return nil, errors.Join(err, storage.Close())
	}
	return p, nil
}

// OpenOn is [Open] on a storage that is open already. It is not closed on error.
func OpenOn(ctx context.Context, storage *Storage, c config.Config, logger logrus.FieldLogger) (*Program, error) {
	migrator := storage.Migrator()
	if c.Database.AutoMigrate {
		logger.WithField("event", "schema_checking").Info("bringing the database's schema up to date")
		if err := migrator.Up(ctx); err != nil {
			return nil, fmt.Errorf("bring the schema up to date: %w", err)
		}
	}
	database, err := db.Open(ctx, db.Config{
		URL: storage.URL, MaxConns: c.Database.MaxConns, ExecMode: c.Database.ExecMode, NoLocks: !c.CombineLock, Retry: c.Retry.Policy(),
		SlowQuery: c.Database.SlowQuery, Logger: logger, Observers: []db.Observer{db.LogTo(logger)},
	})
	if err != nil {
		return nil, err
	}
	if err := database.CheckSchema(ctx); err != nil {
		database.Close()
		return nil, err
	}
	if err := warnOfRole(ctx, database, logger); err != nil {
		database.Close()
		return nil, err
	}
	a, err := New(Dependencies{
		Config: c, Database: database, Logger: logger, Clock: time.Now, NewID: newID, Ready: database.CheckSchema,
	})
	if err != nil {
		database.Close()
		return nil, err
	}
	return &Program{App: a, Storage: storage}, nil
}

// warnOfRole tells whoever reads the log where the second wall between
// organizations does not stand. Production does not serve without, see
// [Program.CheckServable].
func warnOfRole(ctx context.Context, database *db.DB, logger logrus.FieldLogger) error {
	err := database.CheckRole(ctx)
	if role, ok := errors.AsType[*db.RoleError](err); ok {
		logger.WithFields(logrus.Fields{"event": "role_passes_row_security", "role": role.Role}).Warn(role.Error())
		return nil
	}
	return err
}

func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }

// Close gives back what [Open] took.
func (p *Program) Close() error {
	p.Verifications.Close()
	p.Appointments.Close()
	p.Authorizations.Close()
	p.Audit.Close()
	p.database.Close()
	return p.Storage.Close()
}

// LoadDemo fills an empty database with the demo practice and reports whether it did.
func (p *Program) LoadDemo(ctx context.Context) (bool, error) {
	return demo.Load(ctx, p.demoPractice(time.Now()))
}

// DemoError says that production would serve a database in which people can sign
// in whose password is published.
type DemoError struct{ Emails []string }

func (e *DemoError) Error() string {
	return fmt.Sprintf("production does not serve a database with the demo practice, whose password is published (%s): "+
		"name another database with OMNI_DATABASE_URL, or another folder with OMNI_DATA_DIR", strings.Join(e.Emails, ", "))
}

// CheckServable refuses what production must not serve, beside what the
// configuration says by itself: the demo practice, and a database role that row
// level security does not bind. Errors: *[DemoError], *[db.RoleError].
func (p *Program) CheckServable(ctx context.Context) error {
	if p.config.Profile != config.Production {
		return nil
	}
	err := p.database.CheckRole(ctx)
	if role, ok := errors.AsType[*db.RoleError](err); err != nil && (!ok || role.Unbound) {
		return err
	}
	emails, err := p.demoSignIns(ctx)
	if err == nil && len(emails) > 0 {
		err = &DemoError{emails}
	}
	return err
}

// demoSignIns returns the addresses of the demo practice's active users.
func (p *Program) demoSignIns(ctx context.Context) ([]string, error) {
	accounts, err := p.Access.SignIns(ctx, demo.Emails())
	var emails []string
	for _, a := range accounts {
		emails = append(emails, a.Email)
	}
	return slices.Compact(emails), err
}

// Serve answers on the listeners, which it closes, until the context ends, then
// stops gracefully: requests under way finish within the grace time, new ones get
// 503. The error says why it stopped by itself.
func (p *Program) Serve(ctx context.Context, l *Listeners) error {
	defer l.Close()
	l.warn(p.config, p.logger)
	if err := p.watchExpiry(l); err != nil {
		return err
	}
	if err := p.Audit.Prepare(); err != nil {
		return err
	}
	if err := p.Access.Learn(ctx); err != nil && ctx.Err() == nil { // told to stop already, it stops as it does later
		return fmt.Errorf("learn which access tokens were revoked: %w", err)
	}
	defer l.watchCertificate(context.WithoutCancel(ctx), p.logger)()
	defer p.work(ctx)()
	defer p.serveInstruments(l.metrics)()

	served := make(chan error, 1)
	go func() { served <- p.server.Serve(l.api) }()
	p.logger.WithFields(logrus.Fields{"event": "listening", "address": l.api.Addr().String()}).Info("ready to serve")

	var ended error
	select {
	case <-ctx.Done():
	case err := <-served:
		return fmt.Errorf("serve: %w", err)
	case <-p.Storage.Ended():
		ended = fmt.Errorf("the private PostgreSQL has ended: %w", p.Storage.Err())
	}
	p.logger.WithField("event", "stopping").Info("finishing what is under way")
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.config.HTTP.ShutdownGrace)
	defer cancel()
	if err := p.server.Shutdown(grace); err != nil {
		return errors.Join(ended, fmt.Errorf("stop within %s: %w", p.config.HTTP.ShutdownGrace, err))
	}
	return ended
}

// work starts what the program does without being asked, and returns how to stop
// it: the end of ctx does not, since requests are still being finished then.
func (a *App) work(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var background sync.WaitGroup
	background.Go(func() { a.Events.Run(ctx) })
	background.Go(func() { a.Audit.Run(ctx) })
	background.Go(func() { a.Access.Run(ctx) })
	background.Go(func() { a.RunJobs(ctx) })
	return func() { cancel(); background.Wait(); a.Verifications.Close() }
}
