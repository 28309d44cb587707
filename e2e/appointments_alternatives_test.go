package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
)

// offeredAlternatives are the alternatives in an answer: times as local times in New York, and
// authorizations by their paths.
func offeredAlternatives(t testing.TB, a harness.Answer) (times, authorizations []string) {
	t.Helper()
	alternatives, ok := a.Body["alternatives"].(map[string]any)
	require.True(t, ok, "%s", a.Raw)
	for _, alternative := range alternatives["times"].([]any) {
		at, err := time.Parse(time.RFC3339, alternative.(map[string]any)["startTime"].(string))
		require.NoError(t, err)
		require.NotContains(t, alternative.(map[string]any)["practitioners"], "")
		require.NotEmpty(t, alternative.(map[string]any)["practitioners"])
		times = append(times, at.In(harness.NewYork(t)).Format("02 15:04"))
	}
	for _, item := range alternatives["authorizations"].([]any) {
		require.Contains(t, item, "authNumber")
		require.NotZero(t, item.(map[string]any)["availableUnits"])
		authorizations = append(authorizations, "/authorizations/"+item.(map[string]any)["authorizationId"].(string))
	}
	return times, authorizations
}

// TestAlternativesToAConflictingTime books a practitioner and a patient around the
// requested time.
func TestAlternativesToAConflictingTime(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 40)
	practitioner := c.AddPractitioner(t)
	c.Book(t, c.Booking(path, practitioner, c.At(t, 3, "10:00"), time.Hour))
	another := c.AddPractitioner(t) // of the same patient
	c.Book(t, c.Booking(path, another, c.At(t, 3, "11:00"), time.Hour))
	c.Book(t, c.Booking(path, practitioner, c.At(t, 3, "12:30"), time.Hour))
	day := c.At(t, 3, "10:00").Format("02 ")
	requested := c.Booking(path, practitioner, c.At(t, 3, "10:30"), time.Hour)
	refused := c.Admin().Post(t, "/appointments", requested).Refused(t, http.StatusConflict, "practitioner-overlap")
	times, authorizations := offeredAlternatives(t, refused)
	// 12:00 would overlap 12:30; 09:00 is an hour and a half away, 13:30 three hours.
	require.Equal(t, []string{day + "09:00", day + "08:45", day + "08:30"}, times)
	require.Empty(t, authorizations, "another authorization does not add free time")
	preview := c.Admin().Post(t, "/appointments/preview", requested).OK(t)
	offered, _ := offeredAlternatives(t, preview)
	require.Equal(t, times, offered, "a preview has the same alternatives")

	c.Admin().Send(t, http.MethodPut, "/practitioners/"+practitioner.String()+"/availability", harness.Body{
		"weekly": everyDay("10:00", "15:00"), "exceptions": []harness.Body{},
		"bufferBeforeMinutes": 0, "bufferAfterMinutes": 0,
	}).OK(t)
	times, _ = offeredAlternatives(t, c.Admin().Post(t, "/appointments", requested).
		Refused(t, http.StatusConflict, "practitioner-overlap"))
	require.Equal(t, []string{day + "13:30", day + "13:45", day + "14:00"}, times, "within the practitioner's hours")
	for _, at := range []string{"13:30", "09:00"} {
		c.Book(t, c.Booking(path, practitioner, c.At(t, 3, at), time.Hour)) // offered times can be booked
	}
	c.RequireClean(t)
}

// TestAlternativesToANewTime moves an appointment onto another one. The moved
// appointment itself must not block alternatives.
func TestAlternativesToANewTime(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 40)
	practitioner := c.AddPractitioner(t)
	moved := c.Book(t, c.Booking(path, practitioner, c.At(t, 3, "10:00"), time.Hour))
	c.Book(t, c.Booking(path, practitioner, c.At(t, 3, "11:00"), time.Hour))
	change := harness.Body{
		"startTime": c.At(t, 3, "11:15").UTC().Format(time.RFC3339),
		"endTime":   c.At(t, 3, "12:15").UTC().Format(time.RFC3339),
	}
	times, _ := offeredAlternatives(t, c.Admin().Patch(t, moved, change).
		Refused(t, http.StatusConflict, "practitioner-overlap"))
	day := c.At(t, 3, "10:00").Format("02 ")
	require.Equal(t, []string{day + "12:00", day + "12:15", day + "12:30"}, times)
}

