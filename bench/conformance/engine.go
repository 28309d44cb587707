package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"omnirapeutic/platform/db/portabletest"
)

// engine is the database engine, with a database of its own for the run.
type engine struct {
	admin   *pgx.Conn
	name    string
	version string
	direct  string              // URL of the new database
	proxy   *portabletest.Proxy // between the program and the engine; nil if the engine needs TLS
}

func openEngine(ctx context.Context, address string, refuse bool) (*engine, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("the URL is not valid")
	}
	e := &engine{name: "omnirapeutic_conformance_" + strings.ReplaceAll(uuid.NewString()[:8], "-", "")}
	if e.admin, err = pgx.Connect(ctx, address); err != nil { //nolint:forbidigo // the bench uses no package of the program
		return nil, fmt.Errorf("connect: %w", err)
	}
	if err := e.admin.QueryRow(ctx, "SELECT version()").Scan(&e.version); err != nil {
		return nil, err
	}
	if _, err := e.admin.Exec(ctx, "CREATE DATABASE "+e.name); err != nil {
		return nil, fmt.Errorf("create a database: %w", err)
	}
	u.Path = "/" + e.name
	e.direct = u.String()
	if mode := u.Query().Get("sslmode"); mode == "disable" || u.Query().Get("host") != "" {
		begin := portabletest.StartForwarding
		if refuse {
			begin = portabletest.Start
		}
		e.proxy, err = begin(e.direct)
		return e, err
	}
	if refuse {
		return e, errors.New("the proxy of --refuse has no TLS: use sslmode=disable")
	}
	return e, nil
}

// programURL returns the URL for the program: through the proxy, if there is one.
func (e *engine) programURL() string {
	if e.proxy == nil {
		return e.direct
	}
	return e.proxy.URL(e.direct)
}

