package e2e

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/app/demo"
	"omnirapeutic/e2e/harness"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/telemetry/logtest"
)

// loadedDemo is a database with the demo practice.
var loadedDemo = dbtest.NewTemplate(func(t testing.TB, database dbtest.Database) {
	_, practice := openPracticeOn(t, database)
	loaded, err := demo.Load(t.Context(), practice)
	require.NoError(t, err)
	require.True(t, loaded)
})

// openEmpty starts a clinic on an empty database.
func openEmpty(t *testing.T) (*harness.Clinic, demo.Practice) {
	t.Helper()
	return openPracticeOn(t, dbtest.New(t))
}

// openPracticeOn starts a clinic on a database, and returns the practice for the demo.
func openPracticeOn(
	t testing.TB, database dbtest.Database, options ...dbtest.Option,
) (*harness.Clinic, demo.Practice) {
	t.Helper()
	opened := database.Open(t, options...)
	c := &harness.Clinic{Database: database}
	c.Start(t, opened)
	logger := logtest.Logger()
	return c, demo.Practice{
		Database:     opened,
		Commands:     c.App.Commands,
		Directory:    c.App.Directory,
		Access:       c.App.Access,
		Events:       c.App.Events,
		Audit:        c.App.Audit,
		Appointments: c.App.AppointmentsAt, Billing: c.App.BillingAt,
		NewID:  harness.NewID,
		Now:    time.Now(),
		Logger: logger,
	}
}

