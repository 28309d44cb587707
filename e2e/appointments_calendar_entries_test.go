package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
)

// entryOfAnHour returns the body of an entry of an hour.
func entryOfAnHour(start time.Time, kind string, practitioners ...uuid.UUID) harness.Body {
	return harness.Body{
		"kind": kind, "practitionerIds": practitioners, "startTime": start.UTC(), "endTime": start.Add(time.Hour).UTC(),
	}
}

func TestAMeetingIsBusyTimeOfItsPractitioners(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path, jordan, kim := c.Authorize(t, 100), c.AddPractitioner(t), c.AddPractitioner(t)
	at := c.At(t, 3, "09:00")
	meeting := entryOfAnHour(at, "MEETING", jordan, kim)
	meeting["title"] = "Case review"
	entry := "/calendar-entries/" + c.Admin().Post(t, "/calendar-entries", meeting).Created(t).String()

	booking := func(start time.Time) harness.Body { return c.Booking(path, kim, start, time.Hour) }
	refused := c.Admin().Post(t, "/appointments", booking(at.Add(30*time.Minute))).
		Refused(t, http.StatusConflict, "practitioner-busy")
	details := refused.Body["reasons"].([]any)[0].(map[string]any)["details"].(map[string]any)
	require.Equal(t, harness.IDOf(entry), details["calendarEntryId"])
	require.Contains(t, refused.Text("detail"), "Jordan Lee is not free from 09:00 to 10:00 (meeting).")
	require.NotEmpty(t, refused.Body["alternatives"].(map[string]any)["times"])
	require.Equal(t, []string{"practitioner-busy"}, c.Admin().Post(t, "/appointments/preview", booking(at)).OK(t).
		Occurrences(t)[0].Reasons(t))
	next := c.Book(t, booking(at.Add(time.Hour)))
	c.Admin().Patch(t, next, harness.Body{"startTime": at.Add(30 * time.Minute).UTC()}).
		Refused(t, http.StatusConflict, "practitioner-busy")

	c.Admin().Put(t, "/practitioners/"+kim.String()+"/availability", harness.Body{
		"weekly": []any{}, "exceptions": []any{harness.Body{
			"startDate": c.Date(t, 3), "endDate": c.Date(t, 3), "hours": []any{harness.Body{"from": "08:00", "to": "12:00"}},
		}}, "bufferBeforeMinutes": 0, "bufferAfterMinutes": 0,
	}).OK(t)
	openings := c.Admin().Get(t, "/practitioners/"+kim.String()+"/openings?minutes=60&step=60&from="+c.Date(t, 3)+
		"&to="+c.Date(t, 3)).OK(t).Openings(t)
	require.Equal(t, []string{"08:00", "11:00"}, openings)

	// The other way round: an appointment and another entry.
	both := c.Admin().Post(t, "/calendar-entries", harness.Body{
		"kind": "TRAINING", "practitionerIds": []any{jordan, kim},
		"startTime": at.Add(30 * time.Minute).UTC(), "endTime": at.Add(90 * time.Minute).UTC(),
	}).Refused(t, http.StatusConflict, "practitioner-busy")
	require.Equal(t, []string{"practitioner-busy", "practitioner-busy"}, both.Reasons(t))
	c.Admin().Post(t, "/calendar-entries", entryOfAnHour(at.Add(time.Hour), "LUNCH", kim)).
		Refused(t, http.StatusConflict, "practitioner-overlap")

	require.Equal(t, http.StatusNoContent, c.Admin().Delete(t, entry).Status)
	c.Admin().Delete(t, entry).Refused(t, http.StatusNotFound, "calendar-entry-not-found")
	c.Admin().Get(t, entry).Refused(t, http.StatusNotFound, "calendar-entry-not-found")
	c.Book(t, booking(at))
	trail := string(c.Admin().Get(t, "/admin/audit-events?limit=200&action=calendar-entry.deleted").OK(t).Raw)
	require.Contains(t, trail, harness.IDOf(entry))
	c.RequireClean(t)
}

