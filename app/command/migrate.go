package command

import (
	"fmt"
	"time"

	"omnirapeutic/app"
)

type migrateCommand struct {
	Up     migrateUp     `cmd:"" help:"Apply what is missing."`
	Down   migrateDown   `cmd:"" help:"Take the newest migration back. Loses what it holds."`
	Status migrateStatus `cmd:"" help:"Tell which migrations are applied."`
}

// Help explains the command.
func (migrateCommand) Help() string {
	return `Works on OMNI_DATABASE_URL, or with the owner's OMNI_MIGRATE_URL where the program's role
may not migrate. Without either, on the private PostgreSQL in the data folder.`
}

type (
	migrateUp     struct{}
	migrateDown   struct{}
	migrateStatus struct{}
)

// Run applies what is missing.
func (migrateUp) Run(e environment) error {
	return e.withStorage(func(s *app.Storage) error {
		if err := s.Migrator().Up(e.context); err != nil {
			return err
		}
		return migrateStatus{}.print(e, s)
	})
}

// Run takes the newest migration back.
func (migrateDown) Run(e environment) error {
	return e.withStorage(func(s *app.Storage) error {
		if err := s.Migrator().Down(e.context); err != nil {
			return err
		}
		return migrateStatus{}.print(e, s)
	})
}

// Run tells which migrations are applied.
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
