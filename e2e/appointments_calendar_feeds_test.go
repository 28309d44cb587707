package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-ical"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
)

// headCalendar sends a HEAD request.
func headCalendar(t testing.TB, c *harness.Clinic, path string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodHead, c.URL+path, nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response
}

func TestCalendarFeeds(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	practitioner := c.AddPractitioner(t)
	path := c.Authorize(t, 100)
	kept := c.Book(t, c.Booking(path, practitioner, c.At(t, 3, "15:00"), time.Hour, harness.Body{
		"notes": "Ada Example has the flu",
	}))
	gone := c.Book(t, c.Booking(path, practitioner, c.At(t, 4, "15:00"), time.Hour))
	c.Admin().Post(t, gone+"/cancel", harness.Body{"reason": "the flu"}).OK(t)
	elsewhere := c.Book(t, c.Booking(path, c.AddPractitioner(t), c.At(t, 5, "15:00"), time.Hour))

	mine := c.Admin().Post(t, "/practitioners/"+practitioner.String()+"/calendar-feed", harness.Body{})
	mine.Created(t)
	ada := c.Admin().Post(t, "/patients/"+c.Own.Patient.String()+"/calendar-feed", harness.Body{})
	ada.Created(t)
	link := mine.Text("path")
	require.GreaterOrEqual(t, len(link), len("/api/v1/calendars/.ics")+43, "256 bits")
	token := strings.TrimSuffix(strings.TrimPrefix(link, "/api/v1/calendars/"), ".ics")
	require.Zero(t, c.Count(t, "SELECT count(*) FROM calendar_feeds f WHERE f::text LIKE '%' || $1 || '%'", token),
		"only its hash is kept")
	list := c.Admin().Get(t, "/calendar-feeds").OK(t)
	require.Len(t, list.Body["data"], 2)
	require.NotContains(t, string(list.Raw), token)

	for feed, want := range map[string]map[string]string{
		link:             {kept: "CONFIRMED", gone: "CANCELLED"},
		ada.Text("path"): {kept: "CONFIRMED", gone: "CANCELLED", elsewhere: "CONFIRMED"},
	} {
		response, text := c.FetchCalendar(t, feed)
		require.Equal(t, http.StatusOK, response.StatusCode)
		require.Equal(t, "text/calendar; charset=utf-8", response.Header.Get("Content-Type"))
		require.Equal(t, "private, max-age=300", response.Header.Get("Cache-Control"))
		decoded, err := ical.NewDecoder(strings.NewReader(text)).Decode()
		require.NoError(t, err)
		got := map[string]string{}
		for _, e := range decoded.Events() {
			id, _, _ := strings.Cut(e.Props.Get(ical.PropUID).Value, "@")
			got["/appointments/"+id] = e.Props.Get(ical.PropStatus).Value
		}
		require.Equal(t, want, got)
		for _, secret := range []string{
			"Ada", "Example", "flu", "Jordan", "Lee", "97153", c.Own.Patient.String(), practitioner.String(),
			c.Own.ServiceCode.String(),
		} {
			require.NotContains(t, text, secret)
		}
		again, nothing := c.FetchCalendar(t, feed, "If-None-Match", response.Header.Get("ETag"))
		require.Equal(t, http.StatusNotModified, again.StatusCode)
		require.Empty(t, nothing)
	}
	response, text := c.FetchCalendar(t, link)
	same, again := c.FetchCalendar(t, link+"?_=1764460800&nocache=%20x&from=yesterday")
	require.Equal(t, http.StatusOK, same.StatusCode, "parameters that programs add are ignored")
	require.Equal(t, text, again)
	head := headCalendar(t, c, link)
	require.Equal(t, http.StatusOK, head.StatusCode)
	for _, name := range []string{"ETag", "Content-Type", "Cache-Control"} {
		require.Equal(t, response.Header.Get(name), head.Header.Get(name), name)
	}
	require.Equal(t, http.StatusNotFound, headCalendar(t, c, "/api/v1/calendars/nothing.ics").StatusCode)
	c.Admin().Patch(t, kept, harness.Body{"endTime": c.At(t, 3, "16:30").UTC()}).OK(t)
	changed, text := c.FetchCalendar(t, link, "If-None-Match", response.Header.Get("ETag"))
	require.Equal(t, http.StatusOK, changed.StatusCode)
	require.Contains(t, text, "SEQUENCE:1\r\n")

	revoke := "/calendar-feeds/" + mine.Text("id")
	c.As(c.Other.Tokens[rbac.Admin]).Delete(t, revoke).Refused(t, http.StatusNotFound, "calendar-feed-not-found")
	require.Equal(t, http.StatusNoContent, c.Admin().Delete(t, revoke).Status)
	c.Admin().Delete(t, revoke).Refused(t, http.StatusNotFound, "calendar-feed-not-found")
	for _, file := range []string{
		strings.TrimPrefix(link, "/api/v1"), "/calendars/nothing.ics", "/calendars/" + strings.Repeat("A", 43) + ".ics",
	} {
		c.As("").Get(t, file).Refused(t, http.StatusNotFound, "calendar-feed-not-found")
	}
	c.Admin().Post(t, "/practitioners/"+uuid.NewString()+"/calendar-feed", harness.Body{}).
		Refused(t, http.StatusNotFound, "calendar-owner-not-found")
	c.Admin().Post(t, "/patients/"+uuid.NewString()+"/calendar-feed", harness.Body{}).
		Refused(t, http.StatusNotFound, "calendar-owner-not-found")
	c.As(c.Other.Tokens[rbac.Admin]).Post(t, "/patients/"+c.Own.Patient.String()+"/calendar-feed", harness.Body{}).
		Refused(t, http.StatusNotFound, "calendar-owner-not-found")
}

