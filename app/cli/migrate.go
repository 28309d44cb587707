package cli

import (
	"fmt"
	"time"

	"omnirapeutic/app"
)

type migrateCommand struct {
	Up     migrateUp     `cmd:"" help:"Apply missing migrations."`
	Down   migrateDown   `cmd:"" help:"Revert the newest migration. Its data is lost."`
	Status migrateStatus `cmd:"" help:"Show which migrations are applied."`
}

// Help explains the command.
func (migrateCommand) Help() string {
	return `Connects with OMNI_DATABASE_URL, or with the owner's OMNI_MIGRATE_URL if the program's role
may not migrate. Without either, uses the private PostgreSQL in the data folder.`
}

type (
	migrateUp     struct{}
	migrateDown   struct{}
	migrateStatus struct{}
)

// Run applies missing migrations.
func (migrateUp) Run(e environment) error {
	return e.withStorage(func(s *app.Storage) error {
		if err := s.Migrator().Up(e.context); err != nil {
			return err
		}
		return migrateStatus{}.print(e, s)
	})
}

// Run reverts the newest migration.
func (migrateDown) Run(e environment) error {
	return e.withStorage(func(s *app.Storage) error {
		if err := s.Migrator().Down(e.context); err != nil {
			return err
		}
		return migrateStatus{}.print(e, s)
	})
}

// Run lists the migrations and their states.
func (m migrateStatus) Run(e environment) error {
	return e.withStorage(func(s *app.Storage) error { return m.print(e, s) })
}

func (migrateStatus) print(e environment, s *app.Storage) error {
	migrations, err := s.Migrator().Status(e.context)
	if err != nil {
		return err
	}
	for _, m := range migrations {
		state := "missing"
		if m.Applied {
			state = "applied " + m.AppliedAt.Format(time.RFC3339)
		}
		fmt.Printf("%05d  %-24s  %s\n", m.Version, m.Name, state)
	}
	return nil
}
