package e2e

import (
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/db/dbtest"
)

// reporting is a practice on Monday, 2 March 2026, with all figures computed by hand.
type reporting struct {
	*harness.Clinic
	t     *testing.T
	paths map[string]string // paths of authorizations by name
	names *strings.Replacer // replaces ids in tables by names
}

func openReporting(t *testing.T) *reporting {
	t.Helper()
	database := dbtest.New(t)
	c := &harness.Clinic{
		Database: database, Clock: harness.FrozenClock(time.Date(2026, time.March, 2, 14, 0, 0, 0, time.UTC)),
	}
	c.Start(t, database.Open(t))
	c.Own, c.Other = c.AddPractice(t, "own"), c.AddPractice(t, "other")
	r := &reporting{Clinic: c, t: t, paths: map[string]string{}}
	ids := []string{c.Own.ServiceCode.String(), "97153"}
	payer := c.Admin().Post(t, "/payers", harness.Body{"name": "State Medicaid", "weekStartsOn": "MONDAY"}).Created(t)
	for _, a := range []struct {
		name, start, end string
		total            int
		more             harness.Body
	}{
		{"E", "2025-08-01", "2026-02-10", 50, nil},
		{"B", "2025-09-22", "2026-03-20", 100, harness.Body{"authNumber": "=B-1"}},
		{"C", "2026-02-16", "2026-03-29", 24, nil},
		{
			"I", "2026-03-01", "2026-04-30", 40,
			harness.Body{
				"caps": []any{harness.Body{"period": "WEEK", "units": 20}, harness.Body{"period": "MONTH", "units": 8}},
			},
		},
		{"F", "2026-03-01", "2026-05-31", 40, harness.Body{"status": "PENDING"}},
		{"H", "2026-03-01", "2026-06-30", 8, nil},
		{"A", "2026-01-05", "2026-07-04", 480, harness.Body{"authNumber": "AUTH-1, A"}},
		{"D", "2026-03-30", "2026-09-29", 60, harness.Body{"patient": "C"}}, // the renewal of C
	} {
		b := harness.Body{"totalUnits": a.total, "startDate": a.start, "endDate": a.end, "serviceCodeId": c.Own.ServiceCode}
		if a.more["patient"] == nil {
			patient := c.Admin().Post(t, "/patients", harness.Body{
				"firstName": "P", "lastName": a.name, "dateOfBirth": "2019-05-04",
			}).
				Created(t)
			insurance := c.Admin().Post(t, "/insurances",
				harness.Body{"patientId": patient, "payerId": payer, "memberNumber": "M", "startsOn": "2020-01-01"}).Created(t)
			ids = append(ids, patient.String(), "patient "+a.name, insurance.String(), "insurance "+a.name)
			b["patientId"], b["insuranceId"] = patient, insurance
		} else {
			b["patientId"] = c.Admin().Get(t, r.paths["C"]).Text("patientId")
		}
		maps.Copy(b, a.more)
		delete(b, "patient")
		id := c.Admin().Post(t, "/authorizations", b).Created(t).String()
		r.paths[a.name] = "/authorizations/" + id
		ids = append(ids, id, a.name)
	}
	r.names = strings.NewReplacer(ids...)

	r.used("E", 45, "2026-01-10")
	r.used("B", 30, "2025-12-01")
	r.used("B", 7, "2026-02-10")
	r.booked("B", 4, "2026-03-10")
	r.used("C", 8, "2026-02-20")
	r.booked("C", 8, "2026-03-06")
	r.booked("C", 8, "2026-03-20")
	r.booked("I", 8, "2026-04-15")
	r.used("H", 8, "2026-03-02")
	r.used("A", 40, "2026-01-12")
	r.used("A", 40, "2026-01-26")
	r.used("A", 50, "2026-02-02") // the day before the four weeks
	r.used("A", 30, "2026-02-03") // their first
	r.used("A", 40, "2026-02-20")
	r.used("A", 20, "2026-03-02") // their last, today
	r.booked("A", 16, "2026-03-05")
	r.booked("A", 24, "2026-03-16")
	c.Admin().Post(t, r.paths["A"]+"/reserve", harness.Body{
		"units": 10, "serviceDate": "2026-06-01", "expiresInSeconds": 1,
	}).
		ReservationID(t)
	c.Clock.Advance(2 * time.Second) // the hold has expired and was not swept
	return r
}