// TestCalendarLinksEndWithTheirUser disables a user who has created a link.
func TestCalendarLinksEndWithTheirUser(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	user := c.AddUser(t, c.Own, "cy@own.test", rbac.Scheduler)
	ada := c.SignInByEmail(t, "cy@own.test").Post(t, "/patients/"+c.Own.Patient.String()+"/calendar-feed", harness.Body{})
	ada.Created(t)
	reads := func() {
		t.Helper()
		response, _ := c.FetchCalendar(t, ada.Text("path"))
		require.Equal(t, http.StatusOK, response.StatusCode)
	}
	reads()
	c.Admin().Patch(t, user, harness.Body{"disabled": true}).OK(t)
	c.As("").Get(t, strings.TrimPrefix(ada.Text("path"), "/api/v1")).
		Refused(t, http.StatusNotFound, "calendar-feed-not-found")
	c.Admin().Patch(t, user, harness.Body{"disabled": false}).OK(t)
	reads()
}

// TestCalendarLinkEndsWithItsCreatorsPermissions removes the permissions of link
// creators.
func TestCalendarLinkEndsWithItsCreatorsPermissions(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	link := func(email, of string) (open, closed func()) {
		result := c.SignInByEmail(t, email).Post(t, of+"/calendar-feed", harness.Body{})
		result.Created(t)
		return func() {
				t.Helper()
				response, _ := c.FetchCalendar(t, result.Text("path"))
				require.Equal(t, http.StatusOK, response.StatusCode)
			}, func() {
				t.Helper()
				c.As("").Get(t, strings.TrimPrefix(result.Text("path"), "/api/v1")).
					Refused(t, http.StatusNotFound, "calendar-feed-not-found")
			}
	}
	scheduler := c.AddUser(t, c.Own, "cy@own.test", rbac.Scheduler)
	open, closed := link("cy@own.test", "/patients/"+c.Own.Patient.String())
	open()
	c.Admin().Put(t, scheduler+"/roles", harness.Body{"roles": []string{"BILLER"}}).OK(t)
	closed()
	c.Admin().Put(t, scheduler+"/roles", harness.Body{"roles": []string{"SCHEDULER"}}).OK(t)
	open()

	technician, practitioner := c.AddUser(t, c.Own, "tea@own.test", rbac.Technician), c.AddPractitioner(t)
	c.Admin().Patch(t, technician, harness.Body{"practitionerId": practitioner}).OK(t)
	open, closed = link("tea@own.test", "/practitioners/"+practitioner.String())
	open()
	c.Admin().Patch(t, technician, harness.Body{"practitionerId": c.AddPractitioner(t)}).OK(t)
	closed()
}

