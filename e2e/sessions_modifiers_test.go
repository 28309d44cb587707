package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
)

// deliverNow completes a session of an hour that has just ended, and returns its path.
func (o billingOffice) deliverNow(t testing.TB, authorization string, changes ...harness.Body) string {
	t.Helper()
	booked := o.Book(t, o.Booking(authorization, o.technician, o.Ago(2*time.Hour), time.Hour, changes...))
	return "/sessions/" + completed(t, o.Clinic, booked)
}

// TestModifiersOfTheAuthorizationAreOnTheClaimLine follows the modifiers from the authorization to the file.
func TestModifiersOfTheAuthorizationAreOnTheClaimLine(t *testing.T) {
	t.Parallel()
	o := openBillingOffice(t)
	o.Admin().Patch(t, "/payers/"+o.payer.String(), harness.Body{"modifierRules": []harness.Body{
		{"modifier": "HM"}, {"modifier": "95", "placesOfService": []string{"10"}}, {"modifier": "GT"},
	}}).OK(t)
	path := o.grant(t, o.insurance, "A-7", harness.Body{"modifiers": []string{"U3", "HM"}})
	require.Equal(t, []any{"U3", "HM"}, o.Admin().Get(t, path).OK(t).Body["modifiers"])
	session := o.deliverNow(t, path, harness.Body{"placeOfService": "10"})
	require.Equal(t, []any{"U3", "HM", "95", "GT"}, modifiersOf(o.Admin().Get(t, session).OK(t)),
		"the authorization's, then those by the payer's rules, each once")

	lines := o.lines(t, "")
	require.Len(t, lines, 1)
	require.Equal(t, []any{"U3", "HM", "95", "GT"}, lines[0]["modifiers"])
	export := o.export(t).Created(t)
	require.Contains(t, downloaded(t, o, "/billing/exports/"+export.String()+"/x12"), "SV1*HC:97153:U3:HM:95:GT*")
}

func TestClaimLineHasAtMostFourModifiers(t *testing.T) {
	t.Parallel()
	o := openBillingOffice(t)
	o.Admin().Patch(t, "/payers/"+o.payer.String(), harness.Body{"modifierRules": []harness.Body{
		{"modifier": "HM"}, {"modifier": "95"},
	}}).OK(t)
	path := o.grant(t, o.insurance, "A-7", harness.Body{"modifiers": []string{"U1", "U2", "U3"}})
	session := o.deliverNow(t, path)
	require.Equal(t, []any{"U1", "U2", "U3", "HM"}, modifiersOf(o.Admin().Get(t, session).OK(t)))
	corrected := o.Admin().Post(t, session+"/correct", harness.Body{
		"givenModifiers": []string{"U1", "95"}, "reason": "The payer wants telehealth.",
	}).OK(t)
	require.Equal(t, []any{"U1", "95"}, modifiersOf(harness.Answer{Body: corrected.Body["session"].(map[string]any)}))
}

// TestChangedModifiersOfAnAuthorizationApplyFromThenOn changes them between booking, completion and
// correction.
func TestChangedModifiersOfAnAuthorizationApplyFromThenOn(t *testing.T) {
	t.Parallel()
	c := harness.OpenInTheAfternoon(t)
	path := c.Authorize(t, 20, harness.Body{"modifiers": []string{"U1"}})
	booked := c.Book(t, c.Booking(path, c.AddPractitioner(t), c.Ago(2*time.Hour), time.Hour))
	change := func(modifiers any) harness.Answer {
		return c.Admin().Patch(t, path, harness.Body{"modifiers": modifiers, "reason": "The payer's letter."}).OK(t)
	}
	require.Equal(t, []any{"HO", "U2"}, change([]string{"HO", "U2"}).Body["modifiers"])
	require.Equal(t, []any{"U1"}, modifiersOf(c.Admin().Get(t, booked).OK(t)), "a booking keeps its modifiers")
	session := "/sessions/" + completed(t, c, booked)
	require.Equal(t, []any{"HO", "U2"}, modifiersOf(c.Admin().Get(t, session).OK(t)))
	require.Equal(t, []any{}, change(nil).Body["modifiers"])
	require.Equal(t, []any{"HO", "U2"}, modifiersOf(c.Admin().Get(t, session).OK(t)), "so does a session")
	c.Admin().Post(t, session+"/correct", harness.Body{"reason": "The payer's letter."}).OK(t)
	require.Equal(t, []any{}, modifiersOf(c.Admin().Get(t, session).OK(t)))
	require.Equal(t, 2, c.Count(t, `SELECT count(*) FROM audit_events WHERE action = 'authorization.change'
		AND (after::json -> 'changed')::text = '["modifiers"]' AND after::json ->> 'reason' = 'The payer''s letter.'`))
	c.RequireClean(t)
}

func TestMovedBookingsGetTheModifiersOfTheRenewal(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	from := c.Authorize(t, 20, harness.Body{"modifiers": []string{"U1"}})
	to := c.Authorize(t, 20, harness.Body{"modifiers": []string{"U2"}})
	booked := c.Book(t, c.Booking(from, c.AddPractitioner(t), c.At(t, 2, "10:00"), time.Hour))
	c.Admin().Post(t, from+"/move-bookings", harness.Body{"toAuthorizationId": harness.IDOf(to)}).OK(t)
	require.Equal(t, []any{"U2"}, modifiersOf(c.Admin().Get(t, booked).OK(t)))
}