func (r *reporting) used(name string, units int, day string) {
	r.t.Helper()
	a := r.Admin().Post(r.t, r.paths[name]+"/consume", harness.Body{"units": units, "serviceDate": day})
	require.Equal(r.t, http.StatusOK, a.Status, "%s", a.Raw)
	require.Equal(r.t, units, a.Number(r.t, "consumedUnits"))
}

// advance moves the clock forward and signs in again, because the token has expired by
// then.
func (r *reporting) advance(by time.Duration) {
	r.t.Helper()
	r.Clock.Advance(by)
	r.Own.Tokens[rbac.Admin] = r.SignIn(r.t, "own", rbac.Admin)
}

func (r *reporting) booked(name string, units int, day string) {
	r.t.Helper()
	r.Admin().Post(r.t, r.paths[name]+"/reserve", harness.Body{"units": units, "serviceDate": day}).ReservationID(r.t)
}

// figures are the reported figures of an authorization.
type figures map[string]any

// computed are the figures of 2 March 2026. Elapsed days include today.
var computed = map[string]figures{
	"A": {
		"status": "ACTIVE", "totalUnits": 480.0,
		"usedUnits":               220.0,        // 40 + 40 + 50 + 30 + 40 + 20
		"scheduledUnits":          40.0,         // 16 + 24; the hold of 10 has expired
		"availableUnits":          220.0,        // 480 − 220 − 40
		"usedPercent":             45.8,         // 220 ÷ 480 = 45.83…
		"bookedPercent":           54.1,         // 260 ÷ 480 = 54.16…, cut
		"elapsedPercent":          31.4,         // 27 in January + 28 + 2 = 57, of 181 days: 31.49…, cut
		"pacePercent":             145.5,        // (220 × 181) ÷ (480 × 57) = 39820 ÷ 27360 = 145.54…
		"averageUnitsPerWeek":     27.0,         // 220 × 7 ÷ 57 = 27.01…
		"recentUnitsPerWeek":      22.5,         // (30 + 40 + 20) × 7 ÷ 28
		"projectedExhaustionDate": "2026-05-24", // 16 March + ⌈220 × 28 ÷ 90⌉ = 69 days: 15 in March, 30 in April, 24
		"projectedUnusedUnits":    0.0,          // 110 days after 16 March: 90 × 110 ÷ 28 = 353.57 → 354, more than 220
		"lastBookableDate":        "2026-07-04",
	},
	"B": {
		"status": "ACTIVE", "totalUnits": 100.0, "usedUnits": 37.0, "scheduledUnits": 4.0, "availableUnits": 59.0,
		"usedPercent": 37.0, "bookedPercent": 41.0,
		"elapsedPercent":          90.0, // 9 + 31 + 30 + 31 + 31 + 28 + 2 = 162 of 180 days
		"pacePercent":             41.1, // (37 × 180) ÷ (100 × 162) = 41.11…
		"averageUnitsPerWeek":     1.6,  // 37 × 7 ÷ 162 = 1.598…
		"recentUnitsPerWeek":      1.8,  // 7 × 7 ÷ 28 = 1.75, half up
		"projectedExhaustionDate": nil,  // 59 × 28 ÷ 7 = 236 days after 10 March
		"projectedUnusedUnits":    56.0, // 10 days after 10 March: 7 × 10 ÷ 28 = 2.5 → 3; 59 − 3
		"lastBookableDate":        "2026-03-20",
	},
	"C": {
		"status": "EXHAUSTED", "totalUnits": 24.0, "usedUnits": 8.0, "scheduledUnits": 16.0, "availableUnits": 0.0,
		"usedPercent": 33.3, "bookedPercent": 100.0,
		"elapsedPercent":          35.7,         // 13 + 2 = 15 of 42 days
		"pacePercent":             93.3,         // (8 × 42) ÷ (24 × 15)
		"averageUnitsPerWeek":     3.7,          // 8 × 7 ÷ 15 = 3.73…
		"recentUnitsPerWeek":      3.7,          // the same: it is less than 28 days old
		"projectedExhaustionDate": "2026-03-20", // by the schedule alone
		"projectedUnusedUnits":    0.0,
		"lastBookableDate":        nil,
	},
	"D": {
		"status": "UPCOMING", "totalUnits": 60.0, "usedUnits": 0.0, "scheduledUnits": 0.0, "availableUnits": 60.0,
		"usedPercent": 0.0, "bookedPercent": 0.0, "elapsedPercent": 0.0, "pacePercent": nil,
		"averageUnitsPerWeek": nil, "recentUnitsPerWeek": nil,
		"projectedExhaustionDate": nil, "projectedUnusedUnits": 60.0, "lastBookableDate": "2026-09-29",
	},
	"E": {
		"status": "EXPIRED", "totalUnits": 50.0, "usedUnits": 45.0, "scheduledUnits": 0.0, "availableUnits": 5.0,
		"usedPercent": 90.0, "bookedPercent": 90.0, "elapsedPercent": 100.0, "pacePercent": 90.0,
		"averageUnitsPerWeek": 1.6, // 45 × 7 ÷ (31 + 30 + 31 + 30 + 31 + 31 + 10 = 194) = 1.62…
		"recentUnitsPerWeek":  nil, "projectedExhaustionDate": nil, "projectedUnusedUnits": 5.0,
		"lastBookableDate": "2026-02-10", // a session of those days can still be entered
	},
	"F": {
		"status": "PENDING", "totalUnits": 40.0, "usedUnits": 0.0, "scheduledUnits": 0.0, "availableUnits": 40.0,
		"usedPercent": 0.0, "bookedPercent": 0.0,
		"elapsedPercent": 2.1, // 2 of 92 days: 2.17…, cut
		"pacePercent":    0.0, "averageUnitsPerWeek": 0.0, "recentUnitsPerWeek": 0.0,
		"projectedExhaustionDate": nil, "projectedUnusedUnits": nil, "lastBookableDate": nil,
	},
	"H": {
		"status": "EXHAUSTED", "totalUnits": 8.0, "usedUnits": 8.0, "scheduledUnits": 0.0, "availableUnits": 0.0,
		"usedPercent": 100.0, "bookedPercent": 100.0,
		"elapsedPercent":          1.6,    // 2 of 122 days: 1.63…
		"pacePercent":             6100.0, // (8 × 122) ÷ (8 × 2)
		"averageUnitsPerWeek":     28.0,   // 8 × 7 ÷ 2
		"recentUnitsPerWeek":      28.0,
		"projectedExhaustionDate": nil, // it is exhausted
		"projectedUnusedUnits":    0.0, "lastBookableDate": nil,
	},
	"I": {
		"status": "ACTIVE", "totalUnits": 40.0, "usedUnits": 0.0, "scheduledUnits": 8.0, "availableUnits": 32.0,
		"usedPercent": 0.0, "bookedPercent": 20.0,
		"elapsedPercent": 3.2, // 2 of 61 days: 3.27…, cut
		"pacePercent":    0.0, "averageUnitsPerWeek": 0.0, "recentUnitsPerWeek": 0.0,
		"projectedExhaustionDate": nil, "projectedUnusedUnits": 32.0,
		"lastBookableDate": "2026-03-31", // the cap of 8 closes all of April
	},
}

