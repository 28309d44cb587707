package cli

import (
	"errors"
	"fmt"
	"runtime/debug"

	"omnirapeutic/platform/datadir"
	"omnirapeutic/platform/postgres"
)

type configCommand struct {
	Show configShow `cmd:"" help:"Show every setting and its source, with secrets hidden."`
}

// Help explains the commands.
func (configCommand) Help() string {
	return `Settings come from defaults, then a YAML file (--config FILE), then environment variables such as
OMNI_ADDR; config.example.yaml describes all of them. All invalid settings are reported at once, with
exit code 2.`
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
	Fetch postgresFetch `cmd:"" help:"Download PostgreSQL binaries into the data folder, checked against a pinned checksum."`
}

// Help explains the commands.
func (postgresCommand) Help() string {
	return `serve and the tests download the binaries themselves if no PostgreSQL is found, unless
OMNI_POSTGRES_FETCH=false. Use this command to prepare a machine that will have no network. The binaries
(24 MB) come from the npm registry that this machine is configured for (.npmrc, npm_config_registry,
HTTPS_PROXY, …); npm itself is not needed. With PostgreSQL installed, or in a folder named by
OMNI_POSTGRES_BIN, nothing is fetched.`
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
	bin, err := postgres.NewFetcher(datadir.Binaries(c.DataDir), e.logger(c)).Fetch(e.context)
	if err == nil {
		fmt.Println("PostgreSQL binaries are in", bin)
	}
	return err
}

type versionCommand struct{}

// Help explains the command.
func (versionCommand) Help() string {
	return "Prints the program's version, the revision of its source and the version of Go, for bug reports."
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