func TestDemoPractice(t *testing.T) {
	t.Parallel()
	c, practice := openPracticeOn(t, loadedDemo.New(t))
	var admin harness.Caller
	for _, email := range demo.Emails() {
		t.Run("it lets "+email+" sign in", func(t *testing.T) {
			answer := c.As("").Post(t, "/auth/login", harness.Body{"email": email, "password": demo.Password})
			require.Equal(t, http.StatusOK, answer.Status, "%s", answer.Raw)
			if email == "admin@demo.test" {
				admin = c.As(answer.Text("accessToken"))
			}
		})
	}
	as := func(email string) harness.Caller {
		return c.As(c.As("").Post(t, "/auth/login", harness.Body{"email": email, "password": demo.Password}).
			Text("accessToken"))
	}
	t.Run("the documentation page offers its sign-ins", func(t *testing.T) {
		content, _ := page(t, c.URL+"/api/docs/demo-sign-ins.json")
		for _, email := range demo.Emails() {
			require.Contains(t, content, email)
		}
		require.Contains(t, content, demo.Password)
	})
	t.Run("it has the size of a clinic", func(t *testing.T) {
		for list, size := range map[string]int{"/patients": 40, "/practitioners": 25, "/payers": 3} {
			require.Len(t, admin.Get(t, list+"?limit=200").OK(t).Body["data"], size, list)
		}
		rounding, weeks := map[any]bool{}, map[any]bool{}
		for _, item := range admin.Get(t, "/payers").OK(t).Body["data"].([]any) {
			payer := item.(map[string]any)
			rounding[payer["rounding"]], weeks[payer["weekStartsOn"]] = true, true
		}
		require.Len(t, rounding, 3, "each payer rounds in its own way")
		require.Len(t, weeks, 3, "their weeks start on different days")
	})
	t.Run("its technician has a caseload, and its parent two children", func(t *testing.T) {
		for email, patients := range map[string]int{"rbt@demo.test": 5, "parent@demo.test": 2, "bcba@demo.test": 40} {
			require.Len(t, as(email).Get(t, "/patients?limit=200").OK(t).Body["data"], patients, email)
		}
	})
	t.Run("every role finds something on its screens", func(t *testing.T) {
		for _, email := range demo.Emails() {
			if strings.HasSuffix(email, "@other.test") {
				continue
			}
			user := as(email)
			require.NotEmpty(t, user.Get(t, "/appointments").OK(t).Body["data"], email)
			for _, list := range []string{
				"/patients", "/authorizations", "/sessions", "/practitioners", "/payers",
				"/service-codes",
			} {
				if a := user.Get(t, list); a.Status != http.StatusForbidden {
					require.NotEmpty(t, a.OK(t).Body["data"], "%s of %s", list, email)
				}
			}
		}
	})
	t.Run("its practitioners have hours and credentials, and some authorizations end soon", func(t *testing.T) {
		with := map[string]int{}
		for _, p := range admin.All(t, "/practitioners?limit=200", nil) {
			if len(p["credentials"].([]any)) > 0 {
				with["credentials"]++
			}
			if len(admin.Get(t, "/practitioners/"+p["id"].(string)+"/availability").OK(t).Body["weekly"].([]any)) > 0 {
				with["hours"]++
			}
		}
		require.Equal(t, map[string]int{"credentials": 25, "hours": 25}, with)
		require.NotEmpty(t, admin.Get(t, "/alerts").OK(t).Body["data"])
	})
	t.Run("it has authorizations in every state, with history", func(t *testing.T) {
		states := map[string]bool{}
		for _, item := range admin.Get(t, "/authorizations?limit=200").Body["data"].([]any) {
			authorization := item.(map[string]any)
			state := authorization["status"].(string)
			states[state] = true
			entries := admin.Get(t, "/authorizations/"+authorization["id"].(string)+"/entries?limit=200").Body["data"].([]any)
			require.Equal(t, state != "PENDING" && state != "UPCOMING", len(entries) > 0, "entries of appointments that are %s",
				state)
			before := ""
			for _, entry := range entries {
				at := entry.(map[string]any)["occurredAt"].(string)
				require.LessOrEqual(t, before[:min(10, len(before))], at[:10], "in the order of time")
				before = at
			}
		}
		require.Len(t, states, 6, "%v", states)
	})
	t.Run("it has four weeks of past and four of future appointments in every state", func(t *testing.T) {
		states, groups, late := map[any]int{}, 0, 0
		var first, last string
		for _, a := range admin.All(t, "/appointments?limit=200", nil) {
			states[a["status"]]++
			if len(a["patients"].([]any)) > 1 {
				groups++
			}
			if a["lateCancel"] == true {
				late++
			}
			start := a["startTime"].(string)
			first, last = min(cmp.Or(first, start), start), max(last, start)
		}
		for _, state := range []string{"SCHEDULED", "IN_PROGRESS", "COMPLETED", "CANCELLED", "NO_SHOW"} {
			require.NotZero(t, states[state], state)
		}
		require.Len(t, states, 5, "%v", states)
		require.NotZero(t, groups)
		require.NotZero(t, late)
		day := func(days int) string { return practice.Now.AddDate(0, 0, days).UTC().Format(time.RFC3339) }
		require.Less(t, first, day(-24), "the first Monday of four weeks")
		require.Greater(t, last, day(24))
	})
	t.Run("it has sessions, one of them with units that no authorization covers", func(t *testing.T) {
		require.Len(t, admin.Get(t, "/sessions?limit=200").Body["data"], 200)
		require.NotEmpty(t, admin.Get(t, "/sessions?unauthorized=true").Body["data"])
	})
	t.Run("it has notes in every state", func(t *testing.T) {
		states := map[string]bool{}
		for _, item := range admin.All(t, "/sessions?limit=200", nil) {
			states[item["note"].(map[string]any)["state"].(string)] = true
		}
		for _, state := range []string{"NONE", "DRAFT", "SIGNED", "COSIGNED", "LATE"} {
			require.True(t, states[state], state)
		}
	})
	t.Run("it has the ABA service codes in units of 15 minutes", func(t *testing.T) {
		var codes []string
		lanes := map[string]int{}
		for _, item := range admin.Get(t, "/service-codes?limit=200").Body["data"].([]any) {
			code := item.(map[string]any)
			codes = append(codes, code["code"].(string))
			require.EqualValues(t, 15, code["unitMinutes"])
			lanes[code["lane"].(string)]++
		}
		require.Equal(t, map[string]int{"DIRECT": 6, "SUPERVISION": 1, "CAREGIVER": 2, "ASSESSMENT": 1}, lanes)
		require.ElementsMatch(t, strings.Fields("97151 97152 97153 97154 97155 97156 97157 97158 0362T 0373T"), codes)
	})
	t.Run("it lets analysts work while a technician treats", func(t *testing.T) {
		require.Len(t, admin.Get(t, "/service-pairs").Body["pairs"], 2)
	})
	t.Run("it matches README.md", func(t *testing.T) {
		text, err := os.ReadFile("../README.md")
		require.NoError(t, err)
		first := admin.Get(t, "/authorizations?status=ACTIVE&limit=1").Body["data"].([]any)[0].(map[string]any)
		booked := harness.Answer{Body: first}
		require.Contains(t, string(text), fmt.Sprintf(`"usedUnits": %d, "scheduledUnits": %d, "availableUnits": %d`,
			booked.Number(t, "usedUnits"), booked.Number(t, "scheduledUnits")+4, booked.Number(t, "availableUnits")-4))
		require.Contains(t, string(text), fmt.Sprintf("Available: %d, Requested: 1000", booked.Number(t, "availableUnits")-4))
	})
	t.Run("its books agree", func(t *testing.T) {
		require.Equal(t, true, admin.Verify(t).Body["ok"])
		require.Regexp(t, `\nomnirapeutic_verify_problems{organization_id="[0-9a-f-]+"} 0\n`, c.Metrics(t))
	})
	t.Run("it is loaded once", func(t *testing.T) {
		again, err := demo.Load(t.Context(), practice)
		require.NoError(t, err)
		require.False(t, again)
	})
}

