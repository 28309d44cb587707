package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
)

// verifyChanges makes an incremental verification, and returns its result.
func verifyChanges(t *testing.T, c *harness.Clinic) harness.Answer {
	t.Helper()
	a := c.Admin().Post(t, "/admin/verify", harness.Body{"mode": "INCREMENTAL"}).OK(t)
	require.Equal(t, "INCREMENTAL", a.Text("mode"))
	a = c.Admin().AwaitState(t, "/admin/verifications/"+a.Text("id"), "FINISHED")
	a.Body = a.Body["result"].(map[string]any)
	return a
}

// checksOf returns the checks of the problems in the ledger and in the trail.
func checksOf(a harness.Answer) (checks []string) {
	for _, problems := range []any{a.Body["problems"], a.Body["audit"].(map[string]any)["problems"]} {
		for _, problem := range problems.([]any) {
			checks = append(checks, problem.(map[string]any)["check"].(string))
		}
	}
	return checks
}

func TestAnIncrementalVerificationChecksChanges(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	var paths []string
	for range 3 {
		path := c.Authorize(t, 10)
		c.Admin().Post(t, path+"/reserve", harness.Body{"units": 3})
		paths = append(paths, path)
	}
	c.Clock.Advance(12 * time.Minute) // the last minutes before a verification are checked again
	first := verifyChanges(t, c)
	require.Nil(t, first.Body["changedSince"], "without a checkpoint everything is verified")
	require.Equal(t, 3, first.Number(t, "authorizations"))
	events := first.Number(t, "audit", "events")

	c.Clock.Advance(12 * time.Minute)
	require.Equal(t, 0, verifyChanges(t, c).Number(t, "authorizations"))
	c.Admin().Post(t, paths[1]+"/reserve", harness.Body{"units": 1})
	second := verifyChanges(t, c)
	require.Equal(t, true, second.Body["ok"])
	require.NotNil(t, second.Body["changedSince"])
	require.Equal(t, 1, second.Number(t, "authorizations"))
	require.Equal(t, 2, second.Number(t, "entries"), "all entries of a changed authorization")
	require.Less(t, second.Number(t, "audit", "events"), events)
	require.Equal(t, 3, c.Count(t, "SELECT max(number) FROM verification_checkpoints"))

	c.Admin().Post(t, paths[2]+"/reserve", harness.Body{"units": 1})
	c.ExecAsOwner(t, "UPDATE authorizations SET total_units = 11 WHERE id = $1", paths[2][len("/authorizations/"):])
	require.Equal(t, []string{"total"}, checksOf(verifyChanges(t, c)))
	require.Equal(t, 3, c.Count(t, "SELECT max(number) FROM verification_checkpoints"), "a problem makes no checkpoint")
	c.ExecAsOwner(t, "UPDATE authorizations SET total_units = 10 WHERE id = $1", paths[2][len("/authorizations/"):])
	c.ExecAsOwner(t, "UPDATE authorizations SET total_units = 11 WHERE id = $1", paths[0][len("/authorizations/"):])
	require.Empty(t, checksOf(verifyChanges(t, c)), "older data are not checked")
	full := c.Admin().Verify(t)
	require.Equal(t, []string{"total"}, checksOf(full), "but by a full verification, which is the default")
	require.Nil(t, full.Body["changedSince"])
}

func TestAnIncrementalVerificationFindsChangesOfTheTrail(t *testing.T) {
	t.Parallel()
	for it, test := range map[string]struct {
		change string
		found  []string
	}{
		"a new event": {`UPDATE audit_events SET address = 'x' WHERE (organization_id, sequence) IN (
			SELECT organization_id, max(sequence) FROM audit_seals GROUP BY organization_id)`, []string{"hash"}},
		"the seal at the checkpoint": {
			`UPDATE audit_seals s SET hash = sha256(s.hash)
			FROM verification_checkpoints c WHERE c.organization_id = s.organization_id AND c.audit_position = s.position`,
			[]string{"checkpoint", "hash"},
		},
		"a removed tail": {
			`DELETE FROM audit_seals s USING verification_checkpoints c
			WHERE c.organization_id = s.organization_id AND s.position >= c.audit_position`,
			[]string{"checkpoint", "position", "head", "unsealed"},
		},
		"an old event": {`UPDATE audit_events SET address = 'x' WHERE (organization_id, sequence) IN (
			SELECT organization_id, sequence FROM audit_seals WHERE position = 1)`, nil},
	} {
		t.Run(it, func(t *testing.T) {
			t.Parallel()
			c := harness.Open(t)
			c.Admin().Post(t, c.Authorize(t, 10)+"/reserve", harness.Body{"units": 3})
			require.Empty(t, checksOf(verifyChanges(t, c)))
			c.Clock.Advance(12 * time.Minute)
			c.Authorize(t, 10)
			_, err := c.App.Audit.Seal(t.Context())
			require.NoError(t, err)
			c.ExecAsOwner(t, "ALTER TABLE audit_events DISABLE TRIGGER USER")
			c.ExecAsOwner(t, "ALTER TABLE audit_seals DISABLE TRIGGER USER")
			c.ExecAsOwner(t, test.change)
			found := map[string]bool{}
			for _, check := range checksOf(verifyChanges(t, c)) {
				found[check] = true
			}
			for _, check := range test.found {
				require.True(t, found[check], "%s in %v", check, found)
			}
			if test.found == nil {
				require.Empty(t, found)
				require.Equal(t, []string{"hash"}, checksOf(c.Admin().Verify(t)))
			}
		})
	}
}

// TestDamagedCheckpointsAreFound changes checkpoints as the tables' owner. The verification is then a
// full one.
func TestDamagedCheckpointsAreFound(t *testing.T) {
	t.Parallel()
	for it, change := range map[string]string{
		"a later time":  `UPDATE verification_checkpoints SET entries_before = entries_before + interval '1 day' WHERE number = 2`,
		"a removed one": `DELETE FROM verification_checkpoints WHERE number = 1`,
		"a copied one": `INSERT INTO verification_checkpoints
			SELECT organization_id, 3, mode, verified_at, entries_before, audit_position, audit_hash, hash
			FROM verification_checkpoints WHERE number = 2`,
	} {
		t.Run(it, func(t *testing.T) {
			t.Parallel()
			c := harness.Open(t)
			path := c.Authorize(t, 10)
			c.RequireClean(t)
			c.Clock.Advance(12 * time.Minute)
			require.Empty(t, checksOf(verifyChanges(t, c)))
			c.RequireGuarded(t, "DELETE FROM verification_checkpoints")
			c.ExecAsOwner(t, "ALTER TABLE verification_checkpoints DISABLE TRIGGER USER")
			c.ExecAsOwner(t, change)
			c.ExecAsOwner(t, "UPDATE authorizations SET total_units = 11 WHERE id = $1", path[len("/authorizations/"):])
			a := verifyChanges(t, c)
			require.Nil(t, a.Body["changedSince"])
			require.Equal(t, []string{"total", "checkpoint"}, checksOf(a))
			require.Contains(t, checksOf(c.Admin().Verify(t)), "checkpoint")
		})
	}
}

func TestModesOfVerificationsAreChecked(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	c.Admin().Post(t, "/admin/verify", harness.Body{"mode": "QUICK"}).Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	require.Equal(t, "FULL", c.Admin().Post(t, "/admin/verify", harness.Body{}).OK(t).Text("mode"))
}
