package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// offered are the alternatives in an answer: times as local times in New York, and
// authorizations by their paths.
func (a answer) offered(t testing.TB) (times, authorizations []string) {
	t.Helper()
	alternatives, ok := a.body["alternatives"].(map[string]any)
	require.True(t, ok, "%s", a.raw)
	for _, alternative := range alternatives["times"].([]any) {
		at, err := time.Parse(time.RFC3339, alternative.(map[string]any)["startTime"].(string))
		require.NoError(t, err)
		times = append(times, at.In(newYork(t)).Format("02 15:04"))
	}
	for _, item := range alternatives["authorizations"].([]any) {
		authorizations = append(authorizations, "/authorizations/"+item.(map[string]any)["authorizationId"].(string))
	}
	return times, authorizations
}

// TestAlternativesToAConflictingTime books a practitioner and a patient around the
// requested time.
func TestAlternativesToAConflictingTime(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 40)
	who := c.employ(t)
	c.book(t, c.booking(path, who, c.hour(t, 3, "10:00"), hour))
	c.book(t, c.booking(path, c.employ(t), c.hour(t, 3, "11:00"), hour)) // the patient, with another practitioner
	c.book(t, c.booking(path, who, c.hour(t, 3, "12:30"), hour))
	day := c.hour(t, 3, "10:00").Format("02 ")
	requested := c.booking(path, who, c.hour(t, 3, "10:30"), hour)
	refused := c.admin().post(t, "/appointments", requested).refused(t, http.StatusConflict, "practitioner-overlap")
	times, authorizations := refused.offered(t)
	// 12:00 would overlap 12:30; 09:00 is an hour and a half away, 13:30 three hours.
	require.Equal(t, []string{day + "09:00", day + "08:45", day + "08:30"}, times)
	require.Empty(t, authorizations, "another authorization does not add free time")
	preview := c.admin().post(t, "/appointments/preview", requested).ok(t)
	offered, _ := preview.offered(t)
	require.Equal(t, times, offered, "a preview has the same alternatives")

	c.admin().send(t, http.MethodPut, "/practitioners/"+who.String()+"/availability", body{
		"weekly": everyDay("10:00", "15:00"), "exceptions": []body{}, "bufferBeforeMinutes": 0, "bufferAfterMinutes": 0,
	}).ok(t)
	times, _ = c.admin().post(t, "/appointments", requested).refused(t, http.StatusConflict, "practitioner-overlap").
		offered(t)
	require.Equal(t, []string{day + "13:30", day + "13:45", day + "14:00"}, times, "within the practitioner's hours")
	for _, at := range []string{"13:30", "09:00"} {
		c.book(t, c.booking(path, who, c.hour(t, 3, at), hour)) // offered times can be booked
	}
	c.requireClean(t)
}

// TestAlternativesToANewTime moves an appointment onto another one. The moved
// appointment itself must not block alternatives.
func TestAlternativesToANewTime(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 40)
	who := c.employ(t)
	moved := c.book(t, c.booking(path, who, c.hour(t, 3, "10:00"), hour))
	c.book(t, c.booking(path, who, c.hour(t, 3, "11:00"), hour))
	change := body{
		"startTime": c.hour(t, 3, "11:15").UTC().Format(time.RFC3339),
		"endTime":   c.hour(t, 3, "12:15").UTC().Format(time.RFC3339),
	}
	times, _ := c.admin().patch(t, moved, change).refused(t, http.StatusConflict, "practitioner-overlap").offered(t)
	day := c.hour(t, 3, "10:00").Format("02 ")
	require.Equal(t, []string{day + "12:00", day + "12:15", day + "12:30"}, times)
}

// TestAlternativesToAnExhaustedAuthorization has other authorizations of the
// patient.
func TestAlternativesToAnExhaustedAuthorization(t *testing.T) {
	t.Parallel()
	c := open(t)
	full := c.authorize(t, 3)
	enough := c.authorize(t, 4)
	c.authorize(t, 2)                                                       // too few units
	c.authorize(t, 50, body{"status": "PENDING"})                           // not approved
	c.authorize(t, 50, body{"caps": []body{{"period": "DAY", "units": 1}}}) // fewer units per day
	requested := c.booking(full, c.employ(t), c.hour(t, 3, "10:00"), hour)
	refused := c.admin().post(t, "/appointments", requested).refused(t, http.StatusConflict, "insufficient-units")
	times, authorizations := refused.offered(t)
	require.Empty(t, times, "no other time adds units")
	require.Equal(t, []string{enough}, authorizations)
	requested["authorizationId"] = strings.TrimPrefix(authorizations[0], "/authorizations/")
	c.book(t, requested)
	c.requireClean(t)
}

// TestNoAlternativesForAMissingCredential checks that no alternatives are offered for a
// missing credential, which no other time can fix.
func TestNoAlternativesForAMissingCredential(t *testing.T) {
	t.Parallel()
	c := open(t)
	code := c.admin().post(t, "/service-codes",
		body{"code": "97155", "description": "Protocol modification", "requiredCredentials": []string{"BCBA"}}).created(t)
	path := c.authorize(t, 40, body{"serviceCodeId": code})
	b := c.booking(path, c.employ(t, "RBT"), c.hour(t, 3, "10:00"), hour, body{"serviceCodeId": code})
	times, authorizations := c.admin().post(t, "/appointments", b).refused(t, http.StatusConflict, "credential-missing").
		offered(t)
	require.Empty(t, times)
	require.Empty(t, authorizations)
}
