package e2e

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
)

// listedIDs returns the ids of a list.
func listedIDs(t testing.TB, a harness.Answer) []string {
	t.Helper()
	all := []string{}
	for _, item := range a.OK(t).Body["data"].([]any) {
		all = append(all, item.(map[string]any)["id"].(string))
	}
	return all
}

// TestDayListsIncludeAppointmentsAcrossMidnight books a night, and appointments that end and begin
// at midnight.
func TestDayListsIncludeAppointmentsAcrossMidnight(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path, practitioner := c.Authorize(t, 400), c.AddPractitioner(t)
	evening := harness.IDOf(c.Book(t, c.Booking(path, practitioner, c.At(t, -4, "22:00"), 2*time.Hour)))
	night := harness.IDOf(c.Book(t, c.Booking(path, practitioner, c.At(t, -3, "23:00"), 2*time.Hour)))
	long := harness.IDOf(c.Book(t, c.Booking(path, practitioner, c.At(t, -2, "01:00"), 24*time.Hour)))
	morning := harness.IDOf(c.Book(t, c.Booking(path, practitioner, c.At(t, 0, "00:00"), time.Hour)))
	on := func(what string, day int, more string) []string {
		t.Helper()
		return listedIDs(t, c.Admin().Get(t, fmt.Sprintf("/%s?from=%s&to=%s%s", what, c.Date(t, day), c.Date(t, day), more)))
	}
	for _, more := range []string{"", "&patientId=" + c.Own.Patient.String(), "&practitionerId=" + practitioner.String()} {
		require.Equal(t, []string{evening}, on("appointments", -4, more), more)
		require.Equal(t, []string{night}, on("appointments", -3, more), "%s: the evening ends at midnight", more)
		require.Equal(t, []string{night, long}, on("appointments", -2, more), more)
		require.Equal(t, []string{long}, on("appointments", -1, more), more)
		require.Equal(t, []string{morning}, on("appointments", 0, more), more)
	}
	require.Equal(t, []string{long, morning}, listedIDs(t, c.Admin().Get(t, "/appointments?from="+c.Date(t, -1))))
	require.Equal(t, []string{evening, night}, listedIDs(t, c.Admin().Get(t, "/appointments?to="+c.Date(t, -3))))

	c.Admin().Post(t, "/appointments/"+night+"/complete", harness.Body{}).OK(t)
	session := c.Admin().Get(t, "/appointments/"+night).OK(t).Text("sessionId")
	for _, more := range []string{"", "&patientId=" + c.Own.Patient.String(), "&practitionerId=" + practitioner.String()} {
		require.Equal(t, []string{session}, on("sessions", -3, more), more)
		require.Equal(t, []string{session}, on("sessions", -2, more), more)
		require.Empty(t, on("sessions", -4, more), more)
		require.Empty(t, on("sessions", -1, more), more)
	}
	c.RequireClean(t)
}

// TestPreviewsAndOpeningsConsiderAppointmentsAcrossMidnight requests a day with an appointment that began the
// evening before.
func TestPreviewsAndOpeningsConsiderAppointmentsAcrossMidnight(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path, practitioner := c.Authorize(t, 400), c.AddPractitioner(t)
	c.Admin().Send(t, http.MethodPut, fmt.Sprintf("/practitioners/%s/availability", practitioner), harness.Body{
		"weekly": append(everyDay("00:00", "02:00"), everyDay("22:00", "24:00")...), "exceptions": []harness.Body{},
		"bufferBeforeMinutes": 0, "bufferAfterMinutes": 15,
	}).OK(t)
	c.Book(t, c.Booking(path, practitioner, c.At(t, 3, "23:30"), time.Hour))
	ask := func(day int) []string {
		t.Helper()
		path := fmt.Sprintf("/practitioners/%s/openings?from=%s&to=%s&minutes=60&step=30", practitioner, c.Date(t, day),
			c.Date(t, day))
		return c.Admin().Get(t, path).Openings(t)
	}
	require.Equal(t, []string{"00:00", "00:30", "01:00", "22:00"}, ask(3), "the buffer is included")
	require.Equal(t, []string{"01:00", "22:00", "22:30", "23:00", "23:30"}, ask(4),
		"an opening that starts on the day may end on the next")

	taken := c.Admin().Post(t, "/appointments/preview", c.Booking(path, practitioner, c.At(t, 4, "00:15"), time.Hour)).
		OK(t)
	require.Equal(t, []string{"practitioner-overlap", "patient-overlap"}, taken.Occurrences(t)[0].Reasons(t))
	near := c.Admin().Post(t, "/appointments/preview", c.Booking(path, practitioner, c.At(t, 4, "00:30"), time.Hour)).OK(t)
	require.Equal(t, true, near.Body["bookable"])
	require.Len(t, near.Body["warnings"], 1, "within the buffer")
	across := c.Admin().Post(t, "/appointments/preview", c.Booking(path, practitioner, c.At(t, 4, "23:30"), time.Hour)).
		OK(t)
	require.Equal(t, true, across.Body["bookable"])
	require.Empty(t, across.Body["warnings"], "hours of two days join at midnight")
}

