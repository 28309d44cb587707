package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// How much lies in the database beside what is measured.
const (
	largeAuthorizations = 1_000_000
	entriesEach         = 10
)

// beside measures the scenarios on an empty database and on one with a million
// authorizations and ten million entries of another organization, made with COPY.
func (b *bench) beside(ctx context.Context, t *table) error {
	server, err := b.serve(ctx)
	if err != nil {
		return err
	}
	defer server.stop()
	scenarios := []string{"high-contention", "high-throughput"}
	empty := map[string]figures{}
	for _, name := range scenarios {
		if empty[name], err = b.load(ctx, name, "--url", server.url); err != nil {
			return err
		}
	}
	began := time.Now()
	if err := server.fill(ctx); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "made %d authorizations with %d entries each in %s\n", largeAuthorizations, entriesEach, time.Since(began).Round(time.Second))
	for _, name := range scenarios {
		full, err := b.load(ctx, name, "--url", server.url)
		if err != nil {
			return err
		}
		t.load(name+", beside 1,000,000 authorizations", full)
		t.ratio(name+": beside 1,000,000 authorizations with 10,000,000 entries against an empty database",
			full.AcceptedPerSecond/empty[name].AcceptedPerSecond, 0.9)
	}
	return nil
}

// fill makes the rows in an organization of their own. Their hashes are no chain:
// nobody verifies them.
func (s *server) fill(ctx context.Context) error {
	c, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	organization, patient, code := id(0, 1), id(0, 2), id(0, 3)
	if _, err := c.Exec(ctx, `INSERT INTO organizations (id, name, time_zone, created_at, updated_at) VALUES ($1, 'Large', 'UTC', now(), now())`, organization); err != nil {
		return err
	}
	if _, err := c.Exec(ctx, `INSERT INTO patients (organization_id, id, first_name, last_name, date_of_birth, created_at, updated_at)
		VALUES ($1, $2, 'Large', 'Large', '2019-01-01', now(), now())`, organization, patient); err != nil {
		return err
	}
	if _, err := c.Exec(ctx, `INSERT INTO service_codes (organization_id, id, code, description, created_at, updated_at)
		VALUES ($1, $2, '97153', 'Large', now(), now())`, organization, code); err != nil {
		return err
	}
	now, start, end := time.Now(), time.Now().AddDate(0, -1, 0), time.Now().AddDate(0, 6, 0)
	hash := make([]byte, 32) //nolint:mnd // SHA-256
	_, err = c.CopyFrom(ctx, pgx.Identifier{"authorizations"}, []string{
		"organization_id", "id", "patient_id", "service_code_id", "initial_units", "total_units", "start_date", "end_date",
		"status", "last_sequence", "last_hash", "created_at", "updated_at",
	}, pgx.CopyFromSlice(largeAuthorizations, func(i int) ([]any, error) {
		return []any{organization, id(1, i), patient, code, 100, 100 + entriesEach, start, end, "ACTIVE", entriesEach, hash, now, now}, nil
	}))
	if err != nil {
		return err
	}
	_, err = c.CopyFrom(ctx, pgx.Identifier{"unit_entries"}, []string{
		"organization_id", "authorization_id", "sequence", "kind", "units", "operation_id", "actor_id", "request_id",
		"total_after", "used_after", "scheduled_after", "occurred_at", "previous_hash", "hash",
	}, pgx.CopyFromSlice(largeAuthorizations*entriesEach, func(i int) ([]any, error) {
		n := i % entriesEach
		return []any{organization, id(1, i/entriesEach), n + 1, "adjust", 1, id(2, i), id(0, 4), "large", 101 + n, 0, 0, now, hash, hash}, nil
	}))
	if err != nil {
		return err
	}
	_, err = c.Exec(ctx, "ANALYZE")
	return err
}

// id makes ids that are all alike at their beginning, as those of one time are.
func id(kind byte, n int) uuid.UUID {
	made := uuid.UUID{0x01, 0x9c, 0xae, 0xd9, 0x43, kind, 0x70, 0, 0x80}
	for i := range 4 {
		made[15-i] = byte(n >> (8 * i)) //nolint:gosec // the lowest byte is meant
	}
	return made
}

// clients measures both modes with growing numbers of clients, and prints CSV for
// a plot.
func (b *bench) clients(ctx context.Context, out io.Writer) error {
	fmt.Fprintln(out, "\nscenario,mode,clients,acceptedPerSecond,p99ms,failed")
	for _, mode := range []string{"combined", "single"} {
		for _, n := range []int{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000} {
			arguments := []string{"--clients", strconv.Itoa(n)}
			if mode == "single" {
				arguments = append(arguments, "--no-combine")
			}
			f, err := b.load(ctx, "high-throughput", arguments...)
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "high-throughput,%s,%d,%.0f,%.1f,%d\n", mode, n, f.AcceptedPerSecond, f.LatencyMs.P99, f.Failed)
		}
	}
	return nil
}
