package e2e

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// ids returns the ids of a list.
func (a answer) ids(t testing.TB) []string {
	t.Helper()
	all := []string{}
	for _, item := range a.ok(t).body["data"].([]any) {
		all = append(all, item.(map[string]any)["id"].(string))
	}
	return all
}

// TestDayListsIncludeAppointmentsAcrossMidnight books a night, and appointments that end and begin
// at midnight.
func TestDayListsIncludeAppointmentsAcrossMidnight(t *testing.T) {
	t.Parallel()
	c := open(t)
	path, who := c.authorize(t, 400), c.employ(t)
	evening := idOf(c.book(t, c.booking(path, who, c.hour(t, -4, "22:00"), 2*hour)))
	night := idOf(c.book(t, c.booking(path, who, c.hour(t, -3, "23:00"), 2*hour)))
	long := idOf(c.book(t, c.booking(path, who, c.hour(t, -2, "01:00"), 24*hour)))
	morning := idOf(c.book(t, c.booking(path, who, c.hour(t, 0, "00:00"), hour)))
	on := func(what string, day int, more string) []string {
		t.Helper()
		return c.admin().get(t, fmt.Sprintf("/%s?from=%s&to=%s%s", what, c.day(t, day), c.day(t, day), more)).ids(t)
	}
	for _, more := range []string{"", "&patientId=" + c.own.patient.String(), "&practitionerId=" + who.String()} {
		require.Equal(t, []string{evening}, on("appointments", -4, more), more)
		require.Equal(t, []string{night}, on("appointments", -3, more), "%s: the evening ends at midnight", more)
		require.Equal(t, []string{night, long}, on("appointments", -2, more), more)
		require.Equal(t, []string{long}, on("appointments", -1, more), more)
		require.Equal(t, []string{morning}, on("appointments", 0, more), more)
	}
	require.Equal(t, []string{long, morning}, c.admin().get(t, "/appointments?from="+c.day(t, -1)).ids(t))
	require.Equal(t, []string{evening, night}, c.admin().get(t, "/appointments?to="+c.day(t, -3)).ids(t))

	c.admin().post(t, "/appointments/"+night+"/complete", body{}).ok(t)
	session := c.admin().get(t, "/appointments/"+night).ok(t).text("sessionId")
	for _, more := range []string{"", "&patientId=" + c.own.patient.String(), "&practitionerId=" + who.String()} {
		require.Equal(t, []string{session}, on("sessions", -3, more), more)
		require.Equal(t, []string{session}, on("sessions", -2, more), more)
		require.Empty(t, on("sessions", -4, more), more)
		require.Empty(t, on("sessions", -1, more), more)
	}
	c.requireClean(t)
}

// TestPreviewsAndOpeningsConsiderAppointmentsAcrossMidnight requests a day with an appointment that began the
// evening before.
func TestPreviewsAndOpeningsConsiderAppointmentsAcrossMidnight(t *testing.T) {
	t.Parallel()
	c := open(t)
	path, who := c.authorize(t, 400), c.employ(t)
	c.admin().send(t, http.MethodPut, fmt.Sprintf("/practitioners/%s/availability", who), body{
		"weekly": append(everyDay("00:00", "02:00"), everyDay("22:00", "24:00")...), "exceptions": []body{},
		"bufferBeforeMinutes": 0, "bufferAfterMinutes": 15,
	}).ok(t)
	c.book(t, c.booking(path, who, c.hour(t, 3, "23:30"), hour))
	ask := func(day int) []string {
		t.Helper()
		path := fmt.Sprintf("/practitioners/%s/openings?from=%s&to=%s&minutes=60&step=30", who, c.day(t, day), c.day(t, day))
		return c.admin().get(t, path).openings(t)
	}
	require.Equal(t, []string{"00:00", "00:30", "01:00", "22:00"}, ask(3), "the buffer is included")
	require.Equal(t, []string{"01:00", "22:00", "22:30", "23:00", "23:30"}, ask(4),
		"an opening that starts on the day may end on the next")

	taken := c.admin().post(t, "/appointments/preview", c.booking(path, who, c.hour(t, 4, "00:15"), hour)).ok(t)
	require.Equal(t, []string{"practitioner-overlap", "patient-overlap"}, taken.occurrences(t)[0].reasons(t))
	near := c.admin().post(t, "/appointments/preview", c.booking(path, who, c.hour(t, 4, "00:30"), hour)).ok(t)
	require.Equal(t, true, near.body["bookable"])
	require.Len(t, near.body["warnings"], 1, "within the buffer")
	across := c.admin().post(t, "/appointments/preview", c.booking(path, who, c.hour(t, 4, "23:30"), hour)).ok(t)
	require.Equal(t, true, across.body["bookable"])
	require.Empty(t, across.body["warnings"], "hours of two days join at midnight")
}

