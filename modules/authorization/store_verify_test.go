package authorization

import (
	"context"
	"database/sql"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	_ "github.com/jackc/pgx/v5/stdlib" // the owner's connection
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/identity"
)

// TestChangedAuthorizationsAreFoundByTime looks for the authorizations with new entries, as the program's
// role, among the entries of years.
func TestChangedAuthorizationsAreFoundByTime(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	owner, err := sql.Open("pgx", database.OwnerURL)
	require.NoError(t, err)
	defer owner.Close()
	organization := uuid.New()
	for _, statement := range []string{
		`ALTER TABLE unit_entries DROP CONSTRAINT unit_entries_authorization, DROP CONSTRAINT unit_entries_reservation`,
		`INSERT INTO unit_entries (organization_id, authorization_id, sequence, kind, units, operation_id, actor_id,
				request_id, total_after, used_after, scheduled_after, occurred_at, previous_hash, hash)
			SELECT '` + organization.String() + `', md5((n % 200)::text)::uuid, n, 'adjust', 1, md5(n::text)::uuid,
				md5(n::text)::uuid, '', n, 0, 0, '2026-01-01Z'::timestamptz + n * interval '10 minutes', sha256(''), sha256('')
			FROM generate_series(1, 50000) n`,
		`VACUUM ANALYZE unit_entries`,
	} {
		_, err := owner.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	ctx := identity.With(t.Context(), identity.System(organization))
	since := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(49_991 * 10 * time.Minute)
	_, err = db.Snapshot(ctx, database.Open(t), "plan", func(ctx context.Context) (struct{}, error) {
		found, err := store{}.changedSince(ctx, organization, since)
		require.NoError(t, err)
		require.Len(t, found, 10)
		var read struct{ SeqScan, IdxTupFetch int }
		tx, err := db.Handle(ctx)
		require.NoError(t, err)
		err = tx.Raw(`SELECT coalesce(seq_scan, 0) AS seq_scan, coalesce(idx_tup_fetch, 0) AS idx_tup_fetch
			FROM pg_stat_xact_user_tables WHERE relname = 'unit_entries'`).Scan(&read).Error
		require.Zero(t, read.SeqScan)
		require.Less(t, read.IdxTupFetch, 2000, "some pages of 50,000 entries")
		return struct{}{}, err
	})
	require.NoError(t, err)
}

// TestScanOfAPartEndsAtItsLastAuthorization counts the pages that the entries of a part take, when all
// organizations are verified. Entries behind the part must not be read.
func TestScanOfAPartEndsAtItsLastAuthorization(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	owner, err := sql.Open("pgx", database.OwnerURL)
	require.NoError(t, err)
	defer owner.Close()
	organization := uuid.New()
	for _, statement := range []string{
		`ALTER TABLE unit_entries DROP CONSTRAINT unit_entries_authorization, DROP CONSTRAINT unit_entries_reservation`,
		`INSERT INTO unit_entries (organization_id, authorization_id, sequence, kind, units, operation_id, actor_id,
				request_id, total_after, used_after, scheduled_after, occurred_at, previous_hash, hash)
			SELECT '` + organization.String() + `', lpad(to_hex(n / 250), 32, '0')::uuid, n % 250 + 1, 'adjust', 1,
				md5(n::text)::uuid, md5(n::text)::uuid, '', n, 0, 0, '2026-01-01Z', sha256(''), sha256('')
			FROM generate_series(250, 50249) n`,
		`VACUUM ANALYZE unit_entries`,
	} {
		_, err := owner.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	last := uuid.UUID{15: 2} // the second of 200 authorizations
	part, _ := selectionOf(uuid.Nil).cut([]Snapshot{{Authorization: Authorization{OrganizationID: organization, ID: last}}})
	q := part.query("organization_id, authorization_id, sequence, hash", "unit_entries", "authorization_id", ", sequence")
	_, err = db.Snapshot(t.Context(), database.Open(t), "plan", func(ctx context.Context) (struct{}, error) {
		plan, err := db.SelectOne[string](ctx, "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) "+q.Statement, q.Arguments...)
		require.NoError(t, err)
		var read []struct {
			Plan struct {
				Rows int `json:"Actual Rows"`
				Hit  int `json:"Shared Hit Blocks"`
				Read int `json:"Shared Read Blocks"`
			}
		}
		require.NoError(t, json.Unmarshal([]byte(plan), &read))
		require.Equal(t, 500, read[0].Plan.Rows)
		require.Less(t, read[0].Plan.Hit+read[0].Plan.Read, 100, "some pages of 50,000 entries: %s", plan)
		return struct{}{}, nil
	}, db.AllOrganizations())
	require.NoError(t, err)
}
