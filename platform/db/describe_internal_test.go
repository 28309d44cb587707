package db

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDescribeReturnsOperationAndTableOfAStatement(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string][2]string{
		`SELECT * FROM "patients" WHERE "patients"."id" = $1`:                {"SELECT", "patients"},
		`INSERT INTO outbox (a) SELECT a FROM unnest($1::uuid[]) AS m (a)`:   {"INSERT", "outbox"},
		`UPDATE authorizations a SET used = n.used FROM unnest($1) AS n`:     {"UPDATE", "authorizations"},
		`DELETE FROM ONLY commands WHERE created_at < $1`:                    {"DELETE", "commands"},
		"WITH due AS (\n SELECT 1 FROM a JOIN b ON true) UPDATE c SET x = 1": {"UPDATE", "c"},
		`WITH due AS (SELECT x FROM a) SELECT x FROM due`:                    {"SELECT", "a"},
		`WITH RECURSIVE w AS ((SELECT o FROM outbox) UNION ALL SELECT (SELECT 1 FROM w) FROM w) SELECT o FROM w`: {
			"SELECT", "outbox",
		},
		`SELECT s.x FROM unnest($1) AS s (x) CROSS JOIN LATERAL (SELECT 1 FROM units u) l`: {"SELECT", "units"},
		`SELECT extract(epoch FROM created_at), 'x FROM y' FROM mails -- FROM z`:           {"SELECT", "mails"},
		`SELECT a IS DISTINCT FROM b FROM c FOR UPDATE OF c`:                               {"SELECT", "c"},
		`SELECT 1 WHERE NOT pg_is_in_recovery()`:                                           {"SELECT", ""},
		`SELECT set_config('app.organizations', $1, true)`:                                 {"SELECT", ""},
		`SELECT nspname FROM pg_catalog.pg_namespace`:                                      {"SELECT", "pg_namespace"},
		`INSERT INTO a (x) VALUES ($1) ON CONFLICT DO UPDATE SET x = 1`:                    {"INSERT", "a"},
		`LOCK TABLE "write_lock" IN EXCLUSIVE MODE`:                                        {"LOCK", "write_lock"},
		`BEGIN ISOLATION LEVEL SERIALIZABLE`:                                               {"BEGIN", ""},
		`commit`:                                                                           {"COMMIT", ""},
		``:                                                                                 {"", ""},
		`'unfinished`:                                                                      {"", ""},
		`SELECT x FROM "unfinished`:                                                        {"SELECT", "unfinished"},
		`))) FROM (`:                                                                       {"FROM", ""},
	} {
		operation, table := describe(sql)
		require.Equal(t, want, [2]string{operation, table}, sql)
	}
}
