package e2e

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/httpx"
)

// deskCall is a call on working hours, openings, calendar links, or a series.
type deskCall struct {
	method, path, query string
	allowed             []rbac.Role
	body                func(c *harness.Clinic, s desk) harness.Body
	foreign             string      // refusal code for another practice; "": an empty list
	beyond              []rbac.Role // hold the permission for other records only, with the same refusal
}

// desk has the records for the calls.
type desk struct {
	authorization string
	practitioner  uuid.UUID
	appointment   string // the first of a series of three
	feed, entry   uuid.UUID
	next          time.Time // an open time
}

// deliverers may act on their own appointments.
var deliverers = append(slices.Clone(bookers), "TECHNICIAN")

var anyParameter = regexp.MustCompile(`:[A-Za-z]+`)

func emptyBody(*harness.Clinic, desk) harness.Body { return harness.Body{} }

// seriesBody is a booking of a series.
func seriesBody(c *harness.Clinic, s desk) harness.Body {
	return c.Booking(s.authorization, s.practitioner, s.next, 15*time.Minute, harness.Body{
		"recurrenceRule": "FREQ=DAILY;COUNT=3",
	})
}

// deskCalls are all calls, with the roles that may make them in their own organization.
var deskCalls = []deskCall{
	{http.MethodGet, "/practitioners/:id/availability", "", deliverers, nil, "availability-practitioner-not-found", nil},
	{http.MethodPut, "/practitioners/:id/availability", "", bookers, func(*harness.Clinic, desk) harness.Body {
		return harness.Body{
			"weekly":              everyDay("09:00", "13:00"),
			"exceptions":          []harness.Body{},
			"bufferBeforeMinutes": 0,
			"bufferAfterMinutes":  15,
		}
	}, "availability-practitioner-not-found", nil},
	{
		http.MethodGet, "/practitioners/:id/openings", "?from=2026-12-01&to=2026-12-02&minutes=60", deliverers, nil,
		"availability-practitioner-not-found", nil,
	},
	{http.MethodPost, "/practitioners/:id/calendar-feed", "", deliverers, emptyBody, "calendar-owner-not-found", nil},
	{
		http.MethodPost, "/patients/:id/calendar-feed", "", bookers, emptyBody, "calendar-owner-not-found",
		[]rbac.Role{"TECHNICIAN"},
	},
	{http.MethodGet, "/calendar-feeds", "", deliverers, nil, "", nil},
	{http.MethodDelete, "/calendar-feeds/:id", "", deliverers, nil, "calendar-feed-not-found", nil},

	{http.MethodPost, "/appointments", "", bookers, seriesBody, "validation-failed", nil},
	{http.MethodPost, "/appointments/preview", "", bookers, seriesBody, "validation-failed", nil},
	{http.MethodPatch, "/appointments/:id", "?scope=all", bookers, func(_ *harness.Clinic, s desk) harness.Body {
		return harness.Body{"startTime": s.next.Add(15 * time.Minute).UTC(), "endTime": s.next.Add(30 * time.Minute).UTC()}
	}, "appointment-not-found", nil},
	{http.MethodPost, "/appointments/:id/cancel", "?scope=following", bookers, emptyBody, "appointment-not-found", nil},

	{http.MethodPost, "/calendar-entries", "", bookers, entryBody, "validation-failed", nil},
	{http.MethodGet, "/calendar-entries", "", append(slices.Clone(calendarReaders), "PATIENT"), nil, "", nil},
	{http.MethodGet, "/calendar-entries/:id", "", calendarReaders, nil, "calendar-entry-not-found", []rbac.Role{"PATIENT"}},
	{http.MethodDelete, "/calendar-entries/:id", "", bookers, nil, "calendar-entry-not-found", nil},
}

// calendarReaders see the time of all practitioners, or their own.
var calendarReaders = append(slices.Clone(deliverers), "BILLER", "AUDITOR")

// entryBody is a meeting before the open time.
func entryBody(_ *harness.Clinic, s desk) harness.Body {
	return harness.Body{
		"kind": "MEETING", "practitionerIds": []uuid.UUID{s.practitioner},
		"startTime": s.next.Add(-time.Hour).UTC(), "endTime": s.next.Add(-time.Hour + 10*time.Minute).UTC(),
	}
}

func (call deskCall) target(c *harness.Clinic, s desk) string {
	for prefix, id := range map[string]string{
		"/practitioners/": s.practitioner.String(), "/patients/": c.Own.Patient.String(),
		"/appointments/": harness.IDOf(s.appointment), "/calendar-feeds/": s.feed.String(),
		"/calendar-entries/": s.entry.String(),
	} {
		if strings.HasPrefix(call.path, prefix) {
			return strings.Replace(call.path, ":id", id, 1) + call.query
		}
	}
	return call.path + call.query
}