// named returns the rows of a list by authorization name, and the names in list order.
func (r *reporting) named(t *testing.T, path string) (map[string]map[string]any, []string) {
	t.Helper()
	rows, order := map[string]map[string]any{}, []string{}
	for _, row := range r.Admin().All(t, path, nil) {
		name := r.names.Replace(row["authorizationId"].(string))
		rows[name] = row
		order = append(order, name)
	}
	return rows, order
}

func TestReportsAreRightToTheUnit(t *testing.T) {
	t.Parallel()
	r := openReporting(t)
	requireFigures := func(t *testing.T, name string, row map[string]any, more figures) {
		t.Helper()
		for _, want := range []figures{computed[name], more} {
			for figure, value := range want {
				require.Equal(t, value, row[figure], "%s of %s", figure, name)
			}
		}
	}
	t.Run("utilization", func(t *testing.T) {
		rows, order := r.named(t, "/reports/utilization?sort=endDate&limit=3")
		require.Equal(t, []string{"E", "B", "C", "I", "F", "H", "A", "D"}, order)
		for name := range computed {
			requireFigures(t, name, rows[name], nil)
		}
	})
	t.Run("its filters", func(t *testing.T) {
		patient := r.Admin().Get(t, r.paths["C"]).Text("patientId")
		insurance := r.Admin().Get(t, r.paths["C"]).Text("insuranceId")
		payer := r.Admin().Get(t, "/insurances/"+insurance).Text("payerId")
		for filter, want := range map[string]string{
			"patientId=" + patient:                          "CD",
			"insuranceId=" + insurance:                      "C",
			"payerId=" + payer:                              "EBCIFHA", // all but D, which has no insurance
			"payerId=" + uuid.NewString():                   "",
			"serviceCodeId=" + r.Own.ServiceCode.String():   "EBCIFHAD",
			"serviceCodeId=" + r.Other.ServiceCode.String(): "",
			"status=EXHAUSTED&status=PENDING":               "CFH",
			"inForceOn=2026-02-10":                          "EBA",
			"inForceOn=2026-03-30&patientId=" + patient:     "D",
		} {
			_, order := r.named(t, "/reports/utilization?"+filter)
			require.Equal(t, want, strings.Join(order, ""), filter)
		}
	})
	t.Run("totals", func(t *testing.T) {
		totals := func(filter string) harness.Answer { return r.Admin().Get(t, "/reports/utilization/totals"+filter) }
		require.Equal(t, harness.Body{
			"authorizations": 8.0,
			"totalUnits":     802.0, // 480 + 100 + 24 + 60 + 50 + 40 + 8 + 40
			"usedUnits":      318.0, // 220 + 37 + 8 + 45 + 8
			"scheduledUnits": 68.0,  // 40 + 4 + 16 + 8
			"availableUnits": 416.0, // 220 + 59 + 60 + 5 + 40 + 32
			"usedPercent":    39.6,  // 318 ÷ 802 = 39.65…, cut
			"bookedPercent":  48.1,  // 386 ÷ 802 = 48.12…
		}, totals("").Body)
		require.Equal(t, 2, totals("?status=EXHAUSTED").Number(t, "authorizations"))
		nothing := totals("?payerId=" + uuid.NewString())
		require.Equal(t, 0, nothing.Number(t, "totalUnits"))
		require.Nil(t, nothing.Body["usedPercent"])
	})
	t.Run("expiring", func(t *testing.T) {
		rows, order := r.named(t, "/reports/expiring?limit=1")
		require.Equal(t, []string{"B", "C", "I"}, order)
		requireFigures(t, "B", rows["B"], figures{"daysLeft": 18.0, "band": 30.0, "renewalId": nil})
		requireFigures(t, "C", rows["C"], figures{
			"daysLeft": 27.0, "band": 30.0,
			"renewalId": strings.TrimPrefix(r.paths["D"],
				"/authorizations/"),
		})
		requireFigures(t, "I", rows["I"], figures{"daysLeft": 59.0, "band": 60.0, "renewalId": nil})
		for filter, want := range map[string]string{
			"withinDays=17": "", "withinDays=18": "B", "withinDays=365": "BCIHA", "renewed=true": "C", "renewed=false": "BI",
		} {
			_, order := r.named(t, "/reports/expiring?"+filter)
			require.Equal(t, want, strings.Join(order, ""), filter)
		}
		rows, _ = r.named(t, "/reports/expiring?withinDays=365")
		require.Nil(t, rows["H"]["band"])
	})
	t.Run("at risk", func(t *testing.T) {
		rows, order := r.named(t, "/reports/at-risk?limit=1")
		require.Equal(t, []string{"B", "C", "H"}, order)
		requireFigures(t, "B", rows["B"], figures{"usageBand": nil, "underUsed": true})
		requireFigures(t, "C", rows["C"], figures{"usageBand": 100.0, "underUsed": false})
		requireFigures(t, "H", rows["H"], figures{"usageBand": 100.0, "underUsed": false})
		for filter, want := range map[string]string{
			"risk=under-used":           "B",
			"risk=used-100":             "CH",
			"risk=used-80&risk=used-90": "",
		} {
			_, order := r.named(t, "/reports/at-risk?"+filter)
			require.Equal(t, want, strings.Join(order, ""), filter)
		}
	})
}

