package cli

import (
	"errors"
	"fmt"
	"runtime"

	"omnirapeutic/app"
	"omnirapeutic/config"
	"omnirapeutic/platform/datadir"
	"omnirapeutic/platform/postgres"
	"omnirapeutic/platform/version"
)

type configCommand struct {
	Show  configShow  `cmd:"" help:"Show every setting and its source, with secrets hidden."`
	Check configCheck `cmd:"" help:"Check the configuration before a start or a reload."`
}

// Help explains the commands.
func (configCommand) Help() string {
	return `Settings come from defaults, then a YAML file (--config FILE), then environment variables such as
OMNI_ADDR; config.example.yaml describes all of them. The variables of OpenTelemetry, such as
OTEL_EXPORTER_OTLP_ENDPOINT, configure traces and metrics by OTLP. All invalid settings are reported at
once, with exit code 2.`
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

type configCheck struct {
	Database bool `help:"Also connect to the database and its standby for reads, and check the schema and the program's role."`
}

// Help explains the command.
func (configCheck) Help() string {
	return `Checks all settings, and that the certificate and its key can be used. Exit code 0: a server would
start or reload with this configuration. Exit code 2: it would not, and all invalid settings are listed.
Exit code 1: the certificate or, with --database, the database cannot be used.`
}

// Run checks the configuration.
func (check configCheck) Run(e environment) error {
	c, err := e.settings()
	if err != nil {
		return err
	}
	if err := app.CheckCertificate(c.HTTP.TLS); err != nil {
		return err
	}
	if check.Database {
		// A check changes nothing: it neither migrates nor starts the private server.
		c.Database.AutoMigrate = false
		if err := checkDatabase(e, c); err != nil {
			return err
		}
	}
	fmt.Println("The configuration is valid.")
	if c.Telemetry.Enabled() {
		fmt.Println(c.Telemetry)
	}
	return nil
}

func checkDatabase(e environment, c config.Config) error {
	if c.Database.URL == "" {
		return errors.New("--database needs OMNI_DATABASE_URL: the private PostgreSQL runs only while the program serves")
	}
	p, err := app.Open(e.context, c, e.logger(c))
	if err != nil {
		return err
	}
	return errors.Join(p.CheckServable(e.context), p.CheckStandby(e.context), p.Close())
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

// Run prints the version.
func (versionCommand) Run() error {
	fmt.Printf("omnirapeutic %s (revision %s, %s, %s/%s)\n", version.Version(), version.Revision(), runtime.Version(),
		runtime.GOOS, runtime.GOARCH)
	return nil
}