// TestDemoPracticeLoadsOnEveryDayOfTheWeek tries days around clock changes and the end of a year,
// at night and in the middle of a session.
func TestDemoPracticeLoadsOnEveryDayOfTheWeek(t *testing.T) {
	t.Parallel()
	harness.SkipUnlessLong(t)
	for _, now := range []string{
		"2026-03-09T15:00:00Z", "2026-03-31T23:59:00Z", "2026-11-04T14:30:00Z", "2026-12-31T05:00:00Z",
		"2027-01-01T12:00:00Z", "2028-03-04T20:15:00Z", "2026-11-01T06:30:00Z",
	} {
		t.Run(now, func(t *testing.T) {
			c, practice := openEmpty(t)
			var err error
			practice.Now, err = time.Parse(time.RFC3339, now)
			require.NoError(t, err)
			c.Clock.Freeze(practice.Now)
			loaded, err := demo.Load(t.Context(), practice)
			require.NoError(t, err)
			require.True(t, loaded)
			executeReads(t, c)
			executeWrites(t, c)
		})
	}
}

// TestTheDemoPracticeIsTheSameForTheSameMoment loads it into two databases and compares what does not
// depend on random ids.
func TestTheDemoPracticeIsTheSameForTheSameMoment(t *testing.T) {
	t.Parallel()
	harness.SkipUnlessLong(t)
	var contents [2]string
	for i := range contents {
		c, practice := openEmpty(t)
		practice.Now = time.Date(2026, 3, 11, 15, 4, 0, 0, time.UTC)
		c.Clock.Freeze(practice.Now)
		_, err := demo.Load(t.Context(), practice)
		require.NoError(t, err)
		owner, err := sql.Open("pgx", c.Database.OwnerURL)
		require.NoError(t, err)
		defer owner.Close()
		require.NoError(t, owner.QueryRowContext(t.Context(), `
			SELECT (SELECT string_agg(concat_ws(' ', starts_at, ends_at, status), E'\n' ORDER BY starts_at, ends_at, status)
			FROM appointments)
				|| (SELECT string_agg(concat_ws(' ', auth_number, total_units, used_units, scheduled_units, start_date, end_date), E'\n'
					ORDER BY auth_number, total_units, used_units, scheduled_units) FROM authorizations)`).Scan(&contents[i]))
	}
	require.NotEmpty(t, contents[0])
	require.Equal(t, contents[0], contents[1])
}

func TestDemoPracticeIsLoadedAtomically(t *testing.T) {
	t.Parallel()
	_, practice := openEmpty(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	created, interrupted := 0, practice
	interrupted.NewID = func() uuid.UUID {
		if created++; created == 20 { // in the middle of the history
			cancel()
		}
		return harness.NewID()
	}
	loaded, err := demo.Load(ctx, interrupted)
	require.ErrorIs(t, err, context.Canceled)
	require.False(t, loaded)
	users, err := practice.Access.Accounts.HasUsers(t.Context())
	require.NoError(t, err)
	require.False(t, users, "nothing is there")
	loaded, err = demo.Load(t.Context(), practice)
	require.NoError(t, err)
	require.True(t, loaded, "the next start loads it")
}