func TestInvalidModifiersOfAnAuthorizationAreRefused(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 20)
	for _, modifiers := range [][]string{
		{"u1"}, {"U"}, {"U11"}, {"U-"}, {"U 1"}, {"U1", "U1"}, {"U1", "U2", "U3", "U4", "U5"},
	} {
		c.Admin().Patch(t, path, harness.Body{"modifiers": modifiers}).
			Refused(t, http.StatusUnprocessableEntity, "validation-failed")
		c.Admin().Post(t, "/authorizations", harness.Body{
			"patientId": c.Own.Patient, "serviceCodeId": c.Own.ServiceCode, "totalUnits": 1, "modifiers": modifiers,
			"startDate": c.Date(t, 0), "endDate": c.Date(t, 1),
		}).Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	}
	require.Equal(t, []any{}, c.Admin().Get(t, path).OK(t).Body["modifiers"])
}

// TestModifierRuleOfTheServiceDateCounts completes an older session after new rules began.
func TestModifierRuleOfTheServiceDateCounts(t *testing.T) {
	t.Parallel()
	c := harness.OpenInTheAfternoon(t)
	payer := "/payers/" + c.Admin().Post(t, "/payers", harness.Body{
		"name": "Plan", "modifierRules": []harness.Body{{"modifier": "HM"}},
	}).Created(t).String()
	insurance := c.Admin().Post(t, "/insurances", harness.Body{
		"patientId": c.Own.Patient, "payerId": harness.IDOf(payer), "memberNumber": "M-1", "startsOn": "2020-01-01",
	}).Created(t)
	path, who := c.Authorize(t, 20, harness.Body{"insuranceId": insurance}), c.AddPractitioner(t)
	before := c.Book(t, c.Booking(path, who, c.At(t, -1, "10:00"), time.Hour))
	today := c.Book(t, c.Booking(path, who, c.Ago(2*time.Hour), time.Hour))
	rules := func(modifier string) []harness.Body { return []harness.Body{{"modifier": modifier}} }
	c.Admin().Patch(t, payer, harness.Body{"modifierRules": rules("HO")}).OK(t)
	changed := c.Admin().Patch(t, payer, harness.Body{
		"modifierRules": rules("HN"), "modifierRulesFrom": c.Date(t, 2),
	}).OK(t)
	require.Equal(t, []any{"HO"}, columnOf(changed.Body["modifierRules"], "modifier"), "the rules of today")
	require.Equal(t, []any{"0001-01-01", c.Date(t, 0), c.Date(t, 2)},
		columnOf(changed.Body["modifierRuleSets"], "startsOn"))
	require.Equal(t, changed.Body, c.Admin().Get(t, payer).OK(t).Body)
	require.Equal(t, []any{"HM"}, modifiersOf(c.Admin().Get(t, today).OK(t)), "booked before the change")

	session := "/sessions/" + completed(t, c, before)
	require.Equal(t, []any{"HM"}, modifiersOf(c.Admin().Get(t, session).OK(t)), "by the rules of the day before")
	c.Admin().Post(t, session+"/correct", harness.Body{"placeOfService": "12", "reason": "At home."}).OK(t)
	require.Equal(t, []any{"HM"}, modifiersOf(c.Admin().Get(t, session).OK(t)))
	session = "/sessions/" + completed(t, c, today)
	require.Equal(t, []any{"HO"}, modifiersOf(c.Admin().Get(t, session).OK(t)))
	for day, want := range map[int]string{1: "HO", 2: "HN"} {
		next := c.Book(t, c.Booking(path, who, c.At(t, day, "10:00"), time.Hour))
		require.Equal(t, []any{want}, modifiersOf(c.Admin().Get(t, next).OK(t)), "in %d days", day)
	}
	c.RequireClean(t)
}

func TestModifierRulesThatHaveBegunStay(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	payer := "/payers/" + c.Admin().Post(t, "/payers", harness.Body{"name": "Plan"}).Created(t).String()
	set := func(modifier string, from int) harness.Answer {
		return c.Admin().Patch(t, payer, harness.Body{
			"modifierRules": []harness.Body{{"modifier": modifier}}, "modifierRulesFrom": c.Date(t, from),
		})
	}
	refused := func(a harness.Answer, code string) {
		t.Helper()
		a.Refused(t, http.StatusUnprocessableEntity, "validation-failed")
		require.Contains(t, string(a.Raw), code)
	}
	refused(set("HM", -1), `"min"`)
	refused(c.Admin().Patch(t, payer, harness.Body{"modifierRulesFrom": c.Date(t, 1)}), `"required_with"`)
	set("HM", 0).OK(t)
	set("HM", 0).OK(t) // again
	refused(set("HN", 0), `"unique"`)
	set("HN", 5).OK(t)
	planned := set("HO", 5).OK(t)
	require.Equal(t, []any{"0001-01-01", c.Date(t, 0), c.Date(t, 5)},
		columnOf(planned.Body["modifierRuleSets"], "startsOn"), "a planned set is replaced")
	version := planned.Number(t, "version")
	require.Equal(t, version, set("HO", 6).OK(t).Number(t, "version"), "the same rules are in force then")
}

// columnOf returns the values of a member in a list of objects.
func columnOf(list any, member string) []any {
	values := []any{}
	for _, each := range list.([]any) {
		values = append(values, each.(map[string]any)[member])
	}
	return values
}