// table returns a report as CSV.
func (r *reporting) table(t *testing.T, path string) string {
	t.Helper()
	a := r.Admin().Get(t, path)
	require.Equal(t, http.StatusOK, a.Status, "%s", a.Raw)
	require.Equal(t, "text/csv; charset=utf-8; header=present", a.Header.Get("Content-Type"))
	return r.names.Replace(string(a.Raw))
}

// TestReportsAsTables compares tables with hand-written ones.
func TestReportsAsTables(t *testing.T) {
	t.Parallel()
	r := openReporting(t)
	for name, path := range map[string]string{
		"utilization": "/reports/utilization?sort=endDate&format=csv", "expiring": "/reports/expiring?format=csv",
		"at-risk": "/reports/at-risk?format=csv",
	} {
		want, err := os.ReadFile("testdata/" + name + ".csv")
		require.NoError(t, err)
		require.Equal(t, strings.ReplaceAll(string(want), "\n", "\r\n"), r.table(t, path))
	}
	first := r.Admin().WithHeader("Accept", "text/csv").Get(t, "/reports/utilization?sort=endDate&limit=2")
	require.Equal(t, "attachment; filename=utilization.csv", first.Header.Get("Content-Disposition"))
	rest := r.table(t, "/reports/utilization?sort=endDate&limit=200&format=csv")
	next := r.Admin().WithHeader("Accept", "text/csv").
		Get(t, "/reports/utilization?sort=endDate&limit=2&cursor="+url.QueryEscape(first.Header.Get("Next-Cursor")))
	lines := strings.Split(rest, "\r\n")
	require.Equal(t, lines[:3], strings.Split(r.names.Replace(string(first.Raw)), "\r\n")[:3])
	require.Equal(t, lines[3:5], strings.Split(r.names.Replace(string(next.Raw)), "\r\n")[1:3])
}

