package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// The administrator of the large practice, who is created last: if the user exists, the
// data is complete.
const largeEmail = "admin@large.test"

// compareLarge alternates the scenarios between an empty database and one with a million
// authorizations and ten million entries of another organization. Both keep the rows of
// earlier runs.
func (b *bench) compareLarge(ctx context.Context, t *table) error {
	data := b.keep
	if data == "" {
		data = filepath.Join(b.dir, "large")
	}
	if err := b.makeLarge(ctx, t, data); err != nil {
		return err
	}
	large, err := b.serve(ctx, data)
	if err != nil {
		return err
	}
	defer large.stop()
	t.note("A server on it is ready after %d ms.", large.took.Milliseconds())
	empty, err := b.serve(ctx, filepath.Join(b.dir, "empty"))
	if err != nil {
		return err
	}
	defer empty.stop()
	for _, c := range compared {
		// Alternation spreads other load of the machine over both.
		perSecond := map[*server]float64{}
		for _, s := range []*server{empty, large, large, empty} {
			r, err := b.load(ctx, c.scenario, "--url", s.url)
			if err != nil {
				return err
			}
			perSecond[s] += r.AcceptedPerSecond
			t.load(c.scenario+map[*server]string{empty: ", empty database", large: ", with 1,000,000 authorizations"}[s], r)
		}
		t.atLeast(c.scenario+": with 1,000,000 authorizations and 10,000,000 entries against an "+
			"empty database", perSecond[large]/perSecond[empty], 0.9)
	}
	return nil
}

// makeLarge fills the data folder, unless it was filled before, and lets the program
// verify every hash and every sum.
func (b *bench) makeLarge(ctx context.Context, t *table, data string) error {
	s, err := b.serve(ctx, data)
	if err != nil {
		return err
	}
	defer func() { s.stop() }()
	full, err := s.isFull(ctx)
	if err != nil {
		return err
	}
	if full {
		t.note("The database existed already.")
		return nil
	}
	b.say("creating %d authorizations with %d entries each", largeSize.authorizations, entriesEach)
	began := time.Now()
	if err := fill(ctx, s.connect, largeSize); err != nil {
		return err
	}
	filled := time.Since(began)
	b.say("verifying all of them")
	began = time.Now()
	verify := exec.CommandContext(ctx, b.program, "verify") //nolint:gosec // our own program
	verify.Env = append(os.Environ(), "OMNI_DATABASE_URL="+s.databaseURL(programRole), "OMNI_DB_AUTO_MIGRATE=false",
		"OMNI_LOG_LEVEL=error")
	out, err := verify.CombinedOutput()
	if err != nil {
		return fmt.Errorf("verify the large database: %w\n%s", err, out)
	}
	t.note("Filled with COPY in %.0f s, including indexes, foreign key checks and ANALYZE. The command verify then took "+
		"%.0f s for all of it and found no problem: %s",
		filled.Seconds(), time.Since(began).Seconds(), strings.TrimSpace(string(out)))
	return b.makeUser(ctx, s)
}

func (s *server) isFull(ctx context.Context) (full bool, err error) {
	c, err := s.connect(ctx)
	if err != nil {
		return false, err
	}
	defer c.Close(ctx)
	var started bool
	err = c.QueryRow(ctx,
		"SELECT EXISTS (SELECT FROM users WHERE email = $1), EXISTS (SELECT FROM organizations WHERE id = $2)",
		largeEmail, organization).Scan(&full, &started)
	if err == nil && started && !full {
		err = errors.New("an earlier run was interrupted while filling " + s.data + ": remove it")
	}
	return full, err
}

// makeUser creates a user of the large practice.
func (b *bench) makeUser(ctx context.Context, s *server) error {
	create := exec.CommandContext(ctx, b.program, //nolint:gosec // our own program
		"user", "create", "--email", largeEmail, "--name", "Large",
		"--organization", organization.String(), "--role", "ADMIN")
	create.Env = append(os.Environ(), "OMNI_DATABASE_URL="+s.databaseURL(programRole), "OMNI_DB_AUTO_MIGRATE=false",
		"OMNI_LOG_LEVEL=error")
	create.Stdin = strings.NewReader(adminPassword + "\n")
	if out, err := create.CombinedOutput(); err != nil {
		return fmt.Errorf("create the large practice's administrator: %w\n%s", err, out)
	}
	return nil
}

