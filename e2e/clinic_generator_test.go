package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
)

// clinicMonth is a generated clinic with the model of what it does. Its teams share no patients and no
// practitioners, so each team's requests can be predicted while the teams work at the same time.
type clinicMonth struct {
	*harness.Clinic
	monday   time.Time // the first day
	payers   [2]*modelPayer
	services map[string]uuid.UUID
	teams    []*clinicTeam
	claims   []*modelClaim
	refusals map[string]int // predicted and received, by code
	counting sync.Mutex
}

// clinicTeam is four technicians and an analyst with their patients.
type clinicTeam struct {
	*clinicMonth
	modelBook
	t           testing.TB
	random      *rand.Rand
	technicians []clinicPerson
	analyst     clinicPerson
	patients    []clinicPatient
	keys        int // used idempotency keys
	name        string
}

// clinicPerson is a practitioner who has a user.
type clinicPerson struct {
	id, email string
	caller    harness.Caller
}

// clinicPatient is a patient with authorizations for each service. The payer of other differs.
type clinicPatient struct {
	id     string
	grants map[string]*modelAuthorization
	other  *modelAuthorization
	scarce bool // the units of the direct treatment run out
}

// openClinicMonth creates the clinic with teams. Its clock shows the evening before the first day.
func openClinicMonth(t *testing.T, c *harness.Clinic, monday time.Time, teams int, seed uint64) *clinicMonth {
	t.Helper()
	m := &clinicMonth{Clinic: c, monday: monday, refusals: map[string]int{}, services: map[string]uuid.UUID{
		"97153": c.Own.ServiceCode, "97154": addService(t, c, "97154"), "97155": addService(t, c, "97155", "BCBA"),
	}}
	admin := c.Admin()
	for code, rule := range modelNotes {
		note := harness.Body{"minLength": rule.minLength, "signers": rule.signers}
		if rule.due > 0 {
			note["dueHours"] = int(rule.due / time.Hour)
		}
		admin.Patch(t, "/service-codes/"+m.services[code].String(), harness.Body{"note": note}).OK(t)
	}
	admin.Put(t, "/service-pairs", harness.Body{"pairs": []harness.Body{{"code": "97153", "otherCode": "97155"}}})
	admin.Put(t, "/billing-identity", billingIdentity()).OK(t)
	m.addPayers(t)
	for i := range teams {
		m.addTeam(t, i, seed)
	}
	return m
}

// addPayers creates a payer that rounds visits, and one whose rule changes on the first Thursday.
func (m *clinicMonth) addPayers(t *testing.T) {
	t.Helper()
	thursday := m.monday.AddDate(0, 0, 3).Format(time.DateOnly)
	m.payers = [2]*modelPayer{
		{cents: 1575, rules: []modelRule{{"", "CMS_TOTAL", "VISIT"}}},
		{cents: 1410, rules: []modelRule{{"", "CEIL", "SESSION"}, {thursday, "MIDPOINT", "DAY_AND_PRACTITIONER"}}},
	}
	for i, p := range m.payers {
		p.id = m.Admin().Post(t, "/payers", harness.Body{
			"name": fmt.Sprintf("Payer %d", i), "payerCode": fmt.Sprintf("6005%d", i), "claimFilingCode": "CI",
			"rounding": p.rules[0].method, "roundingBasis": p.rules[0].basis,
		}).Created(t).String()
		for _, rule := range p.rules[1:] {
			m.Admin().Patch(t, "/payers/"+p.id, harness.Body{
				"rounding": rule.method, "roundingBasis": rule.basis, "roundingFrom": rule.from,
			}).OK(t)
		}
		for _, code := range []string{"97153", "97154", "97155"} {
			m.Admin().Post(t, "/rates", harness.Body{
				"payerId": p.id, "serviceCodeId": m.services[code], "startsOn": "2020-01-01", "centsPerUnit": p.cents,
			}).Created(t)
		}
	}
}

// npiOf returns a National Provider Identifier with its check digit (45 CFR 162.406: the algorithm of
// Luhn over the prefix 80840 and ten digits).
func npiOf(n int) string {
	digits := fmt.Sprintf("1%08d", n)
	sum := 24 // of the prefix
	for i, digit := range digits {
		d := int(digit - '0')
		if i%2 == 0 {
			d *= 2
		}
		sum += d/10 + d%10
	}
	return fmt.Sprintf("%s%d", digits, (10-sum%10)%10)
}

func (m *clinicMonth) addPerson(t *testing.T, name, credential, taxonomy string, role rbac.Role, n int) clinicPerson {
	t.Helper()
	p := clinicPerson{
		id:    m.AddPractitioner(t, harness.Body{"code": credential}).String(),
		email: name + "@clinic.test",
	}
	m.Admin().Patch(t, "/practitioners/"+p.id, harness.Body{"npi": npiOf(n), "taxonomyCode": taxonomy}).OK(t)
	m.Admin().Patch(t, m.AddUser(t, m.Own, p.email, role), harness.Body{"practitionerId": p.id}).OK(t)
	return p
}

func (m *clinicMonth) addTeam(t *testing.T, index int, seed uint64) {
	t.Helper()
	team := &clinicTeam{clinicMonth: m, t: t, name: fmt.Sprintf("team-%d", index)}
	team.random = rand.New(rand.NewPCG(seed, uint64(index)))
	for i := range 4 {
		team.technicians = append(team.technicians, m.addPerson(t, fmt.Sprintf("%s-technician-%d", team.name, i),
			"RBT", "106S00000X", rbac.Technician, 10*index+i))
	}
	team.analyst = m.addPerson(t, team.name+"-analyst", "BCBA", "103K00000X", rbac.Practitioner, 10*index+4)
	for i := range 6 {
		team.addPatient(t, i)
	}
	m.teams = append(m.teams, team)
}