// TestAlternativesToAnExhaustedAuthorization has other authorizations of the
// patient.
func TestAlternativesToAnExhaustedAuthorization(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	full := c.Authorize(t, 3)
	enough := c.Authorize(t, 4)
	c.Authorize(t, 2)                                                                       // too few units
	c.Authorize(t, 50, harness.Body{"status": "PENDING"})                                   // not approved
	c.Authorize(t, 50, harness.Body{"caps": []harness.Body{{"period": "DAY", "units": 1}}}) // fewer units per day
	requested := c.Booking(full, c.AddPractitioner(t), c.At(t, 3, "10:00"), time.Hour)
	refused := c.Admin().Post(t, "/appointments", requested).Refused(t, http.StatusConflict, "insufficient-units")
	times, authorizations := offeredAlternatives(t, refused)
	require.Empty(t, times, "no other time adds units")
	require.Equal(t, []string{enough}, authorizations)
	requested["authorizationId"] = strings.TrimPrefix(authorizations[0], "/authorizations/")
	c.Book(t, requested)
	c.RequireClean(t)
}

// TestNoAlternativesForAMissingCredential checks that no alternatives are offered for a
// missing credential, which no other time can fix.
func TestNoAlternativesForAMissingCredential(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	code := c.Admin().Post(t, "/service-codes",
		harness.Body{"code": "97155", "description": "Protocol modification", "requiredCredentials": []string{"BCBA"}}).
		Created(t)
	path := c.Authorize(t, 40, harness.Body{"serviceCodeId": code})
	b := c.Booking(path, c.AddPractitioner(t, "RBT"), c.At(t, 3, "10:00"), time.Hour, harness.Body{"serviceCodeId": code})
	times, authorizations := offeredAlternatives(t,
		c.Admin().Post(t, "/appointments", b).Refused(t, http.StatusConflict, "credential-missing"))
	require.Empty(t, times)
	require.Empty(t, authorizations)
}

func TestPreviewOfAVisitThatIsRoundedTogether(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	insurance := c.AddInsurance(t, "rounding", "CMS_TOTAL")
	path := c.Authorize(t, 100, harness.Body{"insuranceId": insurance})
	who := c.AddPractitioner(t)
	at := c.At(t, 7, "10:00")
	c.Book(t, c.Booking(path, who, at.Add(4*time.Hour), 33*time.Minute))
	short := c.Booking(path, who, at, 7*time.Minute)
	preview := c.Admin().Post(t, "/appointments/preview", short).OK(t).Body["occurrences"].([]any)[0].(map[string]any)
	require.EqualValues(t, 1, preview["units"], "40 minutes are 3 units, and 7 minutes are the larger remainder")
	require.Equal(t, 1, c.Admin().Get(t, c.Book(t, short)).OK(t).Number(t, "units"))
}

func TestAlternativesOfAVisitThatIsRoundedTogether(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	insurance := c.AddInsurance(t, "rounding", "CMS_TOTAL")
	path := c.Authorize(t, 100, harness.Body{"insuranceId": insurance})
	busy, free := c.AddPractitioner(t), c.AddPractitioner(t)
	at := c.At(t, 7, "10:00")
	long := c.Book(t, c.Booking(path, free, at.Add(4*time.Hour), 38*time.Minute))
	other := c.AddPatient(t)
	c.Book(t, c.Booking(c.Authorize(t, 100, harness.Body{"patientId": other}), busy, at, time.Hour, harness.Body{"patientId": other}))

	refused := c.Admin().Post(t, "/appointments", c.Booking(path, busy, at, 14*time.Minute)).
		Refused(t, http.StatusConflict, "practitioner-overlap")
	times, _ := offeredAlternatives(t, refused)
	require.NotEmpty(t, times, "52 minutes are 3 units, so the long appointment would give one back")
	require.Equal(t, 3, c.Admin().Get(t, long).OK(t).Number(t, "units"), "the search for alternatives changes nothing")
	c.RequireClean(t)
}
