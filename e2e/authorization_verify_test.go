package e2e

import (
	"database/sql"
	"slices"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the owner's connection
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/authorization"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/identity"
)

// TestVerifyFindsManualChanges removes the database's protections and changes
// rows as the tables' owner, one at a time.
func TestVerifyFindsManualChanges(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		it, tamper string
		checks     []string
	}{
		{
			"finds a counter", `UPDATE authorizations SET used_units = used_units + 1 WHERE id = $1`,
			[]string{"used", "reservations-used"},
		},
		{
			"finds the total", `UPDATE authorizations SET total_units = total_units + 1 WHERE id = $1`,
			[]string{"total"},
		},
		{
			"finds a total and an initial grant that were raised together",
			`UPDATE authorizations SET total_units = total_units + 1, initial_units = initial_units + 1 WHERE id = $1`,
			[]string{"chain"},
		},
		{
			"finds the units of an entry",
			`UPDATE unit_entries SET units = units + 1 WHERE authorization_id = $1 AND sequence = 1`,
			[]string{"hash", "balance-after"},
		},
		{
			"finds a changed actor",
			`UPDATE unit_entries SET actor_id = gen_random_uuid() WHERE authorization_id = $1 AND sequence = 2`,
			[]string{"hash"},
		},
		{
			"finds a hash", `UPDATE unit_entries SET hash = sha256(hash) WHERE authorization_id = $1 AND sequence = 1`,
			[]string{"hash", "chain"},
		},
		{
			"finds the last hash", `UPDATE authorizations SET last_hash = sha256(last_hash) WHERE id = $1`,
			[]string{"head"},
		},
		{
			"finds that the last entry is missing",
			`DELETE FROM unit_entries e WHERE authorization_id = $1 AND sequence = (SELECT max(sequence) FROM unit_entries
				WHERE authorization_id = e.authorization_id)`,
			[]string{"sequence", "head"},
		},
		{
			"finds a reservation",
			`UPDATE unit_reservations SET released_units = released_units + 1 WHERE authorization_id = $1 AND open`,
			[]string{"reservation", "reservations-scheduled"},
		},
		{
			"finds a changed day of a reservation",
			`UPDATE unit_reservations SET service_date = service_date + 1 WHERE authorization_id = $1`,
			[]string{"service-date"},
		},
		{
			"finds a changed age of a reservation", `UPDATE unit_reservations SET sequence = 7 WHERE authorization_id = $1`,
			[]string{"age"},
		},
		{
			"finds a changed count of caps", `UPDATE authorizations SET booked_by_date = '{}' WHERE id = $1`,
			[]string{"booked-by-date"},
		},
	} {
		t.Run("it "+test.it, func(t *testing.T) {
			t.Parallel()
			c := harness.Open(t)
			path := c.Authorize(t, 10, harness.Body{"caps": caps("DAY", 10)})
			untouched := c.Authorize(t, 10)
			for _, p := range []string{path, untouched} {
				id := c.Admin().Post(t, p+"/reserve", harness.Body{"units": 3}).ReservationID(t)
				c.Admin().Post(t, p+"/consume", harness.Body{"reservationId": id, "units": 2, "remainder": "keep"})
			}
			c.RequireClean(t)

			owner, err := sql.Open("pgx", c.Database.OwnerURL)
			require.NoError(t, err)
			defer owner.Close()
			_, err = owner.ExecContext(t.Context(), `ALTER TABLE unit_entries DISABLE TRIGGER USER`)
			require.NoError(t, err)
			result, err := owner.ExecContext(t.Context(), test.tamper, path[len("/authorizations/"):])
			require.NoError(t, err)
			changed, err := result.RowsAffected()
			require.NoError(t, err)
			require.EqualValues(t, 1, changed)

			answer := c.Admin().Verify(t)
			require.Equal(t, false, answer.Body["ok"])
			found := map[string]bool{}
			for _, item := range answer.Body["problems"].([]any) {
				problem := item.(map[string]any)
				require.Equal(t, path[len("/authorizations/"):], problem["authorizationId"], "it names the authorization")
				require.NotEmpty(t, problem["expected"])
				found[problem["check"].(string)] = true
			}
			for _, check := range test.checks {
				require.True(t, found[check], "%s is not in %s", check, answer.Raw)
			}
		})
	}
}

func TestOneOrganizationsProblemsAreNotHiddenByAnothers(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	require.NotContains(t, c.Metrics(t), "omnirapeutic_verify_problems{", "unknown before the first verification")
	path := c.Authorize(t, 10)
	owner, err := sql.Open("pgx", c.Database.OwnerURL)
	require.NoError(t, err)
	defer owner.Close()
	_, err = owner.ExecContext(t.Context(), `UPDATE authorizations SET total_units = 11 WHERE id = $1`,
		path[len("/authorizations/"):])
	require.NoError(t, err)
	require.Equal(t, false, c.Admin().Verify(t).Body["ok"])
	require.Equal(t, true, c.As(c.Other.Tokens["ADMIN"]).Verify(t).Body["ok"])
	metrics := c.Metrics(t)
	require.Contains(t, metrics, `omnirapeutic_verify_problems{organization_id="`+c.Own.ID.String()+`"} 1`)
	require.Contains(t, metrics, `omnirapeutic_verify_problems{organization_id="`+c.Other.ID.String()+`"} 0`)
}