// fill inserts the rows in a separate organization. It drops the foreign keys
// meanwhile, because checking all rows at the end is much quicker.
func fill(ctx context.Context, connect func(context.Context) (*pgx.Conn, error), n size) error {
	c, err := connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	today := time.Now().UTC().Truncate(24 * time.Hour)
	if err := fillDirectory(ctx, c, n, today); err != nil {
		return err
	}
	restore, err := dropConstraints(ctx, c)
	if err != nil {
		return err
	}
	if err := fillLedger(ctx, connect, n, today); err != nil {
		return err
	}
	if err := fillAppointments(ctx, c, n, today); err != nil {
		return err
	}
	for _, statement := range append([]string{"SET maintenance_work_mem = '512MB'"}, append(restore,
		"VACUUM (ANALYZE) patients, insurances, "+strings.Join(filled, ", "))...) {
		if _, err := c.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// fillDirectory inserts the practice, its patients, payers and service codes.
func fillDirectory(ctx context.Context, c *pgx.Conn, n size, today time.Time) error {
	for _, statement := range []string{
		"INSERT INTO organizations (id, name, time_zone, created_at, updated_at) VALUES ($1::uuid, 'Large', 'UTC', " +
			"$2::timestamptz, $2)",
		`INSERT INTO patients (organization_id, id, first_name, last_name, date_of_birth, medical_record_number, created_at, updated_at)
			SELECT $1::uuid, ` + idOf('T') +
			fmt.Sprintf(`, 'Given ' || n, 'Family ' || n %% 5000, date '2012-01-01' + n %% 3000, 'L-' || n, $2::timestamptz, $2
			FROM generate_series(0, %d) n`, n.patients-1),
		`INSERT INTO payers (organization_id, id, name, created_at, updated_at)
			SELECT $1::uuid, ` + idOf('Y') + `, 'Payer ' || n, $2::timestamptz, $2 FROM generate_series(0, 5) n`,
		`INSERT INTO insurances (organization_id, id, patient_id, payer_id, member_number, starts_on, created_at, updated_at)
			SELECT $1::uuid, ` + idOf('I') + ", " + idOf('T') + ", " +
			strings.ReplaceAll(idOf('Y'), "(n)", "(n % 6)") +
			fmt.Sprintf(", 'M-' || n, date '2015-01-01', $2::timestamptz, $2 FROM generate_series(0, %d) n", n.patients-1),
		`INSERT INTO service_codes (organization_id, id, code, description, created_at, updated_at)
			SELECT $1::uuid, ` + idOf('C') +
			fmt.Sprintf(`, (97151 + n)::text, 'Service ' || n, $2::timestamptz, $2 FROM generate_series(0, %d) n`, serviceCodes-1),
	} {
		if _, err := c.Exec(ctx, statement, organization, today); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// idOf is the SQL equivalent of id for the number n.
func idOf(kind byte) string {
	return fmt.Sprintf("('019caed9-43%02x-7000-8000-0000' || lpad(to_hex(n), 8, '0'))::uuid", kind)
}

// filled are the tables with most rows.
var filled = []string{
	"authorizations", "unit_reservations", "unit_entries", "appointments", "appointment_patients",
	"appointment_practitioners", "sessions", "session_patients",
}

// dropConstraints drops the foreign keys of the filled tables and lets their owner bypass row
// level security, which COPY does not support. It returns the statements that restore
// both and check all rows.
func dropConstraints(ctx context.Context, c *pgx.Conn) (restore []string, err error) {
	rows, err := c.Query(ctx, `
		SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname),
			format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
		FROM pg_constraint
		WHERE contype = 'f' AND conrelid = ANY ($1::text[]::regclass[])
		UNION ALL
		SELECT format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', oid::regclass),
			format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', oid::regclass)
		FROM pg_class
		WHERE relforcerowsecurity
		AND oid = ANY ($1::text[]::regclass[])`, filled)
	if err != nil {
		return nil, err
	}
	type pair struct{ Drop, Restore string }
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[pair])
	if err != nil {
		return nil, err
	}
	for _, p := range found {
		if _, err := c.Exec(ctx, p.Drop); err != nil {
			return nil, err
		}
		restore = append(restore, p.Restore)
	}
	return restore, nil
}