func TestABusyPractitionerHasNoReopenedAppointment(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path, practitioner := c.Authorize(t, 100), c.AddPractitioner(t)
	cancelled := c.Book(t, c.Booking(path, practitioner, c.At(t, 3, "09:00"), time.Hour))
	c.Admin().Post(t, cancelled+"/cancel", harness.Body{}).OK(t)
	c.Admin().Post(t, "/calendar-entries", entryOfAnHour(c.At(t, 3, "09:00"), "DOCUMENTATION", practitioner)).Created(t)
	c.Admin().Post(t, cancelled+"/reopen", harness.Body{"reason": "A mistake."}).
		Refused(t, http.StatusConflict, "practitioner-busy")

	// The session was shorter, and the rest of the booked time is used for a drive.
	booked := c.Book(t, c.Booking(path, practitioner, c.At(t, -2, "09:00"), 2*time.Hour))
	done := c.Admin().Post(t, booked+"/complete",
		harness.Body{"startTime": c.At(t, -2, "09:00"), "endTime": c.At(t, -2, "10:00"), "confirm": true}).OK(t)
	drive := entryOfAnHour(c.At(t, -2, "10:00"), "DRIVE", practitioner)
	drive["miles"] = 12.5
	require.InDelta(t, 12.5, c.Admin().Post(t, "/calendar-entries", drive).Body["miles"], 0)
	session := "/sessions/" + done.Body["session"].(map[string]any)["id"].(string)
	c.Admin().Post(t, session+"/void", harness.Body{"appointment": "SCHEDULED", "reason": "Not rendered."}).
		Refused(t, http.StatusConflict, "practitioner-busy")
	c.RequireClean(t)
}

func TestCalendarEntriesAreListedAndInFeeds(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	jordan, kim := c.AddPractitioner(t), c.AddPractitioner(t)
	c.LinkUsers(t, c.Own, kim, c.Own.Patient)
	add := func(day int, kind string, who ...uuid.UUID) string {
		b := entryOfAnHour(c.At(t, day, "09:00"), kind, who...)
		b["title"] = "Confidential"
		return c.Admin().Post(t, "/calendar-entries", b).Created(t).String()
	}
	first, second, third := add(1, "MEETING", jordan, kim), add(2, "LUNCH", jordan), add(4, "TRAINING", kim)
	list := func(as harness.Caller, query string) []string {
		return harness.Column(as.All(t, "/calendar-entries?limit=1"+query, nil), "id")
	}
	require.Equal(t, []string{first, second, third}, list(c.Admin(), ""))
	require.Equal(t, []string{third, second, first}, list(c.Admin(), "&sort=-startTime"))
	require.Equal(t, []string{first, third}, list(c.Admin(), "&practitionerId="+kim.String()))
	require.Equal(t, []string{second}, list(c.Admin(), "&kind=LUNCH"))
	require.Equal(t, []string{second}, list(c.Admin(), "&from="+c.Date(t, 2)+"&to="+c.Date(t, 3)))
	require.Empty(t, list(c.As(c.Other.Tokens["ADMIN"]), ""))
	technician := c.As(c.Own.Tokens[rbac.Technician])
	require.Equal(t, []string{first, third}, list(technician, ""))
	technician.Get(t, "/calendar-entries/"+second).Refused(t, http.StatusNotFound, "calendar-entry-not-found")
	technician.Post(t, "/calendar-entries", entryOfAnHour(c.At(t, 5, "09:00"), "LUNCH", kim)).
		Refused(t, http.StatusForbidden, "forbidden")
	technician.Delete(t, "/calendar-entries/"+first).Refused(t, http.StatusForbidden, "forbidden")

	link := c.Admin().Post(t, "/practitioners/"+kim.String()+"/calendar-feed", harness.Body{}).Text("path")
	_, text := c.FetchCalendar(t, link)
	require.Equal(t, 2, strings.Count(text, "BEGIN:VEVENT"))
	require.Contains(t, text, "SUMMARY:Meeting")
	require.Contains(t, text, "SUMMARY:Training")
	require.NotContains(t, text, "Confidential")

	invalid := func(change harness.Body) {
		t.Helper()
		b := entryOfAnHour(c.At(t, 6, "09:00"), "MEETING", kim)
		for k, v := range change {
			b[k] = v
		}
		c.Admin().Post(t, "/calendar-entries", b).Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	}
	invalid(harness.Body{"miles": 3})
	invalid(harness.Body{"kind": "NAP"})
	invalid(harness.Body{"practitionerIds": []any{kim, kim}})
	invalid(harness.Body{"practitionerIds": []any{uuid.New()}})
	invalid(harness.Body{"locationId": uuid.New()})
	invalid(harness.Body{"endTime": c.At(t, 6, "08:00")})
}

// TestABookingAndAMeetingNeverMeet makes bookings and meetings of one practitioner at the same time concurrently.
func TestABookingAndAMeetingNeverMeet(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 400)
	for round := range 8 {
		practitioner, at := c.AddPractitioner(t), c.At(t, 3+round, "09:00")
		statuses := make(chan int, 2)
		for path, b := range map[string]harness.Body{
			"/appointments":     c.Booking(path, practitioner, at, time.Hour),
			"/calendar-entries": entryOfAnHour(at.Add(30*time.Minute), "MEETING", practitioner),
		} {
			go func() {
				a, err := c.Admin().TryPost(t, path, b)
				if err != nil {
					a.Status = 0
				}
				statuses <- a.Status
			}()
		}
		require.ElementsMatch(t, []int{http.StatusCreated, http.StatusConflict}, []int{<-statuses, <-statuses})
	}
	c.RequireClean(t)
}
