package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// Helpers for appointments. A clinic's days are days in New York.

func newYork(t testing.TB) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation("America/New_York")
	require.NoError(t, err)
	return zone
}

// hour returns an instant at a local time on the day that is the given number of days
// from today.
func (c *clinic) hour(t testing.TB, days int, wall string) time.Time {
	t.Helper()
	at, err := time.Parse("15:04", wall)
	require.NoError(t, err)
	year, month, day := c.clock.now().In(newYork(t)).AddDate(0, 0, days).Date()
	return time.Date(year, month, day, at.Hour(), at.Minute(), 0, 0, newYork(t))
}

// ago returns a whole minute in the past, or in the future if the duration is negative. An
// appointment of the last 24 hours can be started with its startTime.
func (c *clinic) ago(by time.Duration) time.Time {
	return c.clock.now().Add(-by).UTC().Truncate(time.Minute)
}

// freeze stops the clock at the next whole minute, so that no token is from the future.
func (c *clinic) freeze() time.Time {
	at := c.ago(-time.Minute)
	c.clock.freeze(at)
	return at
}

// employ creates a practitioner.
func (c *clinic) employ(t testing.TB, credentials ...any) uuid.UUID {
	t.Helper()
	if credentials == nil {
		credentials = []any{}
	}
	return c.admin().post(t, "/practitioners", body{"firstName": "Jordan", "lastName": "Lee", "credentials": credentials}).
		created(t)
}

// booking is the body of a booking of the clinic's patient, on the authorization at
// the path.
func (c *clinic) booking(
	authorization string, practitioner uuid.UUID, start time.Time, length time.Duration, changes ...body,
) body {
	b := body{
		"patientId": c.own.patient, "serviceCodeId": c.own.serviceCode, "practitionerId": practitioner,
		"authorizationId": strings.TrimPrefix(authorization, "/authorizations/"),
		"startTime":       start.UTC().Format(time.RFC3339), "endTime": start.Add(length).UTC().Format(time.RFC3339),
	}
	for _, change := range changes {
		for k, v := range change {
			if v == nil {
				delete(b, k)
				continue
			}
			b[k] = v
		}
	}
	return b
}

// book books an appointment and returns its path.
func (c *clinic) book(t testing.TB, b body) string {
	t.Helper()
	return "/appointments/" + c.admin().post(t, "/appointments", b).created(t).String()
}

// reasons returns the codes of the reasons of a refusal.
func (a answer) reasons(t testing.TB) []string {
	t.Helper()
	var codes []string
	list, ok := a.body["reasons"].([]any)
	require.True(t, ok, "%s", a.raw)
	for _, reason := range list {
		codes = append(codes, reason.(map[string]any)["code"].(string))
	}
	return codes
}

func (a answer) ok(t testing.TB) answer {
	t.Helper()
	require.Equal(t, http.StatusOK, a.status, "%s", a.raw)
	return a
}

const hour = time.Hour

func TestAppointmentLifecycle(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 20)
	who := c.employ(t)
	at := c.ago(2 * hour)
	b := c.booking(path, who, at, hour, body{"notes": "bring the blue box"})

	result := c.admin().post(t, "/appointments", b)
	id := result.created(t)
	require.Equal(t, "/api/v1/appointments/"+id.String(), result.header.Get("Location"))
	require.Equal(t, "SCHEDULED", result.text("status"))
	require.Equal(t, 4, result.number(t, "units"))
	require.Equal(t, "bring the blue box", result.text("notes"))
	c.requireBalance(t, path, 20, 0, 4)
	read := c.admin().get(t, "/appointments/"+id.String()).ok(t)
	require.JSONEq(t, string(result.raw), string(read.raw))

	started := c.admin().post(t, "/appointments/"+id.String()+"/start", body{"startTime": at.Add(5 * time.Minute)}).ok(t)
	require.Equal(t, "IN_PROGRESS", started.text("status"))
	require.Equal(t, at.Add(5*time.Minute).Format(time.RFC3339), started.text("startedAt"))
	c.requireBalance(t, path, 20, 0, 4)

	done := c.admin().post(t, "/appointments/"+id.String()+"/complete", body{
		"startTime": at, "endTime": at.Add(75 * time.Minute), "narrative": "They worked.",
	}).ok(t)
	require.Equal(t, 5, done.number(t, "session", "units"))
	require.Equal(t, 0, done.number(t, "session", "unauthorizedUnits"))
	appointment := done.body["appointment"].(map[string]any)
	require.Equal(t, "COMPLETED", appointment["status"])
	session := done.body["session"].(map[string]any)
	require.Equal(t, session["id"], appointment["sessionId"])
	c.requireBalance(t, path, 20, 5, 0)

	kept := c.admin().get(t, "/sessions/"+session["id"].(string)).ok(t)
	require.Equal(t, "They worked.", kept.text("narrative"))
	require.Equal(t, session["units"], kept.body["units"])
	require.Len(t, c.admin().get(t, "/sessions?appointmentId="+id.String()).body["data"], 1)
	for _, verb := range []string{"start", "complete", "cancel", "no-show"} {
		refused := c.admin().post(t, "/appointments/"+id.String()+"/"+verb, body{}).
			refused(t, http.StatusConflict, "appointment-transition")
		require.Equal(t, "COMPLETED", refused.text("from"))
		require.Empty(t, refused.body["allowed"])
	}
	c.admin().patch(t, "/appointments/"+id.String(), body{"endTime": at.Add(2 * hour)}).
		refused(t, http.StatusConflict, "appointment-transition")
	require.Equal(t, "later", c.admin().patch(t, "/appointments/"+id.String(), body{"notes": "later"}).ok(t).text("notes"))
	c.requireClean(t)
}
