package e2e

import (
	"cmp"
	"database/sql"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/platform/db/dbtest"
)

// terms are the terms of an authorization that is written directly to the database, so
// that every boundary of every rule occurs.
type terms struct {
	id, patient            uuid.UUID
	status                 string
	start, end             time.Time
	total, used, scheduled int
}

// kinds returns the expected alerts among other authorizations, by the rules in the
// contract.
func (a terms) kinds(all []terms, today time.Time) []string {
	days := func(from, to time.Time) int { return int(to.Sub(from) / (24 * time.Hour)) }
	left := days(today, a.end)
	if a.status != "ACTIVE" || a.start.After(today) || left < -30 {
		return nil
	}
	var kinds []string
	renewed := slices.ContainsFunc(all, func(b terms) bool {
		return b.id != a.id && b.patient == a.patient && b.status == "ACTIVE" && b.end.After(a.end) &&
			days(a.end, b.start) <= 1
	})
	switch {
	case renewed:
	case left < 0:
		kinds = append(kinds, "expired")
	case left <= 14:
		kinds = append(kinds, "expiring-14")
	case left <= 30:
		kinds = append(kinds, "expiring-30")
	case left <= 60:
		kinds = append(kinds, "expiring-60")
	}
	if left < 0 || a.total == 0 {
		return kinds
	}
	switch booked := a.used + a.scheduled; {
	case booked == a.total:
		kinds = append(kinds, "used-100")
	case 100*booked >= 90*a.total:
		kinds = append(kinds, "used-90")
	case 100*booked >= 80*a.total:
		kinds = append(kinds, "used-80")
	}
	span, elapsed := days(a.start, a.end)+1, days(a.start, today)+1
	if 2*elapsed >= span && 100*a.used*span < 80*a.total*elapsed {
		kinds = append(kinds, "under-used")
	}
	return kinds
}

// TestAlertsFollowTheRules compares the worklist query, the single-alert decision
// and the reports with the rules, on authorizations at their boundaries.
func TestAlertsFollowTheRules(t *testing.T) {
	t.Parallel()
	harness.SkipUnlessLong(t)
	database := dbtest.New(t)
	today := time.Date(2026, time.March, 2, 0, 0, 0, 0, time.UTC)
	c := &harness.Clinic{Database: database, Clock: harness.FrozenClock(today.Add(14 * time.Hour))}
	c.Start(t, database.Open(t))
	c.Own = c.AddPractice(t, "own")
	patients := make([]uuid.UUID, 60)
	for i := range patients {
		patients[i] = c.Admin().Post(t, "/patients", harness.Body{
			"firstName": "A", "lastName": "B", "dateOfBirth": "2019-01-01",
		}).
			Created(t)
	}
	all := writeAuthorizations(t, c, 400, patients, today)

	var want []string
	slices.SortFunc(all, func(a, b terms) int {
		return cmp.Or(a.end.Compare(b.end), strings.Compare(a.id.String(), b.id.String()))
	})
	seen := map[string]int{}
	var expiring, atRisk []string
	for _, a := range all {
		kinds := a.kinds(all, today)
		for _, kind := range kinds {
			want = append(want, a.id.String()+"."+kind)
			seen[kind]++
		}
		if a.status == "ACTIVE" && !a.start.After(today) && !a.end.Before(today) && !a.end.After(today.AddDate(0, 0, 60)) {
			expiring = append(expiring, a.id.String())
		}
		if slices.ContainsFunc(kinds, func(k string) bool { return strings.HasPrefix(k, "used") || k == "under-used" }) {
			atRisk = append(atRisk, a.id.String())
		}
	}
	require.Len(t, seen, 8, "every kind occurs: %v", seen)
	for _, limit := range []string{"1", "7", "200"} {
		require.Equal(t, want, harness.Column(c.Admin().All(t, "/alerts?limit="+limit, nil), "id"))
		require.Equal(t, expiring, harness.Column(c.Admin().All(t, "/reports/expiring?limit="+limit, nil), "authorizationId"))
		require.Equal(t, atRisk, harness.Column(c.Admin().All(t, "/reports/at-risk?limit="+limit, nil), "authorizationId"))
	}
	for kind, n := range seen {
		require.Len(t, c.Admin().All(t, "/alerts?limit=200&kind="+kind, nil), n)
	}
	for _, a := range all[:60] {
		kinds := a.kinds(all, today)
		for kind := range seen {
			status := c.Admin().Post(t, "/alerts/"+a.id.String()+"."+kind+"/acknowledge", nil).Status
			require.Equal(t, slices.Contains(kinds, kind), status == http.StatusOK, "%+v: %s was %d", a, kind, status)
		}
	}
}

// writeAuthorizations writes authorizations of the clinic's own practice at the boundaries of the rules directly to
// the database.
func writeAuthorizations(t *testing.T, c *harness.Clinic, n int, patients []uuid.UUID, today time.Time) []terms {
	t.Helper()
	owner, err := sql.Open("pgx", c.Database.OwnerURL)
	require.NoError(t, err)
	defer owner.Close()
	random := rand.New(rand.NewPCG(5, 6))
	pick := func(from ...int) int { return from[random.IntN(len(from))] }
	all := make([]terms, n)
	for i := range all {
		a := terms{
			id: uuid.New(), patient: patients[random.IntN(len(patients))],
			status: []string{"ACTIVE", "ACTIVE", "ACTIVE", "ACTIVE", "PENDING", "CANCELLED"}[random.IntN(6)],
		}
		a.end = today.AddDate(0, 0, pick(-31, -30, -29, -1, 0, 1, 13, 14, 15, 29, 30, 31, 59, 60, 61, 90))
		a.start = today.AddDate(0, 0, pick(1, 0, -1, -13, -14, -15, -29, -30, -60, -61, -180))
		if others := all[:i]; len(others) > 0 && random.IntN(4) == 0 { // near the end of another one
			before := others[random.IntN(i)]
			a.start, a.patient = before.end.AddDate(0, 0, pick(0, 1, 2)), before.patient
			a.end = a.start.AddDate(0, 0, pick(0, 20, 90))
		}
		if a.start.After(a.end) {
			a.start = a.end
		}
		a.total = pick(0, 1, 7, 10, 480)
		a.used = min(a.total, a.total*pick(0, 30, 40, 60, 79, 80, 90, 100)/100)
		a.scheduled = min(a.total-a.used, pick(0, 0, 1, a.total/10, a.total))
		all[i] = a
		_, err := owner.ExecContext(t.Context(), `
			INSERT INTO authorizations (organization_id, id, patient_id, service_code_id, initial_units, total_units, used_units, scheduled_units,
				start_date, end_date, status, last_hash, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $5, $6, $7, $8, $9, $10, sha256(''), now(), now())`,
			c.Own.ID, a.id, a.patient, c.Own.ServiceCode, a.total, a.used, a.scheduled, a.start, a.end, a.status)
		require.NoError(t, err)
	}
	return all
}
