package e2e

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/db/dbtest"
)

// TestClinicWeek runs a generated week of eight technicians, and compares every figure with the model.
func TestClinicWeek(t *testing.T) {
	t.Parallel()
	runClinic(t, 2, 1, 7) // with this seed, each basis of rounding gives other units
}

// TestClinicMonth runs four generated weeks of 40 technicians.
func TestClinicMonth(t *testing.T) {
	t.Parallel()
	harness.SkipUnlessLong(t)
	runClinic(t, 10, 4, 20260302)
}

// clinicSeed returns the seed of a generated clinic, unless OMNI_CLINIC_SEED sets another one.
func clinicSeed(t *testing.T, seed uint64) uint64 {
	t.Helper()
	if text := os.Getenv("OMNI_CLINIC_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("OMNI_CLINIC_SEED=%d", seed)
	return seed
}

// runClinic runs weeks from 2 March 2026 on. Daylight saving time begins on 8 March.
func runClinic(t *testing.T, teams, weeks int, seed uint64) {
	t.Helper()
	monday := time.Date(2026, time.March, 2, 0, 0, 0, 0, harness.NewYork(t))
	evening := monday.Add(-2 * time.Hour)
	database := dbtest.New(t)
	c := &harness.Clinic{
		Database: database, Clock: harness.FrozenClock(evening), Settings: []string{"OMNI_TOKEN_LIFETIME=24h"},
	}
	c.Start(t, database.Open(t))
	c.Own, c.Other = c.AddPractice(t, "own"), c.AddPractice(t, "other")
	m := openClinicMonth(t, c, monday, teams, clinicSeed(t, seed))
	for day := -1; day < 7*weeks-1; day++ {
		m.goTo(t, day)
		m.eachTeam(func(team *clinicTeam) {
			team.signIn()
			if day%7 == 6 || day < 0 {
				team.planWeek(day + 1)
			}
			team.workDay(day)
		})
		if day%7 == 5 {
			m.closeWeek(t, day)
		}
	}
	m.compare(t)
	t.Logf("%d appointments, %d claims, refusals: %v", m.count(), len(m.claims), m.refusals)
	m.RequireClean(t)
}

// goTo sets the clock to the evening of a day, and signs the administrator and the biller in.
func (m *clinicMonth) goTo(t *testing.T, day int) {
	t.Helper()
	m.Clock.SetAhead(m.weekday(day, 22*60).Sub(m.monday.Add(-2 * time.Hour)))
	for _, role := range []rbac.Role{rbac.Admin, rbac.Biller} {
		m.Own.Tokens[role] = m.SignIn(t, "own", role)
	}
}

func (m *clinicMonth) eachTeam(do func(team *clinicTeam)) {
	harness.Concurrently(len(m.teams), func(i int) { do(m.teams[i]) })
}

func (m *clinicMonth) count() (appointments int) {
	for _, team := range m.teams {
		appointments += len(team.appointments)
	}
	return appointments
}

// closeWeek exports the week, corrects exported sessions, and exports the replacements.
func (m *clinicMonth) closeWeek(t *testing.T, day int) {
	t.Helper()
	m.compare(t)
	m.export(t)
	m.eachTeam(func(team *clinicTeam) {
		for range 6 {
			for _, a := range team.today(day-1-team.random.IntN(5), "COMPLETED") {
				if a.session.exported {
					team.followUp(a)
					break
				}
			}
		}
		team.catchUp(day)
		for _, a := range team.today(day-1, "COMPLETED") {
			if a.session.exported {
				team.writeNote(a, "Another text after the export.")
				break
			}
		}
	})
	m.enterControlNumbers(t)
	m.export(t)
}

func (m *clinicMonth) biller() harness.Caller { return m.As(m.Own.Tokens[rbac.Biller]) }

// period is the query of all days.
func (m *clinicMonth) period() (from, to string) {
	return m.monday.Format(time.DateOnly), m.monday.AddDate(0, 1, 0).Format(time.DateOnly)
}

// export exports the ready lines of each payer, and compares the claims with the model.
func (m *clinicMonth) export(t *testing.T) {
	t.Helper()
	from, to := m.period()
	for _, payer := range m.payers {
		claims := m.exported(payer, m.Clock.Now())
		answer := m.biller().Post(t, "/billing/exports", harness.Body{"payerId": payer.id, "from": from, "to": to})
		if len(claims) == 0 {
			answer.Refused(t, 409, "nothing-ready")
			continue
		}
		path := "/billing/exports/" + answer.Created(t).String()
		byLine := map[string]*modelClaim{}
		for _, c := range claims {
			byLine[claimText(c)] = c
		}
		found := m.biller().Get(t, path+"/claims").OK(t).Body["data"].([]any)
		require.Len(t, found, len(claims))
		for _, each := range found {
			claim := each.(map[string]any)
			var lines []string
			for _, l := range claim["lines"].([]any) {
				line := l.(map[string]any)
				lines = append(lines, fmt.Sprintf("%s %v %v %v", line["sessionId"], line["sessionVersion"],
					line["patientId"], line["units"]))
			}
			slices.Sort(lines)
			c := byLine[fmt.Sprintf("%s %s %s", claim["authNumber"], claim["frequency"], lines)]
			require.NotNil(t, c, "the model has no claim %v", claim)
			c.id = claim["id"].(string)
		}
	}
}

// claimText names a claim by its number, frequency and lines.
func claimText(c *modelClaim) string {
	var lines []string
	for _, l := range c.lines {
		lines = append(lines, fmt.Sprintf("%s %d %s %d", l.session.id, l.version, l.patient, l.units))
	}
	slices.Sort(lines)
	return fmt.Sprintf("%s %s %s", c.lines[0].authorization.number, c.frequency, lines)
}

// enterControlNumbers enters the payer's numbers of most claims that must be replaced.
func (m *clinicMonth) enterControlNumbers(t *testing.T) {
	t.Helper()
	for i, c := range m.claims {
		if c.replaced || !c.isStale() || c.numbered || i%4 == 3 {
			continue
		}
		c.numbered = true
		m.biller().Put(t, "/billing/claims/"+c.id+"/control-number",
			harness.Body{"controlNumber": "ICN" + strconv.Itoa(i)}).OK(t)
	}
}

// compare compares sessions, worklist, balances, claim lines and reconciliation with the model.
func (m *clinicMonth) compare(t *testing.T) {
	t.Helper()
	m.compareSessions(t)
	m.compareConflicts(t)
	m.compareUtilization(t)
	m.compareLines(t)
	m.compareReconciliation(t)
}

// requireSame compares texts in any order, and reports only the differences.
func requireSame(t *testing.T, want, got []string, what string) {
	t.Helper()
	count := map[string]int{}
	for _, text := range want {
		count[text]++
	}
	for _, text := range got {
		count[text]--
	}
	var differences []string
	for text, n := range count {
		if n > 0 {
			differences = append(differences, text+"\n    is expected by the model")
		} else if n < 0 {
			differences = append(differences, text+"\n    is reported by the program")
		}
	}
	slices.Sort(differences)
	if len(differences) > 0 {
		t.Fatalf("%d of %d %s differ:\n%s", len(differences), len(want), what,
			strings.Join(differences[:min(20, len(differences))], "\n"))
	}
}

// compareSessions compares the present version of every session.
func (m *clinicMonth) compareSessions(t *testing.T) {
	t.Helper()
	var want, got []string
	for _, team := range m.teams {
		for _, a := range team.appointments {
			if s := a.session; s != nil {
				want = append(want, fmt.Sprintf("%s %s v%d %s %s to %s by %v, accepted %t, conflicts %v: %s", s.id, a.day(),
					s.version, s.change, instant(s.start), instant(s.end), a.staff, s.accepted,
					team.conflicts(a, m.Clock.Now()), a.describe()))
			}
		}
		for _, s := range team.voided {
			want = append(want, fmt.Sprintf("%s v%d VOIDED", s.id, s.version))
		}
	}
	from, to := m.period()
	for _, s := range m.Admin().All(t, "/sessions?limit=200&from="+from+"&to="+to, nil) {
		if s["change"] == "VOIDED" {
			got = append(got, fmt.Sprintf("%s v%v VOIDED", s["id"], s["version"]))
			continue
		}
		var parts []string
		for _, each := range s["patients"].([]any) {
			p := each.(map[string]any)
			text := fmt.Sprintf("%s on %s absent", p["patientId"], p["authorizationId"])
			if p["attended"] == true {
				text = fmt.Sprintf("%s on %s %v minutes %s to %s", p["patientId"], p["authorizationId"], p["minutes"],
					p["startTime"], p["endTime"])
			}
			parts = append(parts, fmt.Sprintf("%s %v units, %v unauthorized", text, p["units"], p["unauthorizedUnits"]))
		}
		got = append(got, fmt.Sprintf("%s %s v%v %s %s to %s by %v, accepted %t, conflicts %v: %s", s["id"], s["serviceDate"],
			s["version"], s["change"], s["startTime"], s["endTime"], s["practitionerIds"], s["overlapReason"] != nil,
			listOf(s["conflicts"]), strings.Join(parts, "; ")))
	}
	requireSame(t, want, got, "sessions")
}

// listOf returns a list that may be missing.
func listOf(value any) []any {
	list, _ := value.([]any)
	return list
}

// describe returns the parts of a session as the comparison shows them.
func (a *modelAppointment) describe() string {
	var parts []string
	for _, p := range a.parts {
		text := fmt.Sprintf("%s on %s absent", p.patient, p.authorization.id)
		if !p.absent {
			start, end := a.span(p)
			text = fmt.Sprintf("%s on %s %d minutes %s to %s", p.patient, p.authorization.id, a.minutes(p),
				instant(start), instant(end))
		}
		parts = append(parts, fmt.Sprintf("%s %d units, %d unauthorized", text, p.units, p.units-p.covered))
	}
	return strings.Join(parts, "; ")
}

// compareConflicts compares the numbers of sessions that cannot be billed.
func (m *clinicMonth) compareConflicts(t *testing.T) {
	t.Helper()
	counts, oldest := map[string]int{}, map[string]string{}
	for _, team := range m.teams {
		for _, a := range team.appointments {
			if a.session == nil {
				continue
			}
			for _, kind := range team.conflicts(a, m.Clock.Now()) {
				key := kind + " of " + a.staff[0]
				counts[key]++
				if oldest[key] == "" || a.day() < oldest[key] {
					oldest[key] = a.day()
				}
			}
		}
	}
	var want, got []string
	for key, n := range counts {
		want = append(want, fmt.Sprintf("%s: %d since %s", key, n, oldest[key]))
	}
	from, to := m.period()
	// A month passes in two minutes, before autovacuum has counted the rows.
	m.ExecAsOwner(t, "ANALYZE")
	found := m.Admin().Get(t, "/sessions/conflicts?from="+from+"&to="+to).OK(t)
	for _, each := range found.Body["conflicts"].([]any) {
		c := each.(map[string]any)
		got = append(got, fmt.Sprintf("%s of %s: %v since %s", c["kind"], c["practitionerId"], c["sessions"], c["oldest"]))
	}
	requireSame(t, want, got, "numbers of conflicts")
}

// compareUtilization compares every row of the report. Percentages are cut after one decimal, rates
// are rounded half up.
func (m *clinicMonth) compareUtilization(t *testing.T) {
	t.Helper()
	var want, got []string
	rates := []string{"usedPercent", "bookedPercent", "elapsedPercent", "pacePercent", "averageUnitsPerWeek"}
	today := m.Clock.Now().In(m.monday.Location())
	for _, team := range m.teams {
		for _, a := range team.authorizations {
			used, scheduled := team.balance(a)
			elapsed, days := daysFrom(a.start, today.Format(time.DateOnly)), daysFrom(a.start, a.end)
			status := "ACTIVE"
			if used+scheduled == a.total {
				status = "EXHAUSTED"
			}
			row := []string{
				a.id, status, strconv.Itoa(a.total), strconv.Itoa(used), strconv.Itoa(scheduled),
				strconv.Itoa(a.total - used - scheduled),
				tenths(1000*used, a.total), tenths(1000*(used+scheduled), a.total), tenths(1000*elapsed, days),
				tenths(1000*used*days, a.total*elapsed), tenths(2*10*7*used+elapsed, 2*elapsed),
			}
			want = append(want, strings.Join(row, " "))
		}
	}
	for _, r := range m.Admin().All(t, "/reports/utilization?limit=200", nil) {
		row := []string{r["authorizationId"].(string), r["status"].(string)}
		for _, name := range []string{"totalUnits", "usedUnits", "scheduledUnits", "availableUnits"} {
			row = append(row, fmt.Sprint(r[name]))
		}
		for _, name := range rates {
			row = append(row, fmt.Sprintf("%.1f", r[name]))
		}
		got = append(got, strings.Join(row, " "))
	}
	requireSame(t, want, got, "rows of utilization")
}

// daysFrom counts the days from a date to another one, both included.
func daysFrom(from, to string) int {
	first, _ := time.Parse(time.DateOnly, from)
	last, _ := time.Parse(time.DateOnly, to)
	return int(last.Sub(first)/(24*time.Hour)) + 1
}

// tenths returns a quotient of tenths, cut.
func tenths(n, by int) string {
	return fmt.Sprintf("%d.%d", n/by/10, n/by%10)
}

// compareLines compares every claim line.
func (m *clinicMonth) compareLines(t *testing.T) {
	t.Helper()
	var want, got []string
	for _, l := range m.lines(m.Clock.Now()) {
		want = append(want, l.String())
	}
	from, to := m.period()
	for _, l := range m.biller().All(t, "/billing/lines?limit=200&from="+from+"&to="+to, nil) {
		got = append(got, fmt.Sprintf("%s session %s v%v patient %s authorization %s by %s: %v units, %v minutes, "+
			"%v cents, frequency %s, %s [%s]", l["serviceDate"], l["sessionId"], l["sessionVersion"], l["patientId"],
			l["authNumber"], l["renderingPractitionerId"], l["units"], l["minutes"], l["chargeCents"], l["frequency"],
			l["state"],
			strings.Join(reasonsOf(l), " ")))
	}
	requireSame(t, want, got, "claim lines")
}

// compareReconciliation compares the consumed units and the lines that have them.
func (m *clinicMonth) compareReconciliation(t *testing.T) {
	t.Helper()
	units := map[*modelAuthorization]map[string]int{}
	for _, team := range m.teams {
		for _, a := range team.authorizations {
			used, _ := team.balance(a)
			units[a] = map[string]int{"consumed": used}
		}
	}
	for _, l := range m.lines(m.Clock.Now()) {
		if l.frequency != "8" {
			units[l.authorization][l.state] += l.covered
		}
	}
	var want, got []string
	for a, sums := range units {
		if len(sums) == 1 && sums["consumed"] == 0 {
			continue
		}
		want = append(want, fmt.Sprintf("%s: %d consumed, %d exported, %d ready, %d waiting, 0 without a session", a.id,
			sums["consumed"], sums["EXPORTED"], sums["READY"], sums["BLOCKED"]))
	}
	from, to := m.period()
	found := m.biller().Get(t, "/billing/reconciliation?from="+from+"&to="+to).OK(t)
	require.Equal(t, true, found.Body["agrees"])
	for _, each := range found.Body["authorizations"].([]any) {
		r := each.(map[string]any)
		got = append(got, fmt.Sprintf("%s: %v consumed, %v exported, %v ready, %v waiting, %v without a session",
			r["authorizationId"], r["consumedUnits"], r["exportedUnits"], r["readyUnits"], r["waitingUnits"],
			r["unitsWithoutSession"]))
	}
	requireSame(t, want, got, "reconciled authorizations")
}
