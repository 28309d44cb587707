package app

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/sirupsen/logrus"

	"omnirapeutic/config"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/postgres"
)

// Storage is the configured database, or a private PostgreSQL started and stopped by
// this program.
type Storage struct {
	// URL is the program's; OwnerURL is for migrations. They are equal if only one is
	// configured.
	URL, OwnerURL string
	// Role is the database role of the program.
	Role string
	// Description describes the database in a few words, without secrets.
	Description string

	profile db.Profile
	private *postgres.Server
}

// OpenStorage uses the configured database, or starts the private one, with the errors
// of [postgres.Start]. It waits for a configured database that does not answer yet, for as
// long as configured; then the error is an *[db.UnavailableError].
//
// The role of the configured database comes from its URL, or else is the system's user.
func OpenStorage(ctx context.Context, c config.Config, logger logrus.FieldLogger) (*Storage, error) {
	if url := c.Database.URL.Reveal(); url != "" {
		owner := c.Database.MigrateURL.Reveal()
		if owner == "" {
			owner = url
		}
		role, err := db.RoleOf(url)
		if err != nil {
			return nil, err
		}
		if err := awaitDatabase(ctx, c, logger); err != nil {
			return nil, err
		}
		return &Storage{
			URL: url, OwnerURL: owner, Role: role, Description: "the configured database",
			profile: db.Profile(c.Database.Profile),
		}, nil
	}
	return startPrivate(ctx, filepath.Join(c.DataDir, "postgres"), c, logger)
}

// awaitDatabase waits for the configured database, for as long as configured.
func awaitDatabase(ctx context.Context, c config.Config, logger logrus.FieldLogger) error {
	if c.Database.Wait == 0 {
		return nil
	}
	start, waited := time.Now(), false
	err := db.AwaitServer(ctx, c.Database.URL.Reveal(), c.Database.Wait, func(err error) {
		waited = true
		logger.WithFields(logrus.Fields{"event": "database_awaited", "error": err}).
			Warn("waiting for the database, which does not answer yet")
	})
	if err == nil && waited {
		logger.WithFields(logrus.Fields{"event": "database_answered", "elapsed_ms": time.Since(start).Milliseconds()}).
			Info("the database answers")
	}
	return err
}

// OpenScratch starts a private PostgreSQL with durable settings in an empty folder, for
// measurements on separate data. It accepts a few more connections than configured.
func OpenScratch(ctx context.Context, dir string, c config.Config, logger logrus.FieldLogger) (*Storage, error) {
	return startPrivate(ctx, dir, c, logger)
}

func startPrivate(ctx context.Context, dir string, c config.Config, logger logrus.FieldLogger) (*Storage, error) {
	o := privateOptions(c, logger)
	o.Dir = dir
	server, err := postgres.Start(ctx, o)
	if err != nil {
		return nil, err
	}
	return &Storage{
		URL:         server.AppURL(server.Database()),
		OwnerURL:    server.OwnerURL(server.Database()),
		Role:        postgres.AppRole,
		Description: fmt.Sprintf("a private PostgreSQL %d in %s", server.Version(), dir),
		profile:     db.Profile(c.Database.Profile),
		private:     server,
	}, nil
}

// Migrator returns the migrator of the storage's schema.
func (s *Storage) Migrator() db.Migrator {
	return db.Migrator{OwnerURL: s.OwnerURL, AppRole: s.Role, Profile: s.profile}
}

// Ended returns a channel that is closed when a private server has ended for good. For
// a configured database it is nil and never ready.
func (s *Storage) Ended() <-chan struct{} {
	if s.private == nil {
		return nil
	}
	return s.private.Done()
}

// Err returns why a private server has ended.
func (s *Storage) Err() error {
	if s.private == nil {
		return nil
	}
	return s.private.Err()
}

// Close stops a private server.
func (s *Storage) Close() error {
	if s.private == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return s.private.Stop(ctx)
}