func (team *clinicTeam) addPatient(t *testing.T, i int) {
	t.Helper()
	p := clinicPatient{id: team.AddPatient(t), grants: map[string]*modelAuthorization{}, scarce: i == 2 || i == 3}
	admin := team.Admin()
	admin.Patch(t, "/patients/"+p.id, harness.Body{"sex": "FEMALE", "address": homeAddress}).OK(t)
	admin.Post(t, "/diagnoses", harness.Body{"patientId": p.id, "code": "F84.0", "startsOn": "2020-01-01"}).Created(t)
	for _, person := range append(slices.Clone(team.technicians), team.analyst) {
		admin.Post(t, "/practitioners/"+person.id+"/caseload", harness.Body{"patientId": p.id}).OK(t)
	}
	insured := map[*modelPayer]string{}
	payer, second := team.payers[i%2], team.payers[(i+1)%2]
	for _, of := range []*modelPayer{payer, second} {
		insured[of] = admin.Post(t, "/insurances", harness.Body{
			"patientId": p.id, "payerId": of.id, "memberNumber": "M-1", "startsOn": "2020-01-01", "relationship": "SELF",
		}).Created(t).String()
	}
	grant := func(code string, payer *modelPayer) *modelAuthorization {
		a := &modelAuthorization{
			patient: p.id, code: code, payer: payer, insurance: insured[payer], total: 3000,
			number: fmt.Sprintf("%s-%d-%s-%s", strings.ToUpper(team.name), i, code, payer.rules[0].method),
			start:  team.monday.Format(time.DateOnly), end: team.monday.AddDate(0, 2, 0).Format(time.DateOnly),
		}
		a.id = admin.Post(t, "/authorizations", harness.Body{
			"patientId": p.id, "serviceCodeId": team.services[code], "insuranceId": a.insurance, "authNumber": a.number,
			"totalUnits": a.total, "startDate": a.start, "endDate": a.end,
		}).Created(t).String()
		team.authorizations = append(team.authorizations, a)
		return a
	}
	for _, code := range []string{"97153", "97154", "97155"} {
		p.grants[code] = grant(code, payer)
	}
	if i >= 4 {
		p.other = grant("97153", second)
	}
	team.patients = append(team.patients, p)
}

// signIn gives the users of the team new tokens.
func (team *clinicTeam) signIn() {
	for i := range team.technicians {
		team.technicians[i].caller = team.SignInByEmail(team.t, team.technicians[i].email)
	}
	team.analyst.caller = team.SignInByEmail(team.t, team.analyst.email)
}

func (team *clinicTeam) person(id string) clinicPerson {
	for _, p := range team.technicians {
		if p.id == id {
			return p
		}
	}
	return team.analyst
}

// chance reports an event with a probability in percent.
func (team *clinicTeam) chance(percent int) bool { return team.random.IntN(100) < percent }

func choose[T any](team *clinicTeam, of ...T) T { return of[team.random.IntN(len(of))] }

// post sends a request, sometimes twice with the same key, and checks the predicted outcome: success,
// or a refusal with exactly these reasons.
func (team *clinicTeam) post(by harness.Caller, path string, b harness.Body, reasons ...string) harness.Answer {
	team.t.Helper()
	if team.chance(5) {
		team.keys++
		by = by.WithHeader("Idempotency-Key", fmt.Sprintf("%s-%d", team.name, team.keys))
		first := team.send(by, http.MethodPost, path, b)
		defer func() {
			again := team.send(by, http.MethodPost, path, b)
			require.True(team.t, first.Status >= 300 || again.Header.Get("Idempotency-Replayed") == "true", "%s", again.Raw)
			require.Equal(team.t, []any{first.Status, first.Body["code"], first.Body["id"]},
				[]any{again.Status, again.Body["code"], again.Body["id"]}, "a repetition has the same outcome")
		}()
		return team.check(first, path, b, reasons)
	}
	return team.check(team.send(by, http.MethodPost, path, b), path, b, reasons)
}

// send sends a request. Like any client, it repeats a request that lost to others.
func (team *clinicTeam) send(by harness.Caller, method, path string, b harness.Body) (a harness.Answer) {
	team.t.Helper()
	for range 10 {
		if a = by.Send(team.t, method, path, b); a.Text("code") != "contention" {
			break
		}
		team.count("contention")
	}
	return a
}

func (team *clinicTeam) count(code string) {
	team.counting.Lock()
	defer team.counting.Unlock()
	team.refusals[code]++
}

func (team *clinicTeam) check(a harness.Answer, path string, b harness.Body, reasons []string) harness.Answer {
	team.t.Helper()
	if len(reasons) == 0 {
		require.Less(team.t, a.Status, 300, "%s %v: %s", path, b, a.Raw)
		return a
	}
	require.Contains(team.t, reasons, a.Text("code"), "%s %v: %s", path, b, a.Raw)
	if a.Body["reasons"] != nil {
		require.ElementsMatch(team.t, compacted(reasons), compacted(a.Reasons(team.t)), "%s %v: %s", path, b, a.Raw)
	}
	team.count(a.Text("code"))
	return a
}

func compacted(texts []string) []string { return slices.Compact(slices.Sorted(slices.Values(texts))) }
