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

	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/httpx"
)

// deskCall is a call on working hours, openings, calendar links, or a series.
type deskCall struct {
	method, path, query string
	allowed             []rbac.Role
	body                func(c *clinic, s desk) body
	foreign             string      // refusal code for another practice; "": an empty list
	beyond              []rbac.Role // hold the permission for other records only, with the same refusal
}

// desk has the records for the calls.
type desk struct {
	authorization string
	practitioner  uuid.UUID
	appointment   string // the first of a series of three
	feed          uuid.UUID
	next          time.Time // an open time
}

// deliverers may act on their own appointments.
var deliverers = append(slices.Clone(bookers), "TECHNICIAN")

var anyParameter = regexp.MustCompile(`:[A-Za-z]+`)

func nothing(*clinic, desk) body { return body{} }

// series is a booking of a series.
func series(c *clinic, s desk) body {
	return c.booking(s.authorization, s.practitioner, s.next, 15*time.Minute, body{"recurrenceRule": "FREQ=DAILY;COUNT=3"})
}

// deskCalls are all calls, with the roles that may make them in their own organization.
var deskCalls = []deskCall{
	{http.MethodGet, "/practitioners/:id/availability", "", deliverers, nil, "availability-practitioner-not-found", nil},
	{http.MethodPut, "/practitioners/:id/availability", "", bookers, func(*clinic, desk) body {
		return body{
			"weekly":              everyDay("09:00", "13:00"),
			"exceptions":          []body{},
			"bufferBeforeMinutes": 0,
			"bufferAfterMinutes":  15,
		}
	}, "availability-practitioner-not-found", nil},
	{
		http.MethodGet, "/practitioners/:id/openings", "?from=2026-12-01&to=2026-12-02&minutes=60", deliverers, nil,
		"availability-practitioner-not-found", nil,
	},
	{http.MethodPost, "/practitioners/:id/calendar-feed", "", deliverers, nothing, "calendar-owner-not-found", nil},
	{
		http.MethodPost, "/patients/:id/calendar-feed", "", bookers, nothing, "calendar-owner-not-found",
		[]rbac.Role{"TECHNICIAN"},
	},
	{http.MethodGet, "/calendar-feeds", "", deliverers, nil, "", nil},
	{http.MethodDelete, "/calendar-feeds/:id", "", deliverers, nil, "calendar-feed-not-found", nil},

	{http.MethodPost, "/appointments", "", bookers, series, "validation-failed", nil},
	{http.MethodPost, "/appointments/preview", "", bookers, series, "validation-failed", nil},
	{http.MethodPatch, "/appointments/:id", "?scope=all", bookers, func(_ *clinic, s desk) body {
		return body{"startTime": s.next.Add(15 * time.Minute).UTC(), "endTime": s.next.Add(30 * time.Minute).UTC()}
	}, "appointment-not-found", nil},
	{http.MethodPost, "/appointments/:id/cancel", "?scope=following", bookers, nothing, "appointment-not-found", nil},
}

func (call deskCall) target(c *clinic, s desk) string {
	for prefix, id := range map[string]string{
		"/practitioners/": s.practitioner.String(), "/patients/": c.own.patient.String(),
		"/appointments/": idOf(s.appointment), "/calendar-feeds/": s.feed.String(),
	} {
		if strings.HasPrefix(call.path, prefix) {
			return strings.Replace(call.path, ":id", id, 1) + call.query
		}
	}
	return call.path + call.query
}

func TestEveryRoleOnEveryDeskCall(t *testing.T) {
	t.Parallel()
	skipUnlessLong(t)
	c := open(t)
	path := c.authorize(t, 10_000)
	slot := 0 // of three quarters of an hour, 32 a day; a series occupies three days
	for _, call := range deskCalls {
		for _, role := range rbac.Roles() {
			t.Run(fmt.Sprintf("%s, %s %s%s", role, call.method, call.path, call.query), func(t *testing.T) {
				s := desk{
					authorization: path, practitioner: c.employ(t),
					next: c.hour(t, 1+slot/32*4, "00:00").Add(time.Duration(slot%32) * 45 * time.Minute),
				}
				slot++
				c.link(t, c.own, s.practitioner)
				s.appointment = c.book(t, series(c, s))
				s.feed = c.admin().post(t, "/practitioners/"+s.practitioner.String()+"/calendar-feed", body{}).created(t)
				s.next = s.next.Add(15 * time.Minute)
				var b body
				if call.body != nil {
					b = call.body(c, s)
				}
				stored := func() string {
					text := ""
					for _, item := range []string{
						path, "/appointments?practitionerId=" + s.practitioner.String(),
						"/practitioners/" + s.practitioner.String() + "/availability", "/calendar-feeds",
					} {
						text += string(c.admin().get(t, item).ok(t).raw)
					}
					return text
				}
				before, target := stored(), call.target(c, s)
				foreign := c.as(c.other.tokens[role]).send(t, call.method, target, b)
				c.as("").send(t, call.method, target, b).refused(t, http.StatusUnauthorized, "unauthenticated")
				require.Equal(t, before, stored(), "no call of another practice or of an unrelated user changes anything")
				own := func() answer { return c.as(c.own.tokens[role]).send(t, call.method, target, b) }
				if slices.Contains(call.beyond, role) {
					require.Equal(t, call.foreign, foreign.text("code"), "%s", foreign.raw)
					require.Equal(t, call.foreign, own().text("code"))
					require.Equal(t, before, stored(), "a refusal changes nothing")
					return
				}
				if !slices.Contains(call.allowed, role) {
					foreign.refused(t, http.StatusForbidden, "forbidden")
					own().refused(t, http.StatusForbidden, "forbidden")
					require.Equal(t, before, stored(), "a refusal changes nothing")
					return
				}
				if call.foreign == "" {
					require.Empty(t, foreign.ok(t).body["data"])
				} else {
					require.Equal(t, call.foreign, foreign.text("code"), "%s", foreign.raw)
				}
				answer := own()
				require.Less(t, answer.status, 300, "%s", answer.raw)
				if call.method != http.MethodGet && !strings.HasSuffix(call.path, "/preview") {
					require.NotEqual(t, before, stored(), "it has had an effect")
				}
			})
		}
	}
	c.requireClean(t)
}

// TestEveryRouteHasRoleTests checks that the role tests include every operation of
// authorizations and appointments.
func TestEveryRouteHasRoleTests(t *testing.T) {
	t.Parallel()
	tried := map[string]bool{
		"POST /units/bulk":     true, // TestBulkNeedsThePermissionOfEachOperation
		"GET /calendars/:file": true, // TestCalendarFeeds: requires no role
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
	c := open(t)
	for _, r := range slices.Concat(c.app.Authorizations.Routes(), c.app.Appointments.Routes()) {
		require.True(t, tried[r.Method+" "+r.Path], "%s %s is in no table of calls", r.Method, r.Path)
	}
}

// TestEveryRoleOnEveryRoute calls every operation as every role. Exactly the roles
// without the permission are refused, regardless of the request.
func TestEveryRoleOnEveryRoute(t *testing.T) {
	t.Parallel()
	c := open(t)
	for _, r := range c.app.Routes() {
		if r.Permission == httpx.Public {
			continue
		}
		target := c.url + "/api/v1" + anyParameter.ReplaceAllString(r.Path, uuid.NewString())
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
			status := ask(c.own.tokens[role])
			require.Equal(t, held, status != http.StatusForbidden, "%s: %s %s answered %d", role, r.Method, r.Path, status)
			require.Less(t, status, 500, "%s: %s %s", role, r.Method, r.Path)
		}
	}
}