func (e *engine) close() {
	if e.proxy != nil {
		e.proxy.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := e.admin.Exec(ctx, "DROP DATABASE "+e.name); err != nil {
		fmt.Println("the database", e.name, "remains:", err)
	}
	_ = e.admin.Close(ctx) // the command ends
}

// probe is two concurrent serializable transactions on a table of its own.
type probe struct {
	first, second *pgx.Conn
}

// probe prepares a table with statements and begins two transactions.
func (s *suite) probe(ctx context.Context, statements ...string) (*probe, error) {
	p := &probe{}
	for _, c := range []**pgx.Conn{&p.first, &p.second} {
		var err error
		//nolint:forbidigo // the bench uses no package of the program
		if *c, err = pgx.Connect(ctx, s.engine.direct); err != nil {
			return nil, err
		}
	}
	for _, statement := range statements {
		if _, err := p.first.Exec(ctx, statement); err != nil {
			return nil, err
		}
	}
	for _, c := range []*pgx.Conn{p.first, p.second} {
		if _, err := c.Exec(ctx, "BEGIN ISOLATION LEVEL SERIALIZABLE"); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *probe) close() {
	for _, c := range []*pgx.Conn{p.first, p.second} {
		if c != nil {
			_ = c.Close(context.Background()) // the probe is over
		}
	}
}

// refusedOnce requires that one of the transactions fails with 40001, at a statement or at COMMIT. An engine may
// make a statement wait for the other transaction, so both run at the same time.
func (p *probe) refusedOnce(ctx context.Context, first, second func(c *pgx.Conn) error) (string, error) {
	ended := make(chan error)
	end := func(c *pgx.Conn, work func(c *pgx.Conn) error) {
		err := work(c)
		if err == nil {
			_, err = c.Exec(ctx, "COMMIT")
		}
		if err != nil {
			_, _ = c.Exec(ctx, "ROLLBACK") // err is the result
		}
		ended <- err
	}
	go end(p.first, first)
	go end(p.second, second)
	failed := 0
	for range 2 {
		if err := <-ended; err != nil {
			var state *pgconn.PgError
			if !errors.As(err, &state) || state.Code != "40001" {
				return "", notMetf("a conflict is not reported as 40001: %v", err)
			}
			failed++
		}
	}
	if failed == 0 {
		return "", notMetf("both transactions were committed")
	}
	return fmt.Sprintf("%d of 2 transactions got 40001", failed), nil
}

func count(ctx context.Context, c *pgx.Conn, query string) (n int, err error) {
	return n, c.QueryRow(ctx, query).Scan(&n)
}

func run(ctx context.Context, statement string) func(c *pgx.Conn) error {
	return func(c *pgx.Conn) error {
		_, err := c.Exec(ctx, statement)
		return err
	}
}

// lostUpdate lets both transactions read a counter and write its next value.
func (s *suite) lostUpdate(ctx context.Context) (string, error) {
	p, err := s.probe(ctx, "CREATE TABLE lost_update (id int PRIMARY KEY, n int)", "INSERT INTO lost_update VALUES (1, 0)")
	if err != nil {
		return "", err
	}
	defer p.close()
	if err := p.bothRead(ctx, "SELECT n FROM lost_update WHERE id = 1"); err != nil {
		return "", err
	}
	write := run(ctx, "UPDATE lost_update SET n = 1 WHERE id = 1")
	return p.refusedOnce(ctx, write, write)
}

// writeSkew lets each transaction read both rows and write one.
func (s *suite) writeSkew(ctx context.Context) (string, error) {
	p, err := s.probe(ctx, "CREATE TABLE write_skew (id int PRIMARY KEY, n int)",
		"INSERT INTO write_skew VALUES (1, 1), (2, 1)")
	if err != nil {
		return "", err
	}
	defer p.close()
	if err := p.bothRead(ctx, "SELECT CAST(sum(n) AS int) FROM write_skew"); err != nil {
		return "", err
	}
	return p.refusedOnce(ctx, run(ctx, "UPDATE write_skew SET n = 0 WHERE id = 1"),
		run(ctx, "UPDATE write_skew SET n = 0 WHERE id = 2"))
}

// rangeSkew lets each transaction find no booking in a range and add one. It is the case of overlapping bookings.
func (s *suite) rangeSkew(ctx context.Context) (string, error) {
	p, err := s.probe(ctx, "CREATE TABLE range_skew (id int PRIMARY KEY, starts_at int, ends_at int)",
		"CREATE INDEX ON range_skew (starts_at)")
	if err != nil {
		return "", err
	}
	defer p.close()
	if err := p.bothRead(ctx, "SELECT CAST(count(*) AS int) FROM range_skew WHERE starts_at < 20 AND ends_at > 10"); err != nil {
		return "", err
	}
	return p.refusedOnce(ctx, run(ctx, "INSERT INTO range_skew VALUES (1, 10, 20)"),
		run(ctx, "INSERT INTO range_skew VALUES (2, 15, 25)"))
}

func (p *probe) bothRead(ctx context.Context, query string) error {
	for _, c := range []*pgx.Conn{p.first, p.second} {
		if _, err := count(ctx, c, query); err != nil {
			return err
		}
	}
	return nil
}

// readOnlyAnomaly is the one of Fekete, O'Neil and O'Neil (2004): a reader sees the second transaction's deposit but
// not the first one's withdrawal, which has not seen the deposit. One of the three must fail.
func (s *suite) readOnlyAnomaly(ctx context.Context) (string, error) {
	p, err := s.probe(ctx, "CREATE TABLE accounts (id int PRIMARY KEY, n int)", "INSERT INTO accounts VALUES (1, 0), (2, 0)")
	if err != nil {
		return "", err
	}
	defer p.close()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second) // an engine that locks makes a statement wait
	defer cancel()
	if _, err := count(ctx, p.first, "SELECT CAST(sum(n) AS int) FROM accounts"); err != nil {
		return "", err
	}
	steps := []func() error{
		func() error { return run(ctx, "UPDATE accounts SET n = 20 WHERE id = 2")(p.second) },
		func() error { return run(ctx, "COMMIT")(p.second) },
		func() error { return run(ctx, "BEGIN ISOLATION LEVEL SERIALIZABLE")(p.second) },
		func() error { _, err := count(ctx, p.second, "SELECT CAST(sum(n) AS int) FROM accounts"); return err },
		func() error { return run(ctx, "COMMIT")(p.second) },
		func() error { return run(ctx, "UPDATE accounts SET n = -11 WHERE id = 1")(p.first) },
		func() error { return run(ctx, "COMMIT")(p.first) },
	}
	for i, step := range steps {
		if err := step(); err != nil {
			return fmt.Sprintf("refused at step %d of %d: %v", i+1, len(steps), err), nil
		}
	}
	return "", notMetf("all three transactions were committed")
}
