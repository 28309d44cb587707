package portabletest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db/portabletest"
)

// TestFeaturesAreRefused has a statement for each feature.
func TestFeaturesAreRefused(t *testing.T) {
	t.Parallel()
	for statement, feature := range map[string]string{
		"SELECT ctid FROM t": "a system column",
		"DELETE FROM t WHERE t.ctid = ANY (ARRAY(SELECT 1))": "a system column",
		"SELECT xmin FROM t":             "a system column",
		"LOCK TABLE t IN EXCLUSIVE MODE": "LOCK TABLE",
		"LISTEN a":                       "LISTEN or NOTIFY",
		"UNLISTEN *":                     "LISTEN or NOTIFY",
		"NOTIFY a, 'b'":                  "LISTEN or NOTIFY",
		"WITH w AS (SELECT pg_notify('a', $1)) SELECT 1":                                  "LISTEN or NOTIFY",
		"CREATE TABLE t (r tstzrange, EXCLUDE USING gist (r WITH &&))":                    "an exclusion constraint",
		"ALTER TABLE t ADD CONSTRAINT c EXCLUDE USING gist (r WITH &&)":                   "an exclusion constraint",
		"CREATE TABLE t (a int UNIQUE DEFERRABLE)":                                        "a deferrable constraint",
		"ALTER TABLE t ADD UNIQUE (a) DEFERRABLE INITIALLY DEFERRED":                      "a deferrable constraint",
		"SET CONSTRAINTS ALL DEFERRED":                                                    "a deferrable constraint",
		"CREATE TRIGGER a BEFORE UPDATE ON t EXECUTE FUNCTION f()":                        "a trigger",
		"CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'": "a trigger",
		"ALTER TABLE t DISABLE TRIGGER USER":                                              "a trigger",
		"CREATE TABLE t (a json)":                                                         "a column of the type json",
		"ALTER TABLE t ALTER a TYPE json":                                                 "a column of the type json",
		"SET enable_seqscan = off":                                                        "a setting of the session",
		"SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE":         "a setting of the session",
		"RESET ALL":   "a setting of the session",
		"DISCARD ALL": "a setting of the session",
		"SELECT set_config('omni.organizations', '*', false)":              "a setting of the session",
		"SELECT set_config(name, '*', true) FROM pg_settings":              `the setting ""`,
		"CREATE TEMP TABLE t (a int)":                                      "a setting of the session",
		"PREPARE p AS SELECT 1":                                            "a setting of the session",
		"DECLARE c CURSOR WITH HOLD FOR SELECT 1":                          "a setting of the session",
		"SET LOCAL enable_seqscan = off":                                   "a setting of the planner",
		"SELECT set_config('plan_cache_mode', 'force_generic_plan', true)": "a setting of the planner",
		"SET LOCAL search_path = a":                                        `the setting "search_path"`,
		"SELECT pg_advisory_lock(1)":                                       "an advisory lock",
		"SELECT pg_try_advisory_xact_lock(1)":                              "an advisory lock",
		"CREATE TABLE t (a int) PARTITION BY RANGE (a)":                    "a partition",
		"CREATE TABLE p PARTITION OF t FOR VALUES FROM (1) TO (2)":         "a partition",
		"ALTER TABLE t ATTACH PARTITION p DEFAULT":                         "a partition",
		"ALTER TABLE t DETACH PARTITION p CONCURRENTLY":                    "a partition",
		"SELECT pg_snapshot_xmin(pg_current_snapshot())":                   "a number of a transaction",
		"CREATE TABLE t (a xid8)":                                          "a number of a transaction",
		"DO $$ BEGIN EXECUTE 'LOCK TABLE t'; END $$":                       "a DO block",
		"SELECT 1; COMMIT; LOCK TABLE t":                                   "LOCK TABLE",
	} {
		found, err := portabletest.Check(statement)
		require.NoError(t, err, statement)
		require.Contains(t, found, feature, statement)
		require.Len(t, found, 1, statement)
	}
}

func TestOrdinaryStatementsAreAccepted(t *testing.T) {
	t.Parallel()
	for _, statement := range []string{
		"BEGIN ISOLATION LEVEL SERIALIZABLE", "commit", "rollback", "SET TRANSACTION READ ONLY",
		"SET LOCAL lock_timeout = 100",
		"SELECT set_config('omni.organizations', $1, true), set_config('lock_timeout', $2, true)",
		"SELECT organization_id FROM t WHERE organization_id = ANY ($1::uuid[]) FOR UPDATE SKIP LOCKED",
		"SELECT j.value FROM t CROSS JOIN json_each(t.a::json) j", "CREATE TABLE t (a jsonb, b text)",
		"INSERT INTO t (a) VALUES ($1) ON CONFLICT (a) DO UPDATE SET a = excluded.a RETURNING a",
		"COPY (SELECT 1) TO STDOUT (FORMAT binary)",
		"CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS 'BEGIN END'",
	} {
		found, err := portabletest.Check(statement)
		require.NoError(t, err, statement)
		require.Empty(t, found, statement)
	}
}

func TestInvalidStatementIsReported(t *testing.T) {
	t.Parallel()
	_, err := portabletest.Check("SELECT FROM WHERE")
	require.Error(t, err)
}
