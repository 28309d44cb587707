package postgres

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/sirupsen/logrus"

	"omnirapeutic/platform/db/pgurl"
)

// cluster is a PostgreSQL data directory and the data needed to start it.
type cluster struct {
	binaries
	options   Options
	account   account
	dir       string // PostgreSQL's own data directory
	socketDir string
	passwords map[string]string // by role
}

// openCluster finds the cluster in the data folder, or creates it. It returns a
// *[VersionMismatch] for a cluster of another major version.
func openCluster(ctx context.Context, o Options, a account) (cluster, error) {
	c := cluster{options: o, account: a, dir: filepath.Join(o.Dir, "cluster")}
	existing, err := clusterVersion(c.dir)
	if err != nil {
		return c, err
	}
	c.binaries, err = newFinder(o.Binaries, filepath.Join(o.Dir, "binaries")).findOrFetch(ctx, o.Bin, existing, o.fetch())
	if err != nil {
		return c, err
	}
	if existing != 0 && existing != c.version {
		found := c.version
		if o.Bin == "" {
			found = 0
		}
		return c, &VersionMismatch{Dir: o.Dir, Cluster: existing, Binary: found}
	}
	if err := c.readPasswords(existing == 0); err != nil {
		return c, err
	}
	if existing == 0 {
		o.Logger.WithFields(logrus.Fields{"event": "postgres_creating", "version": c.version, "dir": c.dir}).
			Info("creating the private PostgreSQL's cluster, which takes a few seconds")
		if err := c.initialize(ctx); err != nil {
			return c, err
		}
	}
	c.socketDir, err = makeSocketDir(o.Dir, a)
	return c, err
}

// clusterVersion returns the major version of the cluster, or 0 if there is none.
func clusterVersion(dir string) (int, error) {
	content, err := os.ReadFile(filepath.Join(dir, "PG_VERSION"))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	version, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		return 0, fmt.Errorf("%s does not contain a known version: %w", filepath.Join(dir, "PG_VERSION"), err)
	}
	return version, nil
}

// readPasswords reads the roles' passwords. The first time, it creates them, before the
// cluster exists.
func (c *cluster) readPasswords(first bool) error {
	path := filepath.Join(c.options.Dir, "passwords.json")
	content, err := os.ReadFile(path)
	if err == nil {
		if err := json.Unmarshal(content, &c.passwords); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return nil
	}
	if !first || !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("the passwords of the private PostgreSQL's roles: %w", err)
	}
	c.passwords = map[string]string{superuser: rand.Text(), OwnerRole: rand.Text(), AppRole: rand.Text()}
	content, err = json.Marshal(c.passwords)
	if err != nil {
		return err
	}
	side := path + ".new" // renamed at the end, so that the file is never incomplete
	if err := os.WriteFile(side, content, 0o600); err != nil {
		return err
	}
	return errors.Join(flush(side), os.Rename(side, path))
}

// flush syncs a file or a folder to the disk.
func flush(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// initialize creates the cluster in a temporary folder and renames it, so that it is
// never incomplete.
func (c *cluster) initialize(ctx context.Context) error {
	side, err := os.MkdirTemp(c.options.Dir, "initdb-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(side) // remains only after a failure, and contains the password
	if err := c.account.own(side); err != nil {
		return err
	}
	secret := filepath.Join(side, "superuser-password")
	if err := os.WriteFile(secret, []byte(c.passwords[superuser]), 0o600); err != nil {
		return err
	}
	if err := c.account.own(secret); err != nil {
		return err
	}
	data := filepath.Join(side, "cluster")
	arguments := []string{
		"--pgdata=" + data, "--username=" + superuser, "--pwfile=" + secret, "--auth=scram-sha-256",
		"--encoding=UTF8", "--locale=" + locale, "--data-checksums",
	}
	if c.options.Volatile {
		arguments = append(arguments, "--no-sync")
	}
	command := c.command(ctx, "initdb", arguments...)
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGINT) } // initdb then cleans up
	// The parent-death signal is sent when the thread that started the child ends, and
	// threads end with the goroutines that lock them.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	if err := os.Rename(data, c.dir); err != nil {
		return err
	}
	// Later commits must not be lost with the cluster's directory entry.
	return flush(c.options.Dir)
}

// command prepares a PostgreSQL program to run as the account, in a clean environment.
func (c *cluster) command(ctx context.Context, program string, arguments ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, c.path(program), arguments...) //nolint:gosec // a program that was looked for
	command.Dir = c.options.Dir
	command.Env = []string{"HOME=" + c.options.Dir, "PATH=/usr/bin:/bin", "LC_ALL=" + locale, "TZ=UTC"}
	command.SysProcAttr = processAttributes(c.account)
	return command
}

// makeRoles creates the roles and the database if they are missing.
func (c *cluster) makeRoles(ctx context.Context) error {
	conn, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var ready bool
	err = conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, defaultDatabase).Scan(&ready)
	if err != nil || ready {
		return err
	}
	for _, statement := range []string{
		c.roleStatement(OwnerRole, "CREATEDB"),
		c.roleStatement(AppRole, "NOCREATEDB NOINHERIT"),
		`GRANT pg_signal_backend TO ` + OwnerRole,
		// The text of an error may quote a value ("invalid input syntax for type date:
		// …"). The program receives it, but the log keeps the server's own messages
		// only.
		`ALTER ROLE ` + OwnerRole + ` SET log_min_messages = log`,
		`ALTER ROLE ` + AppRole + ` SET log_min_messages = log`,
		// Privileges on the cluster's databases are granted by their owner only.
		`REVOKE ALL ON DATABASE postgres FROM PUBLIC`,
		`GRANT CONNECT ON DATABASE postgres TO ` + OwnerRole,
		`CREATE DATABASE ` + defaultDatabase + ` OWNER ` + OwnerRole, // last: its existence marks the setup as complete
	} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("set up the private PostgreSQL: %w", err)
		}
	}
	return nil
}

// roleStatement creates a role without cluster-wide privileges, or resets an existing
// one to that state.
func (c *cluster) roleStatement(role, also string) string {
	// Passwords are letters and digits only, see rand.Text.
	options := fmt.Sprintf("LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOREPLICATION %s PASSWORD '%s'", also,
		c.passwords[role])
	return fmt.Sprintf(`DO $$ BEGIN
		IF EXISTS (SELECT FROM pg_roles WHERE rolname = '%[1]s') THEN ALTER ROLE %[1]s %[2]s;
		ELSE CREATE ROLE %[1]s %[2]s; END IF; END $$`, role, options)
}

// connect connects as the superuser.
func (c *cluster) connect(ctx context.Context) (*pgx.Conn, error) {
	settings, err := pgurl.Parse(c.url(superuser, "postgres"))
	if err != nil {
		return nil, err
	}
	return pgx.ConnectConfig(ctx, settings)
}

// logTail returns the last lines of the server's log.
func (c *cluster) logTail() string {
	content, err := os.ReadFile(c.logPath())
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(content), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-15):], []byte("\n")))
}

func (c *cluster) logPath() string { return filepath.Join(c.options.Dir, "postgres.log") }
