package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/emersion/go-ical"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
)

// subscribe fetches a feed like a calendar program, without an access token.
func (c *clinic) subscribe(t testing.TB, path string, header ...string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.url+path, nil)
	require.NoError(t, err)
	if len(header) > 0 {
		request.Header.Set(header[0], header[1])
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	var text strings.Builder
	_, err = io.Copy(&text, response.Body)
	require.NoError(t, err)
	c.as("").requireContract(t, http.MethodGet, strings.TrimPrefix(path, "/api/v1"),
		answer{status: response.StatusCode, header: response.Header, raw: shownAsJSON(t, text.String())})
	return response, text.String()
}

// head sends a HEAD request.
func (c *clinic) head(t testing.TB, path string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodHead, c.url+path, nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response
}

// shownAsJSON is a text in the form that the contract's schema describes.
func shownAsJSON(t testing.TB, text string) []byte {
	t.Helper()
	if text == "" {
		return nil
	}
	raw, err := json.Marshal(text)
	require.NoError(t, err)
	return raw
}

func TestCalendarFeeds(t *testing.T) {
	t.Parallel()
	c := open(t)
	who := c.employ(t)
	path := c.authorize(t, 100)
	kept := c.book(t, c.booking(path, who, c.hour(t, 3, "15:00"), hour, body{"notes": "Ada Example has the flu"}))
	gone := c.book(t, c.booking(path, who, c.hour(t, 4, "15:00"), hour))
	c.admin().post(t, gone+"/cancel", body{"reason": "the flu"}).ok(t)
	elsewhere := c.book(t, c.booking(path, c.employ(t), c.hour(t, 5, "15:00"), hour))

	mine := c.admin().post(t, "/practitioners/"+who.String()+"/calendar-feed", body{})
	mine.created(t)
	ada := c.admin().post(t, "/patients/"+c.own.patient.String()+"/calendar-feed", body{})
	ada.created(t)
	link := mine.text("path")
	require.GreaterOrEqual(t, len(link), len("/api/v1/calendars/.ics")+43, "256 bits")
	token := strings.TrimSuffix(strings.TrimPrefix(link, "/api/v1/calendars/"), ".ics")
	require.Zero(t, c.count(t, "SELECT count(*) FROM calendar_feeds f WHERE f::text LIKE '%' || $1 || '%'", token),
		"only its hash is kept")
	list := c.admin().get(t, "/calendar-feeds").ok(t)
	require.Len(t, list.body["data"], 2)
	require.NotContains(t, string(list.raw), token)

	for feed, want := range map[string]map[string]string{
		link:             {kept: "CONFIRMED", gone: "CANCELLED"},
		ada.text("path"): {kept: "CONFIRMED", gone: "CANCELLED", elsewhere: "CONFIRMED"},
	} {
		response, text := c.subscribe(t, feed)
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
			"Ada", "Example", "flu", "Jordan", "Lee", "97153", c.own.patient.String(), who.String(), c.own.serviceCode.String(),
		} {
			require.NotContains(t, text, secret)
		}
		again, nothing := c.subscribe(t, feed, "If-None-Match", response.Header.Get("ETag"))
		require.Equal(t, http.StatusNotModified, again.StatusCode)
		require.Empty(t, nothing)
	}
	response, text := c.subscribe(t, link)
	same, again := c.subscribe(t, link+"?_=1764460800&nocache=%20x&from=yesterday")
	require.Equal(t, http.StatusOK, same.StatusCode, "parameters that programs add are ignored")
	require.Equal(t, text, again)
	head := c.head(t, link)
	require.Equal(t, http.StatusOK, head.StatusCode)
	for _, name := range []string{"ETag", "Content-Type", "Cache-Control"} {
		require.Equal(t, response.Header.Get(name), head.Header.Get(name), name)
	}
	require.Equal(t, http.StatusNotFound, c.head(t, "/api/v1/calendars/nothing.ics").StatusCode)
	c.admin().patch(t, kept, body{"endTime": c.hour(t, 3, "16:30").UTC()}).ok(t)
	changed, text := c.subscribe(t, link, "If-None-Match", response.Header.Get("ETag"))
	require.Equal(t, http.StatusOK, changed.StatusCode)
	require.Contains(t, text, "SEQUENCE:1\r\n")

	revoke := "/calendar-feeds/" + mine.text("id")
	c.as(c.other.tokens[rbac.Admin]).delete(t, revoke).refused(t, http.StatusNotFound, "calendar-feed-not-found")
	require.Equal(t, http.StatusNoContent, c.admin().delete(t, revoke).status)
	c.admin().delete(t, revoke).refused(t, http.StatusNotFound, "calendar-feed-not-found")
	for _, file := range []string{
		strings.TrimPrefix(link, "/api/v1"), "/calendars/nothing.ics", "/calendars/" + strings.Repeat("A", 43) + ".ics",
	} {
		c.as("").get(t, file).refused(t, http.StatusNotFound, "calendar-feed-not-found")
	}
	c.admin().post(t, "/practitioners/"+uuid.NewString()+"/calendar-feed", body{}).
		refused(t, http.StatusNotFound, "calendar-owner-not-found")
	c.admin().post(t, "/patients/"+uuid.NewString()+"/calendar-feed", body{}).
		refused(t, http.StatusNotFound, "calendar-owner-not-found")
	c.as(c.other.tokens[rbac.Admin]).post(t, "/patients/"+c.own.patient.String()+"/calendar-feed", body{}).
		refused(t, http.StatusNotFound, "calendar-owner-not-found")
}

