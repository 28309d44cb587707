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

// Help explains the commands.
func (configCommand) Help() string {
	return `Settings come from defaults, then a YAML file (--config FILE), then environment variables such as
OMNI_ADDR; config.example.yaml describes all of them. What is wrong is told all at once, with exit
code 2.`
}

type configShow struct{}

// Help explains the command.
func (configShow) Help() string { return configCommand{}.Help() }

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

// Help explains the commands.
func (postgresCommand) Help() string {
	return `Only for machines without PostgreSQL's programs, where they cannot be installed: with apt-get, brew
or a folder named by OMNI_POSTGRES_BIN, nothing needs to be fetched. Needs npm, and the network once.`
}

type postgresFetch struct{}

// Help explains the command.
func (postgresFetch) Help() string { return postgresCommand{}.Help() }

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

// Help explains the command.
func (versionCommand) Help() string {
	return "Prints the program's version, the revision of its source and the version of Go, for reports of problems."
}

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
