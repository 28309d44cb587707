package app

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/sirupsen/logrus"

	"omnirapeutic/config"
	"omnirapeutic/platform/datadir"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/postgres"
)

// Storage is where the data lives: the configured database, or a private
// PostgreSQL that this program has started and stops again.
type Storage struct {
	// URL is for the program; OwnerURL is for whoever migrates. They are the same
	// where only one is configured.
	URL, OwnerURL string
	// Role is whom the program connects as.
	Role string
	// Place says in a few words where that is, without secrets.
	Place string

	private *postgres.Server
}

// OpenStorage finds the configured database, or starts the private one. The
// errors of starting it are those of [postgres.Start].
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
		return &Storage{URL: url, OwnerURL: owner, Role: role, Place: "the configured database"}, nil
	}
	return startPrivate(ctx, filepath.Join(c.DataDir, "postgres"), c, logger)
}

// OpenScratch starts a private PostgreSQL with durable settings in an empty
// folder, for measurements that must not touch anybody's data. It has room for as
// many connections as the configuration says, and a few.
func OpenScratch(ctx context.Context, dir string, c config.Config, logger logrus.FieldLogger) (*Storage, error) {
	return startPrivate(ctx, dir, c, logger)
}

func startPrivate(ctx context.Context, dir string, c config.Config, logger logrus.FieldLogger) (*Storage, error) {
	server, err := postgres.Start(ctx, postgres.Options{
		Dir: dir, Bin: c.PostgresBin, Binaries: datadir.Binaries(c.DataDir), NoFetch: !c.PostgresFetch,
		MaxConnections: c.Database.MaxConns + 10, Logger: logger,
	})
	if err != nil {
		return nil, err
	}
	return &Storage{
		URL:      server.AppURL(server.Database()),
		OwnerURL: server.OwnerURL(server.Database()),
		Role:     postgres.AppRole,
		Place:    fmt.Sprintf("a private PostgreSQL %d in %s", server.Version(), dir),
		private:  server,
	}, nil
}

// Migrator returns what brings the schema up to date.
func (s *Storage) Migrator() db.Migrator {
	return db.Migrator{OwnerURL: s.OwnerURL, AppRole: s.Role}
}

// Ended is closed when a private server has ended for good; it is nil, and so
// never ready, for a configured database.
func (s *Storage) Ended() <-chan struct{} {
	if s.private == nil {
		return nil
	}
	return s.private.Done()
}

// Err says why a private server has ended.
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
