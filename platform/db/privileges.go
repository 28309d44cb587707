package db

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// grant gives the program's role exactly the privileges that it needs. It does nothing if the last
// grant gave the same privileges and they have not changed since, unless the schema has just been
// migrated.
func (m Migrator) grant(ctx context.Context, owner *sql.DB, migrated bool) error {
	var apart bool
	const roleExists = `SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1 AND rolname <> current_user)`
	err := owner.QueryRowContext(ctx, roleExists, m.AppRole).Scan(&apart)
	if err != nil || !apart {
		return err
	}
	transaction, err := owner.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer transaction.Rollback() //nolint:errcheck // nothing to roll back after a commit
	statements, err := m.Profile.filter(privileges)
	if err != nil {
		return err
	}
	if m.Profile == Portable {
		statements += "REVOKE INSERT, UPDATE, DELETE ON migration_lock FROM {{role}};\n"
	}
	statements = strings.ReplaceAll(statements, "{{role}}", pgx.Identifier{m.AppRole}.Sanitize())
	if !migrated {
		var granted string
		err := transaction.QueryRowContext(ctx,
			`SELECT coalesce(obj_description('goose_db_version'::regclass, 'pg_class'), '')`).Scan(&granted)
		if err != nil {
			return err
		}
		mark, err := m.mark(ctx, transaction, statements)
		if err != nil || granted == mark {
			return err
		}
	}
	if _, err := transaction.ExecContext(ctx, statements); err != nil {
		return err
	}
	mark, err := m.mark(ctx, transaction, statements)
	if err != nil {
		return err
	}
	if _, err := transaction.ExecContext(ctx, `COMMENT ON TABLE goose_db_version IS '`+mark+`'`); err != nil {
		return err
	}
	return transaction.Commit()
}

// mark identifies the role's current privileges and the statements that grant them. It is stored as
// the comment of goose_db_version.
func (m Migrator) mark(ctx context.Context, transaction *sql.Tx, statements string) (string, error) {
	var has string
	err := transaction.QueryRowContext(ctx, `
		SELECT coalesce(string_agg(item, ';' ORDER BY item), '') FROM (
			SELECT c.relname || ':' || a.privilege_type AS item
			FROM pg_class c, aclexplode(c.relacl) a, pg_roles r
			WHERE c.relnamespace = 'public'::regnamespace AND a.grantee = r.oid AND r.rolname = $1
			UNION ALL
			SELECT 'schema:' || a.privilege_type
			FROM pg_namespace n, aclexplode(n.nspacl) a, pg_roles r
			WHERE n.nspname = 'public' AND a.grantee = r.oid AND r.rolname = $1
			UNION ALL
			SELECT c.relname || ' without privileges'
			FROM pg_class c
			WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
				AND NOT has_table_privilege($1, c.oid, 'SELECT')
		) items`, m.AppRole).Scan(&has)
	sum := sha256.Sum256([]byte(statements + has))
	return "privileges " + hex.EncodeToString(sum[:]), err
}

// OwnerError is returned if the migrating role does not own the schema.
type OwnerError struct {
	Role  string
	Owner string // owner of the tables, "" if there are none yet
	cause error
}

func (e *OwnerError) Error() string {
	if e.Owner == "" {
		return fmt.Sprintf("the database role %s may not create tables: name the database's owner in OMNI_MIGRATE_URL, "+
			"or have a superuser run ALTER DATABASE … OWNER TO %[1]s (%v)", e.Role, e.cause)
	}
	return fmt.Sprintf("the database role %s may not change the tables, which belong to %s: "+
		"name %[2]s in OMNI_MIGRATE_URL (%v)", e.Role, e.Owner, e.cause)
}

// Unwrap returns the database's refusal.
func (e *OwnerError) Unwrap() error { return e.cause }

const insufficientPrivilege = "42501"

// explain converts a refusal for missing privileges into an *[OwnerError].
func (m Migrator) explain(ctx context.Context, owner *sql.DB, err error) error {
	refusal, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || refusal.Code != insufficientPrivilege {
		return err
	}
	e := &OwnerError{cause: err}
	queryErr := owner.QueryRowContext(ctx, `
		SELECT current_user, coalesce((SELECT pg_get_userbyid(relowner) FROM pg_class
			WHERE oid = to_regclass('goose_db_version')), '')`,
	).Scan(&e.Role, &e.Owner)
	if queryErr != nil {
		return errors.Join(err, queryErr)
	}
	return e
}
