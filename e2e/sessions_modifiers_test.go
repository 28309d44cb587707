package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
)

// TestModifiersOfTheAuthorizationAreOnTheClaimLine follows the modifiers from the authorization to the file.
func TestModifiersOfTheAuthorizationAreOnTheClaimLine(t *testing.T) {
	t.Parallel()
	o := openBillingOffice(t)
	o.Admin().Patch(t, "/payers/"+o.payer.String(), harness.Body{"modifierRules": []harness.Body{
		{"modifier": "HM"}, {"modifier": "95", "placesOfService": []string{"10"}}, {"modifier": "GT"},
	}}).OK(t)
	path := o.grant(t, o.insurance, "A-7", harness.Body{"modifiers": []string{"U3", "HM"}})
	require.Equal(t, []any{"U3", "HM"}, o.Admin().Get(t, path).OK(t).Body["modifiers"])
	session := o.deliver(t, path, 2, harness.Body{"placeOfService": "10"})
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
	session := o.deliver(t, path, 2)
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
	c := harness.Open(t)
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
		AND (after->'changed')::text = '["modifiers"]' AND after->>'reason' = 'The payer''s letter.'`))
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