// open returns the worklist: names of authorizations and kinds.
func (r *reporting) open(t *testing.T, query string) []string {
	t.Helper()
	open := []string{}
	for _, item := range r.Admin().All(t, "/alerts?limit=2"+query, nil) {
		open = append(open, r.names.Replace(item["authorizationId"].(string))+" "+item["kind"].(string))
	}
	return open
}

func (r *reporting) alert(name, kind string) string {
	return "/alerts/" + strings.TrimPrefix(r.paths[name], "/authorizations/") + "." + kind
}

func TestAlertsOpenAndCloseByThemselves(t *testing.T) {
	t.Parallel()
	r := openReporting(t)
	// C, which also ends within 30 days, has only the units alert, because D renews it.
	all := []string{"E expired", "B expiring-30", "B under-used", "C used-100", "I expiring-60", "H used-100"}
	require.Equal(t, all, r.open(t, ""))
	require.Equal(t, []string{"B expiring-30"}, r.open(t, "&kind=expiring-30&kind=expiring-14"))
	require.Equal(t, []string{"B under-used", "C used-100", "H used-100"}, r.open(t, "&kind=under-used&kind=used-100"))

	t.Run("an alert is acknowledged", func(t *testing.T) {
		biller, auditor := r.As(r.Own.Tokens[rbac.Biller]), r.As(r.Own.Tokens[rbac.Auditor])
		noted := biller.Post(t, r.alert("B", "expiring-30")+"/acknowledge", nil)
		require.Equal(t, http.StatusOK, noted.Status, "%s", noted.Raw)
		require.Equal(t, biller.Get(t, "/auth/me").Body["id"], noted.Body["acknowledgedBy"])
		require.Equal(t, "2026-03-02T14:00:02Z", noted.Body["acknowledgedAt"])
		r.advance(time.Minute)
		again := r.Admin().Post(t, r.alert("B", "expiring-30")+"/acknowledge", nil)
		require.Equal(t, noted.Body, again.Body, "the first one remains")
		require.Equal(t, all, r.open(t, ""), "it stays open")
		require.Equal(t, []string{"B expiring-30"}, r.open(t, "&acknowledged=true"))
		require.Equal(t, slices.Delete(slices.Clone(all), 1, 2), r.open(t, "&acknowledged=false"))
		auditor.Post(t, r.alert("E", "expired")+"/acknowledge", nil).Refused(t, http.StatusForbidden, "forbidden")
		for _, none := range []string{
			r.alert("A", "expired"), r.alert("B", "expiring-14"), r.alert("C", "expiring-30"), r.alert("A", "used-80"),
			r.alert("A", "under-used"), r.alert("B", "nothing"), "/alerts/x", "/alerts/" + uuid.NewString() + ".expired",
		} {
			r.Admin().Post(t, none+"/acknowledge", nil).Refused(t, http.StatusNotFound, "alert-not-found")
		}
		r.As(r.Other.Tokens[rbac.Admin]).Post(t, r.alert("E", "expired")+"/acknowledge", nil).
			Refused(t, http.StatusNotFound, "alert-not-found")
		require.Empty(t, r.As(r.Other.Tokens[rbac.Admin]).Get(t, "/alerts").Body["data"])
	})
	t.Run("the next alert has no note", func(t *testing.T) {
		r.advance(4 * 24 * time.Hour) // 14 days before B's last
		require.Contains(t, r.open(t, "&acknowledged=false"), "B expiring-14")
		require.NotContains(t, r.open(t, ""), "B expiring-30")
		r.advance(-4 * 24 * time.Hour)
		require.Equal(t, []string{"B expiring-30"}, r.open(t, "&acknowledged=true"))
	})
	t.Run("another last day is another alert", func(t *testing.T) {
		require.Equal(t, http.StatusOK, r.Admin().Patch(t, r.paths["B"], harness.Body{"endDate": "2026-03-21"}).Status)
		require.Empty(t, r.open(t, "&acknowledged=true"))
		require.Equal(t, http.StatusOK, r.Admin().Patch(t, r.paths["B"], harness.Body{"endDate": "2026-03-20"}).Status)
		require.Equal(t, []string{"B expiring-30"}, r.open(t, "&acknowledged=true"))
	})
	t.Run("an approved renewal closes it if it follows without a gap and lasts longer", func(t *testing.T) {
		b := r.Admin().Get(t, r.paths["B"])
		renewal := harness.Body{
			"patientId":     b.Body["patientId"],
			"serviceCodeId": b.Body["serviceCodeId"],
			"totalUnits":    10,
			"startDate":     "2026-03-22",
			"endDate":       "2026-09-20",
			"status":        "PENDING",
		}
		path := "/authorizations/" + r.Admin().Post(t, "/authorizations", renewal).Created(t).String()
		for _, step := range []struct {
			change harness.Body
			closed bool
		}{
			{harness.Body{"startDate": "2026-03-21"}, false},                          // still pending
			{harness.Body{"status": "ACTIVE"}, true},                                  // the day after
			{harness.Body{"startDate": "2026-03-22"}, false},                          // a day without
			{harness.Body{"startDate": "2026-01-01", "endDate": "2026-03-20"}, false}, // no longer than the old one
			{harness.Body{"endDate": "2026-03-21"}, true},                             // within, and a day longer
			{harness.Body{"status": "CANCELLED"}, false},
		} {
			a := r.Admin().Patch(t, path, step.change)
			require.Equal(t, http.StatusOK, a.Status, "%s", a.Raw)
			require.Equal(t, step.closed, !slices.Contains(r.open(t, ""), "B expiring-30"), "%v", step.change)
			require.Contains(t, r.open(t, ""), "B under-used", "it concerns the units")
		}
	})
	t.Run("released units close it", func(t *testing.T) {
		release := func(units int) {
			require.Equal(t, http.StatusOK, r.Admin().Post(t, r.paths["C"]+"/release", harness.Body{"units": units}).Status)
		}
		release(1) // 23 of 24 are used or scheduled: 95.8 %
		require.Contains(t, r.open(t, ""), "C used-90")
		release(2) // 21: 87.5 %
		require.Contains(t, r.open(t, ""), "C used-80")
		release(2) // 19: 79.1 %
		require.Equal(t, []string{"E expired", "B expiring-30", "B under-used", "I expiring-60", "H used-100"}, r.open(t, ""))
		r.Admin().Post(t, r.paths["C"]+"/reserve", harness.Body{"units": 3, "expiresInSeconds": 60}).ReservationID(t)
		require.Contains(t, r.open(t, ""), "C used-90", "22 of 24: 91.6 %")
		r.advance(time.Minute)
		require.NotContains(t, r.open(t, ""), "C used-90", "the hold has expired and was not swept")
	})
	t.Run("with time", func(t *testing.T) {
		r.advance(11 * 24 * time.Hour) // 13 March: E ended 31 days ago
		require.NotContains(t, r.open(t, ""), "E expired")
		r.advance(8 * 24 * time.Hour) // 21 March
		require.Contains(t, r.open(t, ""), "B expired")
		require.NotContains(t, r.open(t, ""), "B under-used")
	})
	r.RequireClean(t)
}

