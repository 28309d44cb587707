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
	"omnirapeutic/platform/otlp"
	"omnirapeutic/platform/systemd"
	"omnirapeutic/platform/version"
)

// Program is the [App] with its open storage.
type Program struct {
	*App
	Storage *Storage
	// Notifier sends the program's state to systemd. It may be nil.
	Notifier *systemd.Notifier

	exporter *otlp.Exporter // nil if nothing is sent by OTLP
}

// Open opens the storage, migrates or checks the schema as configured, and builds the
// program. Errors: as for [OpenStorage], *[db.SchemaError], *[db.UnavailableError].
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

// OpenOn is like [Open] with an open storage. It does not close the storage on error.
func OpenOn(ctx context.Context, storage *Storage, c config.Config, logger logrus.FieldLogger) (*Program, error) {
	migrator := storage.Migrator()
	if c.Database.AutoMigrate {
		logger.WithField("event", "schema_checking").Info("migrating the database schema")
		if err := migrator.Up(ctx); err != nil {
			return nil, fmt.Errorf("migrate the schema: %w", err)
		}
	}
	database, err := db.Open(ctx, db.Config{
		URL: storage.URL, Profile: db.Profile(c.Database.Profile),
		MaxConns: c.Database.MaxConns, ExecMode: c.Database.ExecMode, Retry: c.Retry.Policy(),
		Standby:   db.StandbyConfig{URL: c.Database.ReplicaURL.Reveal(), MaxLag: c.Database.ReplicaMaxLag},
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
	exporter, err := otlp.Open(ctx, c.Telemetry, logger)
	if err != nil {
		database.Close()
		return nil, fmt.Errorf("open the exporter of OTLP: %w", err)
	}
	a, err := New(Dependencies{
		Config: c, Database: database, Logger: logger, Clock: time.Now, NewID: newID, Ready: database.CheckSchema,
		Tracer: exporter.Tracer(),
	})
	if err != nil {
		exporter.Close()
		database.Close()
		return nil, err
	}
	return &Program{App: a, Storage: storage, exporter: exporter}, nil
}

// warnOfRole logs a warning if row level security does not apply to the program's role.
// Production refuses to serve in that case; see [Program.CheckServable].
func warnOfRole(ctx context.Context, database *db.DB, logger logrus.FieldLogger) error {
	err := database.CheckRole(ctx)
	if role, ok := errors.AsType[*db.RoleError](err); ok {
		logger.WithFields(logrus.Fields{"event": "role_passes_row_security", "role": role.Role}).Warn(role.Error())
		return nil
	}
	return err
}

func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }

// Close releases the resources of [Open].
func (p *Program) Close() error {
	p.Verifications.Close()
	p.Commands.Close()
	p.Audit.Close()
	p.exporter.Close()
	p.database.Close()
	return p.Storage.Close()
}

// LoadDemo fills an empty database with the demo practice and reports whether it did.
func (p *Program) LoadDemo(ctx context.Context) (bool, error) {
	return demo.Load(ctx, p.demoPractice(time.Now()))
}

// DemoError is returned if production would serve the demo practice, whose passwords
// are public.
type DemoError struct{ Emails []string }

func (e *DemoError) Error() string {
	return fmt.Sprintf("production does not serve a database with the demo practice, whose passwords are public (%s): "+
		"name another database with OMNI_DATABASE_URL, or another folder with OMNI_DATA_DIR", strings.Join(e.Emails, ", "))
}

// CheckServable returns an error for a database that production must not serve: one
// with the demo practice, or with a role that bypasses row level security. Errors:
// *[DemoError], *[db.RoleError].
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

// CheckStandby checks the standby for reads; see [db.DB.CheckStandby].
func (p *Program) CheckStandby(ctx context.Context) error { return p.database.CheckStandby(ctx) }

// demoSignIns returns the addresses of the demo practice's active users.
func (a *App) demoSignIns(ctx context.Context) ([]string, error) {
	accounts, err := a.Access.Accounts.SignIns(ctx, demo.Emails())
	var emails []string
	for _, account := range accounts {
		emails = append(emails, account.Email)
	}
	return slices.Compact(emails), err
}

// offeredSignIns returns the function that lists the demo practice's users for the documentation page. It is nil
// in production, which never serves the demo practice.
func (a *App) offeredSignIns(profile string) func(ctx context.Context) ([]string, error) {
	if profile == config.Production {
		return nil
	}
	return a.demoSignIns
}

// Serve serves on the listeners, which it closes, until the context ends. Then it shuts
// down gracefully: running requests finish within the grace time, and new ones get 503.
// It returns an error if it stops for another reason.
func (p *Program) Serve(ctx context.Context, l *Listeners) error {
	defer l.Close()
	l.warn(p.config, p.logger)
	if err := p.watchExpiry(l); err != nil {
		return err
	}
	if err := p.Audit.Prepare(); err != nil {
		return err
	}
	// If the context has ended, the error does not matter: the select below stops the program.
	if err := p.Access.Revocations.LoadRevocations(ctx); err != nil && ctx.Err() == nil {
		return fmt.Errorf("load the revoked access tokens: %w", err)
	}
	if err := p.exporter.SendMetrics(context.WithoutCancel(ctx), p.registry); err != nil {
		return fmt.Errorf("send metrics by OTLP: %w", err)
	}
	defer l.watchCertificate(context.WithoutCancel(ctx), p.logger)()
	defer p.work(ctx)()
	defer p.serveMetrics(l.metrics)()

	served := make(chan error, 1)
	go func() { served <- p.server.Serve(l.api) }()
	p.logger.WithFields(logrus.Fields{"event": "listening", "address": l.api.Addr().String()}).Info("ready to serve")
	p.warnOf(p.Notifier.Ready(p.servingStatus(l)))
	defer p.feedWatchdog(p.Notifier)()

	var ended error
	select {
	case <-ctx.Done():
	case err := <-served:
		return fmt.Errorf("serve: %w", err)
	case <-p.Storage.Ended():
		ended = fmt.Errorf("the private PostgreSQL has ended: %w", p.Storage.Err())
	}
	p.logger.WithField("event", "stopping").Info("finishing running requests")
	p.warnOf(p.Notifier.Stopping())
	limit := p.running.Load().HTTP.ShutdownGrace
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	if err := p.server.Shutdown(grace); err != nil {
		return errors.Join(ended, fmt.Errorf("stop within %s: %w", limit, err))
	}
	return ended
}

// servingStatus describes the serving program for systemctl status.
func (p *Program) servingStatus(l *Listeners) string {
	return fmt.Sprintf("Serving on %s, version %s", l.url(), version.Version())
}

// work starts the background work and returns the function that stops it. The end of
// ctx does not stop it, because running requests may still need it.
func (a *App) work(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var background sync.WaitGroup
	background.Go(func() { a.Events.Listen(ctx) })
	background.Go(func() { a.Access.Revocations.Listen(ctx) })
	background.Go(func() { a.RunJobs(ctx) })
	a.database.WatchStandby()
	return func() { cancel(); background.Wait(); a.Verifications.Close() }
}