// TestAMovingAppointmentDoesNotConflictWithItself asks where an appointment could move to, close to its
// own time, while it holds all units of its authorization.
func TestAMovingAppointmentDoesNotConflictWithItself(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path, practitioner := c.Authorize(t, 4), c.AddPractitioner(t)
	appointment := c.Book(t, c.Booking(path, practitioner, c.At(t, 3, "10:00"), time.Hour))
	c.Admin().Send(t, http.MethodPut, fmt.Sprintf("/practitioners/%s/availability", practitioner), harness.Body{
		"weekly": everyDay("09:00", "12:00"), "exceptions": []harness.Body{},
		"bufferBeforeMinutes": 0, "bufferAfterMinutes": 15,
	}).OK(t)
	openings := fmt.Sprintf("/practitioners/%s/openings?from=%s&to=%s&minutes=60&step=30", practitioner, c.Date(t, 3),
		c.Date(t, 3))
	require.Equal(t, []string{}, c.Admin().Get(t, openings).Openings(t))
	require.Equal(t, []string{"09:00", "09:30", "10:00", "10:30", "11:00"},
		c.Admin().Get(t, openings+"&appointmentId="+harness.IDOf(appointment)).Openings(t))
	c.Admin().Get(t, openings+"&appointmentId="+uuid.NewString()).Refused(t, http.StatusNotFound, "appointment-not-found")

	later := c.Booking(path, practitioner, c.At(t, 3, "10:30"), time.Hour)
	require.Equal(t, []string{"practitioner-overlap", "patient-overlap", "insufficient-units"},
		c.Admin().Post(t, "/appointments/preview", later).OK(t).Occurrences(t)[0].Reasons(t))
	moves := func(b harness.Body, more harness.Body) harness.Body {
		all := harness.Body{"appointmentId": harness.IDOf(appointment)}
		for _, from := range []harness.Body{b, more} {
			for k, v := range from {
				all[k] = v
			}
		}
		return all
	}
	free := c.Admin().Post(t, "/appointments/preview", moves(later, nil)).OK(t)
	require.Equal(t, true, free.Body["bookable"])
	require.Equal(t, 4, free.Occurrences(t)[0].Number(t, "units"))
	require.Empty(t, free.Body["warnings"])
	touching := c.Admin().Post(t, "/appointments/preview",
		moves(c.Booking(path, practitioner, c.At(t, 3, "11:00"), time.Hour), nil)).OK(t)
	require.Equal(t, true, touching.Body["bookable"])
	require.Empty(t, touching.Body["warnings"], "it is not within its own buffer")

	longer := c.Admin().Post(t, "/appointments/preview",
		moves(c.Booking(path, practitioner, c.At(t, 3, "10:00"), 2*time.Hour), nil)).OK(t)
	refused := c.Admin().Patch(t, appointment, harness.Body{"endTime": c.At(t, 3, "12:00").UTC()}).
		Refused(t, http.StatusConflict, "insufficient-units")
	require.Equal(t, refused.Reasons(t), longer.Occurrences(t)[0].Reasons(t),
		"a preview gives the same reasons as the change")
	c.Admin().Post(t, "/appointments/preview", moves(later, harness.Body{"appointmentId": uuid.NewString()})).
		Refused(t, http.StatusNotFound, "appointment-not-found")
	for field, more := range map[string]harness.Body{
		"patientId": {"patientId": c.AddPatient(t)}, "serviceCodeId": {"serviceCodeId": addService(t, c, "97155")},
		"recurrenceRule": {"recurrenceRule": "FREQ=DAILY;COUNT=2"},
	} {
		invalid := c.Admin().Post(t, "/appointments/preview", moves(later, more)).
			Refused(t, http.StatusUnprocessableEntity, "validation-failed")
		require.Equal(t, field, invalid.Body["errors"].([]any)[0].(map[string]any)["field"])
	}
	c.RequireBalance(t, path, 4, 0, 4)
	require.Equal(t, 1, c.Admin().Get(t, appointment).Number(t, "version"), "nothing is written")
	c.Admin().Post(t, appointment+"/cancel", harness.Body{}).OK(t)
	ended := c.Admin().Post(t, "/appointments/preview", moves(later, nil)).OK(t)
	require.Equal(t, []string{"appointment-transition"}, ended.Occurrences(t)[0].Reasons(t))
	c.RequireClean(t)
}