func TestEveryRoleOnEveryDeskCall(t *testing.T) {
	t.Parallel()
	harness.SkipUnlessLong(t)
	c := harness.Open(t)
	path := c.Authorize(t, 10_000)
	slot := 0 // of three quarters of an hour, 32 a day; a series occupies three days
	for _, call := range deskCalls {
		for _, role := range rbac.Roles() {
			t.Run(fmt.Sprintf("%s, %s %s%s", role, call.method, call.path, call.query), func(t *testing.T) {
				s := desk{
					authorization: path, practitioner: c.AddPractitioner(t),
					next: c.At(t, 1+slot/32*4, "00:00").Add(time.Duration(slot%32) * 45 * time.Minute),
				}
				slot++
				c.LinkUsers(t, c.Own, s.practitioner)
				s.appointment = c.Book(t, seriesBody(c, s))
				s.feed = c.Admin().Post(t, "/practitioners/"+s.practitioner.String()+"/calendar-feed", harness.Body{}).Created(t)
				s.entry = c.Admin().Post(t, "/calendar-entries", entryOfAnHour(s.next.Add(20*time.Hour), "LUNCH", s.practitioner)).Created(t)
				s.next = s.next.Add(15 * time.Minute)
				var b harness.Body
				if call.body != nil {
					b = call.body(c, s)
				}
				stored := func() string {
					text := ""
					for _, item := range []string{
						path, "/appointments?practitionerId=" + s.practitioner.String(),
						"/practitioners/" + s.practitioner.String() + "/availability", "/calendar-feeds",
						"/calendar-entries?practitionerId=" + s.practitioner.String(),
					} {
						text += string(c.Admin().Get(t, item).OK(t).Raw)
					}
					return text
				}
				before, target := stored(), call.target(c, s)
				foreign := c.As(c.Other.Tokens[role]).Send(t, call.method, target, b)
				c.As("").Send(t, call.method, target, b).Refused(t, http.StatusUnauthorized, "unauthenticated")
				require.Equal(t, before, stored(), "no call of another practice or of an unrelated user changes anything")
				own := func() harness.Answer { return c.As(c.Own.Tokens[role]).Send(t, call.method, target, b) }
				if slices.Contains(call.beyond, role) {
					require.Equal(t, call.foreign, foreign.Text("code"), "%s", foreign.Raw)
					require.Equal(t, call.foreign, own().Text("code"))
					require.Equal(t, before, stored(), "a refusal changes nothing")
					return
				}
				if !slices.Contains(call.allowed, role) {
					foreign.Refused(t, http.StatusForbidden, "forbidden")
					own().Refused(t, http.StatusForbidden, "forbidden")
					require.Equal(t, before, stored(), "a refusal changes nothing")
					return
				}
				if call.foreign == "" {
					require.Empty(t, foreign.OK(t).Body["data"])
				} else {
					require.Equal(t, call.foreign, foreign.Text("code"), "%s", foreign.Raw)
				}
				answer := own()
				require.Less(t, answer.Status, 300, "%s", answer.Raw)
				if call.method != http.MethodGet && !strings.HasSuffix(call.path, "/preview") {
					require.NotEqual(t, before, stored(), "it has had an effect")
				}
			})
		}
	}
	c.RequireClean(t)
}

// TestEveryRouteHasRoleTests checks that the role tests include every operation of
// authorizations and appointments.
func TestEveryRouteHasRoleTests(t *testing.T) {
	t.Parallel()
	tried := map[string]bool{
		"POST /units/bulk":         true, // TestBulkNeedsThePermissionOfEachOperation
		"GET /calendars/:file":     true, // TestCalendarFeeds: requires no role
		"PATCH /organizations/:id": true, // TestEveryRoleOnEveryRoute, like other operations on organizations
	}
	for _, call := range slices.Concat(unitCalls, reportCalls) {
		tried[call.method+" "+call.path] = true
	}
	for _, call := range appointmentCalls {
		tried[call.method+" "+call.path] = true
	}
	for _, call := range deskCalls {
		tried[call.method+" "+call.path] = true
	}
	c := harness.Open(t)
	for _, r := range slices.Concat(c.App.Authorizations.Routes(), c.App.Appointments.Routes()) {
		require.True(t, tried[r.Method+" "+r.Path], "%s %s is in no table of calls", r.Method, r.Path)
	}
}

// TestEveryRoleOnEveryRoute calls every operation as every role. Exactly the roles
// without the permission are refused, regardless of the request.
func TestEveryRoleOnEveryRoute(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	for _, r := range c.App.Routes() {
		if r.Permission == httpx.Public {
			continue
		}
		target := c.URL + "/api/v1" + anyParameter.ReplaceAllString(r.Path, uuid.NewString())
		ask := func(token string) int {
			request, err := http.NewRequestWithContext(t.Context(), r.Method, target, strings.NewReader("{"))
			require.NoError(t, err)
			request.Header.Set("Content-Type", "application/json")
			request.Header.Set("Last-Event-ID", "none") // otherwise the stream would begin
			if token != "" {
				request.Header.Set("Authorization", "Bearer "+token)
			}
			response, err := http.DefaultClient.Do(request)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			return response.StatusCode
		}
		require.Equal(t, http.StatusUnauthorized, ask(""), "%s %s", r.Method, r.Path)
		for _, role := range rbac.Roles() {
			held := r.Permission == httpx.SignedIn || slices.Contains(role.Permissions(), r.Permission)
			status := ask(c.Own.Tokens[role])
			require.Equal(t, held, status != http.StatusForbidden, "%s: %s %s answered %d", role, r.Method, r.Path, status)
			require.Less(t, status, 500, "%s: %s %s", role, r.Method, r.Path)
		}
	}
}