// reportCalls are the calls of reports and alerts, with the roles that may make them.
var reportCalls = []unitCall{
	{http.MethodGet, "/reports/utilization", nil, reporters, nil},
	{http.MethodGet, "/reports/utilization/totals", nil, reporters, nil},
	{http.MethodGet, "/reports/expiring", nil, reporters, nil},
	{http.MethodGet, "/reports/at-risk", nil, reporters, nil},
	{http.MethodGet, "/reports/cancellations", nil, reporters, nil},
	{http.MethodGet, "/alerts", nil, reporters, nil},
	{http.MethodPost, "/alerts/:id/acknowledge", nil, []rbac.Role{"ADMIN", "SCHEDULER", "PRACTITIONER", "BILLER"}, nil},
}

var reporters = []rbac.Role{"ADMIN", "SCHEDULER", "PRACTITIONER", "BILLER", "AUDITOR"}

func TestEveryRoleOnEveryReport(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 4, harness.Body{"endDate": c.Clock.Now().AddDate(0, 0, 20).Format(time.DateOnly)})
	missed := c.Book(t, c.Booking(path, c.AddPractitioner(t), c.At(t, 0, "09:00"), time.Hour))
	c.Admin().Post(t, missed+"/cancel", harness.Body{}).OK(t)
	c.Admin().Post(t, path+"/reserve", harness.Body{"units": 4}).ReservationID(t)
	alert := strings.TrimPrefix(path, "/authorizations/") + ".used-100"
	called := map[string]bool{"GET /reports/visits": true} // TestAppointmentEveryRoleOnEveryCall
	for _, call := range reportCalls {
		called[call.method+" "+call.path] = true
		target := strings.Replace(call.path, ":id", alert, 1)
		for _, role := range rbac.Roles() {
			own := c.As(c.Own.Tokens[role]).Send(t, call.method, target, nil)
			other := c.As(c.Other.Tokens[role]).Send(t, call.method, target, nil)
			if !slices.Contains(call.allowed, role) {
				own.Refused(t, http.StatusForbidden, "forbidden")
				other.Refused(t, http.StatusForbidden, "forbidden")
				continue
			}
			require.Equal(t, http.StatusOK, own.Status, "%s %s: %s", role, call, own.Raw)
			if call.method == http.MethodPost {
				other.Refused(t, http.StatusNotFound, "alert-not-found")
				continue
			}
			require.NotContains(t, string(other.Raw), c.Own.Patient.String(), "%s %s", role, call)
			require.NotContains(t, string(own.Raw), `"data":[]`, "there are rows to see")
		}
		c.As("").Send(t, call.method, target, nil).Refused(t, http.StatusUnauthorized, "unauthenticated")
	}
	for _, route := range c.App.Routes() {
		if strings.HasPrefix(route.Path, "/reports/") || strings.HasPrefix(route.Path, "/alerts") {
			require.True(t, called[route.Method+" "+route.Path], "%s %s", route.Method, route.Path)
		}
	}
}