// TestReadsOfCalendarLinksAreOnRecord follows a patient's link without signing in.
func TestReadsOfCalendarLinksAreOnRecord(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	user := c.AddUser(t, c.Own, "cy@own.test", rbac.Scheduler)
	ada := c.SignInByEmail(t, "cy@own.test").Post(t, "/patients/"+c.Own.Patient.String()+"/calendar-feed", harness.Body{})
	ada.Created(t)
	owner := c.Owner(t)
	kept := func() []string {
		t.Helper()
		return harness.QueryTexts(t, owner,
			`SELECT concat_ws(' ', outcome, organization_id, coalesce(actor_id::text, 'anonymous'), subject_id, patient_id,
				after::json ->> 'createdBy', request_id <> '', address <> '')
			FROM audit_events WHERE action = 'calendar.read' ORDER BY sequence`)
	}
	about := func(outcome string) string {
		return strings.Join([]string{
			outcome, c.Own.ID.String(), "anonymous", ada.Text("id"), c.Own.Patient.String(), harness.IDOf(user),
			"t", "t",
		}, " ")
	}
	first, _ := c.FetchCalendar(t, ada.Text("path"))
	require.Equal(t, []string{about("done")}, kept())
	c.FetchCalendar(t, ada.Text("path"), "If-None-Match", first.Header.Get("ETag"))
	require.Equal(t, []string{about("done"), about("done")}, kept(), "an empty change is answered too")
	link := strings.TrimPrefix(ada.Text("path"), "/api/v1")
	c.Admin().Patch(t, user, harness.Body{"disabled": true}).OK(t)
	c.As("").Get(t, link).Refused(t, http.StatusNotFound, "calendar-feed-not-found")
	require.Equal(t, []string{about("done"), about("done"), about("denied")}, kept())
	c.Admin().Patch(t, user, harness.Body{"disabled": false}).OK(t)

	token := strings.TrimSuffix(strings.TrimPrefix(link, "/calendars/"), ".ics")
	require.Empty(t, harness.QueryTexts(t, owner, `SELECT action FROM audit_events e WHERE e::text LIKE '%' || $1 || '%'`,
		token))
	_, err := owner.ExecContext(t.Context(), `ALTER TABLE audit_events ADD CONSTRAINT full_up CHECK (false) NOT VALID`)
	require.NoError(t, err)
	c.As("").Get(t, link).Refused(t, http.StatusServiceUnavailable, "not-recorded")
}

// TestCalendarLinkIsLimitedToItsCreatorsPermissions has a scheduler who may create links for all
// appointments.
func TestCalendarLinkIsLimitedToItsCreatorsPermissions(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	who := "/practitioners/" + c.AddPractitioner(t).String() + "/calendar-feed"
	patient := "/patients/" + c.Own.Patient.String() + "/calendar-feed"
	may := func(scopes ...string) {
		set := []harness.Body{{"permission": "calendar:manage", "scopes": []string{"ORGANIZATION"}}}
		if len(scopes) > 0 {
			set = append(set, harness.Body{"permission": "appointment:read", "scopes": scopes})
		}
		c.Admin().Put(t, "/permission-sets/SCHEDULER", harness.Body{"permissions": set}).OK(t)
	}
	scheduler := c.As(c.Own.Tokens[rbac.Scheduler])
	for _, scopes := range [][]string{nil, {"SELF"}, {"CHILD"}} {
		may(scopes...)
		for _, path := range []string{who, patient} {
			refused := scheduler.Post(t, path, harness.Body{}).Refused(t, http.StatusForbidden, "beyond-own-permissions")
			require.Equal(t, "appointment:read", refused.Text("exceeds"))
		}
	}
	may("ORGANIZATION")
	link := scheduler.Post(t, who, harness.Body{})
	link.Created(t)
	response, _ := c.FetchCalendar(t, link.Text("path"))
	require.Equal(t, http.StatusOK, response.StatusCode)
	may("SELF")
	c.As("").Get(t, strings.TrimPrefix(link.Text("path"), "/api/v1")).
		Refused(t, http.StatusNotFound, "calendar-feed-not-found")
}
