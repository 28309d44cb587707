package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
)

// appointmentCalls are all calls on appointments and sessions, with the roles that may
// make them in their own organization.
var appointmentCalls = []struct {
	method, path string // :id is an open appointment, or its session
	body         body
	allowed      []rbac.Role
}{
	{http.MethodPost, "/appointments", body{}, bookers},
	{http.MethodPost, "/appointments/preview", body{}, bookers},
	{http.MethodGet, "/appointments", nil, family},
	{http.MethodGet, "/appointments/:id", nil, family},
	{http.MethodPatch, "/appointments/:id", body{"notes": "seen"}, bookers},
	{http.MethodPost, "/appointments/:id/start", body{}, []rbac.Role{"ADMIN", "PRACTITIONER", "TECHNICIAN"}},
	{
		http.MethodPost, "/appointments/:id/reopen",
		body{"reason": "The wrong one."},
		[]rbac.Role{"ADMIN", "PRACTITIONER", "TECHNICIAN"},
	},
	{http.MethodPost, "/appointments/:id/complete", body{}, []rbac.Role{"ADMIN", "PRACTITIONER", "TECHNICIAN"}},
	{http.MethodPost, "/appointments/:id/cancel", body{}, bookers},
	{
		http.MethodPost, "/appointments/:id/no-show", body{}, []rbac.Role{"ADMIN", "SCHEDULER", "PRACTITIONER", "TECHNICIAN"},
	},
	{http.MethodGet, "/sessions", nil, []rbac.Role{"ADMIN", "PRACTITIONER", "TECHNICIAN", "BILLER", "AUDITOR"}},
	{http.MethodGet, "/sessions/:id", nil, []rbac.Role{"ADMIN", "PRACTITIONER", "TECHNICIAN", "BILLER", "AUDITOR"}},
	{http.MethodPatch, "/sessions/:id", body{"narrative": "seen"}, []rbac.Role{"ADMIN", "PRACTITIONER", "TECHNICIAN"}},
	{http.MethodPost, "/sessions/:id/addenda", body{"text": "seen"}, []rbac.Role{"ADMIN", "PRACTITIONER", "TECHNICIAN"}},
}

func TestAppointmentEveryRouteIsCalled(t *testing.T) {
	t.Parallel()
	routes, called := map[string]bool{}, map[string]bool{}
	for _, r := range open(t).app.Routes() {
		if strings.HasPrefix(r.Path, "/appointments") || strings.HasPrefix(r.Path, "/sessions") {
			routes[r.Method+" "+r.Path] = true
		}
	}
	for _, call := range appointmentCalls {
		called[call.method+" "+call.path] = true
	}
	require.Equal(t, routes, called, "appointmentCalls has an entry for every route")
}

func TestAppointmentEveryRoleOnEveryCall(t *testing.T) {
	t.Parallel()
	skipUnlessLong(t)
	c := open(t)
	path := c.authorize(t, 100_000)
	who := c.employ(t)
	c.link(t, c.own, who, c.own.patient)
	next := c.ago(23 * hour)
	var last time.Time
	booking := func() body {
		b := c.booking(path, who, next, 5*time.Minute)
		last, next = next, next.Add(5*time.Minute)
		return b
	}
	done := c.admin().post(t, c.book(t, booking())+"/complete", body{}).ok(t)
	session := "/sessions/" + done.body["session"].(map[string]any)["id"].(string)
	stored := func(paths ...string) string {
		text := string(c.admin().get(t, path).raw) + string(c.admin().get(t, session).raw)
		for _, item := range paths {
			text += string(c.admin().get(t, item).raw)
		}
		return text
	}
	for _, role := range rbac.Roles() {
		for _, call := range appointmentCalls {
			t.Run(fmt.Sprintf("%s, %s %s", role, call.method, call.path), func(t *testing.T) {
				booked := c.book(t, booking())
				target := strings.Replace(strings.Replace(call.path, "/appointments/:id", booked, 1), "/sessions/:id", session, 1)
				b := call.body
				switch {
				case strings.HasSuffix(call.path, "/start"):
					b = body{"startTime": last}
				case strings.HasSuffix(call.path, "/reopen"):
					c.admin().post(t, booked+"/start", body{"startTime": last}).ok(t)
				}
				if call.method == http.MethodPost && (call.path == "/appointments" || call.path == "/appointments/preview") {
					b = booking()
				}
				before := stored(booked)
				foreign := c.as(c.other.tokens[role]).send(t, call.method, target, b)
				require.Equal(t, before, stored(booked), "another practice's call changes nothing")
				if !slices.Contains(call.allowed, role) {
					foreign.refused(t, http.StatusForbidden, "forbidden")
					c.as(c.own.tokens[role]).send(t, call.method, target, b).refused(t, http.StatusForbidden, "forbidden")
					require.Equal(t, before, stored(booked), "a refusal changes nothing")
					return
				}
				switch {
				case strings.Contains(call.path, ":id"):
					require.Equal(t, http.StatusNotFound, foreign.status, "%s", foreign.raw)
				case call.method == http.MethodGet:
					require.Empty(t, foreign.ok(t).body["data"])
				default:
					foreign.refused(t, http.StatusUnprocessableEntity, "validation-failed")
				}
				own := c.as(c.own.tokens[role]).send(t, call.method, target, b)
				require.Less(t, own.status, 300, "%s", own.raw)
				c.as("").send(t, call.method, target, b).refused(t, http.StatusUnauthorized, "unauthenticated")
			})
		}
	}
	c.requireClean(t)
}