func TestReportsRefuseInvalidParameters(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	for path, field := range map[string]string{
		"/reports/utilization?format=xml":               "format",
		"/reports/utilization?sort=usedUnits":           "sort",
		"/reports/utilization?status=active":            "status[0]",
		"/reports/utilization?inForceOn=2026-02-30":     "inForceOn",
		"/reports/utilization?limit=201":                "limit",
		"/reports/utilization?limit=201&format=csv":     "limit",
		"/reports/utilization?cursor=x&format=csv":      "cursor",
		"/reports/utilization/totals?payerId=x":         "payerId",
		"/reports/expiring?withinDays=0":                "withinDays",
		"/reports/expiring?withinDays=366":              "withinDays",
		"/reports/expiring?renewed=maybe":               "renewed",
		"/reports/at-risk?risk=expired":                 "risk[0]",
		"/alerts?kind=used":                             "kind[0]",
		"/alerts?acknowledged=1":                        "acknowledged",
		"/alerts?cursor=" + strings.Repeat("A", 40):     "cursor",
		"/reports/at-risk?risk=used-80&cursor=bm90aGlu": "cursor",
	} {
		a := c.Admin().Get(t, path).Refused(t, http.StatusUnprocessableEntity, "validation-failed")
		require.Equal(t, field, a.Body["errors"].([]any)[0].(map[string]any)["field"], path)
	}
	c.Admin().Get(t, "/reports/utilization?payer=x").Refused(t, http.StatusBadRequest, "malformed-request")
	c.Admin().Get(t, "/alerts?format=csv").Refused(t, http.StatusBadRequest, "malformed-request")
}