func TestVerifyReleasesExpiredHoldsWithoutASweeper(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	unswept := *c
	unswept.Settings = []string{"OMNI_SWEEP_INTERVAL=0s"}
	unswept.Start(t, c.Database.Open(t))
	path := c.Authorize(t, 10)
	hold := func() {
		c.Admin().Post(t, path+"/reserve", harness.Body{"units": 2, "expiresInSeconds": 60}).ReservationID(t)
	}

	hold()
	c.Clock.Advance(5 * time.Minute) // the program was not running meanwhile
	c.RequireClean(t)
	require.Equal(t, 1, c.CountEntries(t, path, "expire"))

	hold()
	c.Clock.Advance(5 * time.Minute)
	report, err := c.App.Authorizations.Verify(identity.With(t.Context(), identity.System(c.Other.ID)),
		authorization.VerificationScope{Organization: c.Other.ID}, nil)
	require.NoError(t, err)
	require.True(t, report.OK)
	require.Equal(t, 1, c.CountEntries(t, path, "expire"), "reservations of another organization wait for their own sweep")

	owner, err := sql.Open("pgx", c.Database.OwnerURL)
	require.NoError(t, err)
	defer owner.Close()
	_, err = owner.ExecContext(t.Context(),
		`ALTER TABLE unit_entries ADD CONSTRAINT nothing_expires CHECK (kind <> 'expire') NOT VALID`)
	require.NoError(t, err)
	unswept.RequireClean(t) // without a sweeper, no delay is too long
	answer := c.Admin().Verify(t)
	problems := answer.Body["problems"].([]any)
	require.Len(t, problems, 1)
	require.Equal(t, "overdue", problems[0].(map[string]any)["check"], "a hold that cannot be released is found")
}

func TestEntriesAreNeverChanged(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 10)
	c.Admin().Post(t, path+"/reserve", harness.Body{"units": 3})
	for role, url := range map[string]string{"the program": c.Database.RoleURL, "the owner": c.Database.OwnerURL} {
		if role == "the owner" && dbtest.Profile() == db.Portable {
			continue // it has no triggers
		}
		connection, err := sql.Open("pgx", url)
		require.NoError(t, err)
		defer connection.Close()
		for _, statement := range []string{
			`UPDATE unit_entries SET units = 1`, `DELETE FROM unit_entries`, `TRUNCATE unit_entries`,
		} {
			_, err := connection.ExecContext(t.Context(), statement)
			require.Error(t, err, "%s: %s", role, statement)
		}
	}
	c.RequireClean(t)
}

// TestVerifyOfManyAuthorizations verifies several parts, at the same time or, with a pool of one
// connection, one after the other. The problems are listed in the order of the authorizations.
func TestVerifyOfManyAuthorizations(t *testing.T) {
	t.Parallel()
	for name, connections := range map[string]int{"one connection": 1, "ten connections": 10} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := harness.Open(t, dbtest.WithMaxConns(connections))
			path := c.Authorize(t, 10)
			c.Admin().Post(t, path+"/reserve", harness.Body{"units": 3})
			c.ExecAsOwner(t, `
				INSERT INTO authorizations (organization_id, id, patient_id, service_code_id, initial_units, total_units,
					start_date, end_date, status, last_hash, created_at, updated_at)
				SELECT organization_id, new, patient_id, service_code_id, 10, CASE WHEN n % 10 = 0 THEN 11 ELSE 10 END,
					start_date, end_date, status, sha256(convert_to(concat_ws(E'\n', 'omnirapeutic unit ledger',
						organization_id, new, 10, ''), 'UTF8')), now(), now()
				FROM authorizations a, generate_series(1, 1700) n, LATERAL (SELECT md5(a.id::text || n)::uuid AS new) i`)
			answer := c.Admin().Verify(t)
			require.Equal(t, 1701, answer.Number(t, "authorizations"))
			require.Equal(t, 1, answer.Number(t, "entries"))
			require.Equal(t, 170, answer.Number(t, "problemCount"))
			listed := answer.Body["problems"].([]any)
			require.Len(t, listed, 100)
			var ids []string
			for _, problem := range listed {
				ids = append(ids, problem.(map[string]any)["authorizationId"].(string))
			}
			require.True(t, slices.IsSorted(ids))
			require.Equal(t, 100, c.Count(t, "SELECT count(*) FROM authorizations WHERE total_units = 11 AND id <= $1", ids[99]),
				"the first ones")
		})
	}
}