// TestAMovingAppointmentDoesNotConflictWithItself asks where an appointment could move to, close to its
// own time, while it holds all units of its authorization.
func TestAMovingAppointmentDoesNotConflictWithItself(t *testing.T) {
	t.Parallel()
	c := open(t)
	path, who := c.authorize(t, 4), c.employ(t)
	appointment := c.book(t, c.booking(path, who, c.hour(t, 3, "10:00"), hour))
	c.admin().send(t, http.MethodPut, fmt.Sprintf("/practitioners/%s/availability", who), body{
		"weekly": everyDay("09:00", "12:00"), "exceptions": []body{}, "bufferBeforeMinutes": 0, "bufferAfterMinutes": 15,
	}).ok(t)
	openings := fmt.Sprintf("/practitioners/%s/openings?from=%s&to=%s&minutes=60&step=30", who, c.day(t, 3), c.day(t, 3))
	require.Equal(t, []string{}, c.admin().get(t, openings).openings(t))
	require.Equal(t, []string{"09:00", "09:30", "10:00", "10:30", "11:00"},
		c.admin().get(t, openings+"&appointmentId="+idOf(appointment)).openings(t))
	c.admin().get(t, openings+"&appointmentId="+uuid.NewString()).refused(t, http.StatusNotFound, "appointment-not-found")

	later := c.booking(path, who, c.hour(t, 3, "10:30"), hour)
	require.Equal(t, []string{"practitioner-overlap", "patient-overlap", "insufficient-units"},
		c.admin().post(t, "/appointments/preview", later).ok(t).occurrences(t)[0].reasons(t))
	moves := func(b body, more body) body {
		all := body{"appointmentId": idOf(appointment)}
		for _, from := range []body{b, more} {
			for k, v := range from {
				all[k] = v
			}
		}
		return all
	}
	free := c.admin().post(t, "/appointments/preview", moves(later, nil)).ok(t)
	require.Equal(t, true, free.body["bookable"])
	require.Equal(t, 4, free.occurrences(t)[0].number(t, "units"))
	require.Empty(t, free.body["warnings"])
	touching := c.admin().post(t, "/appointments/preview",
		moves(c.booking(path, who, c.hour(t, 3, "11:00"), hour), nil)).ok(t)
	require.Equal(t, true, touching.body["bookable"])
	require.Empty(t, touching.body["warnings"], "it is not within its own buffer")

	longer := c.admin().post(t, "/appointments/preview",
		moves(c.booking(path, who, c.hour(t, 3, "10:00"), 2*hour), nil)).ok(t)
	refused := c.admin().patch(t, appointment, body{"endTime": c.hour(t, 3, "12:00").UTC()}).
		refused(t, http.StatusConflict, "insufficient-units")
	require.Equal(t, refused.reasons(t), longer.occurrences(t)[0].reasons(t),
		"a preview gives the same reasons as the change")
	c.admin().post(t, "/appointments/preview", moves(later, body{"appointmentId": uuid.NewString()})).
		refused(t, http.StatusNotFound, "appointment-not-found")
	for field, more := range map[string]body{
		"patientId": {"patientId": c.anotherPatient(t)}, "serviceCodeId": {"serviceCodeId": c.service(t, "97155")},
		"recurrenceRule": {"recurrenceRule": "FREQ=DAILY;COUNT=2"},
	} {
		invalid := c.admin().post(t, "/appointments/preview", moves(later, more)).
			refused(t, http.StatusUnprocessableEntity, "validation-failed")
		require.Equal(t, field, invalid.body["errors"].([]any)[0].(map[string]any)["field"])
	}
	c.requireBalance(t, path, 4, 0, 4)
	require.Equal(t, 1, c.admin().get(t, appointment).number(t, "version"), "nothing is written")
	c.admin().post(t, appointment+"/cancel", body{}).ok(t)
	ended := c.admin().post(t, "/appointments/preview", moves(later, nil)).ok(t)
	require.Equal(t, []string{"appointment-transition"}, ended.occurrences(t)[0].reasons(t))
	c.requireClean(t)
}