// TestCalendarLinksEndWithTheirUser disables a user who has created a link.
func TestCalendarLinksEndWithTheirUser(t *testing.T) {
	t.Parallel()
	c := open(t)
	user := c.hire(t, c.own, "cy@own.test", rbac.Scheduler)
	ada := c.enter(t, "cy@own.test").post(t, "/patients/"+c.own.patient.String()+"/calendar-feed", body{})
	ada.created(t)
	reads := func() {
		t.Helper()
		response, _ := c.subscribe(t, ada.text("path"))
		require.Equal(t, http.StatusOK, response.StatusCode)
	}
	reads()
	c.admin().patch(t, user, body{"disabled": true}).ok(t)
	c.as("").get(t, strings.TrimPrefix(ada.text("path"), "/api/v1")).
		refused(t, http.StatusNotFound, "calendar-feed-not-found")
	c.admin().patch(t, user, body{"disabled": false}).ok(t)
	reads()
}

// TestCalendarLinkEndsWithItsCreatorsPermissions removes the permissions of link
// creators.
func TestCalendarLinkEndsWithItsCreatorsPermissions(t *testing.T) {
	t.Parallel()
	c := open(t)
	link := func(email, of string) (open, closed func()) {
		result := c.enter(t, email).post(t, of+"/calendar-feed", body{})
		result.created(t)
		return func() {
				t.Helper()
				response, _ := c.subscribe(t, result.text("path"))
				require.Equal(t, http.StatusOK, response.StatusCode)
			}, func() {
				t.Helper()
				c.as("").get(t, strings.TrimPrefix(result.text("path"), "/api/v1")).
					refused(t, http.StatusNotFound, "calendar-feed-not-found")
			}
	}
	scheduler := c.hire(t, c.own, "cy@own.test", rbac.Scheduler)
	open, closed := link("cy@own.test", "/patients/"+c.own.patient.String())
	open()
	c.admin().put(t, scheduler+"/roles", body{"roles": []string{"BILLER"}}).ok(t)
	closed()
	c.admin().put(t, scheduler+"/roles", body{"roles": []string{"SCHEDULER"}}).ok(t)
	open()

	technician, who := c.hire(t, c.own, "tea@own.test", rbac.Technician), c.employ(t)
	c.admin().patch(t, technician, body{"practitionerId": who}).ok(t)
	open, closed = link("tea@own.test", "/practitioners/"+who.String())
	open()
	c.admin().patch(t, technician, body{"practitionerId": c.employ(t)}).ok(t)
	closed()
}

// TestReadsOfCalendarLinksAreOnRecord follows a patient's link without signing in.
func TestReadsOfCalendarLinksAreOnRecord(t *testing.T) {
	t.Parallel()
	c := open(t)
	user := c.hire(t, c.own, "cy@own.test", rbac.Scheduler)
	ada := c.enter(t, "cy@own.test").post(t, "/patients/"+c.own.patient.String()+"/calendar-feed", body{})
	ada.created(t)
	owner := c.owner(t)
	kept := func() []string {
		t.Helper()
		return texts(t, owner,
			`SELECT concat_ws(' ', outcome, organization_id, coalesce(actor_id::text, 'anonymous'), subject_id, patient_id,
				after->>'createdBy', request_id <> '', address <> '')
			FROM audit_events WHERE action = 'calendar.read' ORDER BY sequence`)
	}
	about := func(outcome string) string {
		return strings.Join([]string{
			outcome, c.own.id.String(), "anonymous", ada.text("id"), c.own.patient.String(), idOf(user),
			"t", "t",
		}, " ")
	}
	first, _ := c.subscribe(t, ada.text("path"))
	require.Equal(t, []string{about("done")}, kept())
	c.subscribe(t, ada.text("path"), "If-None-Match", first.Header.Get("ETag"))
	require.Equal(t, []string{about("done"), about("done")}, kept(), "an empty change is answered too")
	link := strings.TrimPrefix(ada.text("path"), "/api/v1")
	c.admin().patch(t, user, body{"disabled": true}).ok(t)
	c.as("").get(t, link).refused(t, http.StatusNotFound, "calendar-feed-not-found")
	require.Equal(t, []string{about("done"), about("done"), about("denied")}, kept())
	c.admin().patch(t, user, body{"disabled": false}).ok(t)

	token := strings.TrimSuffix(strings.TrimPrefix(link, "/calendars/"), ".ics")
	require.Empty(t, texts(t, owner, `SELECT action FROM audit_events e WHERE e::text LIKE '%' || $1 || '%'`, token))
	_, err := owner.ExecContext(t.Context(), `ALTER TABLE audit_events ADD CONSTRAINT full_up CHECK (false) NOT VALID`)
	require.NoError(t, err)
	c.as("").get(t, link).refused(t, http.StatusServiceUnavailable, "not-recorded")
}

// TestCalendarLinkIsLimitedToItsCreatorsPermissions has a scheduler who may create links for all
// appointments.
func TestCalendarLinkIsLimitedToItsCreatorsPermissions(t *testing.T) {
	t.Parallel()
	c := open(t)
	who := "/practitioners/" + c.employ(t).String() + "/calendar-feed"
	patient := "/patients/" + c.own.patient.String() + "/calendar-feed"
	may := func(scopes ...string) {
		set := []body{{"permission": "calendar:manage", "scopes": []string{"ORGANIZATION"}}}
		if len(scopes) > 0 {
			set = append(set, body{"permission": "appointment:read", "scopes": scopes})
		}
		c.admin().put(t, "/permission-sets/SCHEDULER", body{"permissions": set}).ok(t)
	}
	scheduler := c.as(c.own.tokens[rbac.Scheduler])
	for _, scopes := range [][]string{nil, {"SELF"}, {"CHILD"}} {
		may(scopes...)
		for _, path := range []string{who, patient} {
			refused := scheduler.post(t, path, body{}).refused(t, http.StatusForbidden, "beyond-own-permissions")
			require.Equal(t, "appointment:read", refused.text("exceeds"))
		}
	}
	may("ORGANIZATION")
	link := scheduler.post(t, who, body{})
	link.created(t)
	response, _ := c.subscribe(t, link.text("path"))
	require.Equal(t, http.StatusOK, response.StatusCode)
	may("SELF")
	c.as("").get(t, strings.TrimPrefix(link.text("path"), "/api/v1")).
		refused(t, http.StatusNotFound, "calendar-feed-not-found")
}
