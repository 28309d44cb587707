package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
)

// appointmentCalls are all calls on appointments and sessions, with the roles that may
// make them in their own organization.
var appointmentCalls = []struct {
	method, path string // :id is an open appointment, or its session
	body         harness.Body
	allowed      []rbac.Role
}{
	{http.MethodPost, "/appointments", harness.Body{}, bookers},
	{http.MethodPost, "/appointments/preview", harness.Body{}, bookers},
	{http.MethodGet, "/appointments", nil, family},
	{http.MethodGet, "/appointments/:id", nil, family},
	{http.MethodPatch, "/appointments/:id", harness.Body{"notes": "seen"}, bookers},
	{http.MethodPost, "/appointments/:id/change-weekdays", mondays, bookers},
	{http.MethodPost, "/appointments/:id/change-weekdays/preview", mondays, bookers},
	{http.MethodPost, "/appointments/:id/start", harness.Body{}, []rbac.Role{"ADMIN", "PRACTITIONER", "TECHNICIAN"}},
	{http.MethodPost, "/appointments/:id/clock-out", harness.Body{}, []rbac.Role{"ADMIN", "PRACTITIONER", "TECHNICIAN"}},
	{
		http.MethodPost, "/appointments/:id/reopen",
		harness.Body{"reason": "The wrong one."},
		[]rbac.Role{"ADMIN", "PRACTITIONER", "TECHNICIAN"},
	},
	{http.MethodPost, "/appointments/:id/complete", harness.Body{}, []rbac.Role{"ADMIN", "PRACTITIONER", "TECHNICIAN"}},
	{http.MethodPost, "/appointments/:id/cancel", harness.Body{}, bookers},
	{
		http.MethodPost, "/appointments/:id/no-show", harness.Body{}, []rbac.Role{
			"ADMIN", "SCHEDULER", "PRACTITIONER", "TECHNICIAN",
		},
	},
	{http.MethodGet, "/sessions", nil, []rbac.Role{"ADMIN", "PRACTITIONER", "TECHNICIAN", "BILLER", "AUDITOR"}},
	{http.MethodGet, "/sessions/:id", nil, []rbac.Role{"ADMIN", "PRACTITIONER", "TECHNICIAN", "BILLER", "AUDITOR"}},
	{
		http.MethodPut,
		"/sessions/:id/note",
		harness.Body{"narrative": "seen"},
		[]rbac.Role{"ADMIN", "PRACTITIONER", "TECHNICIAN"},
	},
	{http.MethodGet, "/sessions/:id/note", nil, []rbac.Role{"ADMIN", "PRACTITIONER", "TECHNICIAN", "BILLER", "AUDITOR"}},
	{
		http.MethodGet, "/sessions/:id/signatures", nil,
		[]rbac.Role{"ADMIN", "PRACTITIONER", "TECHNICIAN", "BILLER", "AUDITOR"},
	},
	{
		http.MethodPost, "/sessions/:id/signatures",
		harness.Body{"role": "CAREGIVER", "name": "Ana", "mark": "Ana", "textHash": strings.Repeat("0", 64)},
		[]rbac.Role{"ADMIN", "PRACTITIONER", "TECHNICIAN"},
	},
	{http.MethodGet, "/sessions/conflicts", nil, []rbac.Role{"ADMIN", "PRACTITIONER", "TECHNICIAN", "BILLER", "AUDITOR"}},
	{http.MethodGet, "/reports/visits", nil, []rbac.Role{"ADMIN", "PRACTITIONER", "TECHNICIAN", "BILLER", "AUDITOR"}},
	{
		http.MethodPost,
		"/sessions/:id/addenda",
		harness.Body{"text": "seen"},
		[]rbac.Role{"ADMIN", "PRACTITIONER", "TECHNICIAN"},
	},
	{http.MethodGet, "/sessions/:id/versions", nil, []rbac.Role{"ADMIN", "PRACTITIONER", "TECHNICIAN", "BILLER", "AUDITOR"}},
	{http.MethodPost, "/sessions/:id/correct", harness.Body{"reason": "seen"}, correctors},
	{http.MethodPost, "/sessions/:id/correct/preview", harness.Body{}, correctors},
	{http.MethodPost, "/sessions/:id/void", harness.Body{"reason": "seen", "appointment": "CANCELLED"}, correctors},
}

// mondays move to the following day; the appointment of a call may be on another weekday, which is kept.
var mondays = harness.Body{"weekdays": []any{harness.Body{"from": "MONDAY", "to": "TUESDAY"}}}

var correctors = []rbac.Role{"ADMIN", "PRACTITIONER", "TECHNICIAN", "BILLER"}

func TestAppointmentEveryRouteIsCalled(t *testing.T) {
	t.Parallel()
	routes, called := map[string]bool{}, map[string]bool{}
	for _, r := range harness.Open(t).App.Routes() {
		if strings.HasPrefix(r.Path, "/appointments") || strings.HasPrefix(r.Path, "/sessions") ||
			r.Path == "/reports/visits" {
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
	harness.SkipUnlessLong(t)
	c := harness.OpenInTheAfternoon(t)
	path := c.Authorize(t, 100_000)
	practitioner := c.AddPractitioner(t)
	c.LinkUsers(t, c.Own, practitioner, c.Own.Patient)
	analyst := c.AddPractitioner(t) // with the patient on the caseload
	c.Admin().Patch(t, c.UserWithRole(t, c.Admin(), rbac.Practitioner), harness.Body{"practitionerId": analyst}).OK(t)
	c.Admin().Post(t, "/practitioners/"+analyst.String()+"/caseload", harness.Body{"patientId": c.Own.Patient}).OK(t)
	next := c.Ago(23 * time.Hour)
	var last time.Time
	booking := func() harness.Body {
		b := c.Booking(path, practitioner, next, 5*time.Minute)
		last, next = next, next.Add(5*time.Minute)
		return b
	}
	done := c.Admin().Post(t, c.Book(t, booking())+"/complete", harness.Body{}).OK(t)
	session := "/sessions/" + done.Body["session"].(map[string]any)["id"].(string)
	stored := func(paths ...string) string {
		text := string(c.Admin().Get(t, path).Raw) + string(c.Admin().Get(t, session).Raw)
		for _, item := range paths {
			text += string(c.Admin().Get(t, item).Raw)
		}
		return text
	}
	for _, role := range rbac.Roles() {
		for _, call := range appointmentCalls {
			t.Run(fmt.Sprintf("%s, %s %s", role, call.method, call.path), func(t *testing.T) {
				booked := c.Book(t, booking())
				target := strings.Replace(strings.Replace(call.path, "/appointments/:id", booked, 1), "/sessions/:id", session, 1)
				b := call.body
				switch {
				case strings.HasSuffix(call.path, "/start"):
					b = harness.Body{"startTime": last}
				case role == rbac.Technician && (strings.Contains(call.path, "/correct") || strings.HasSuffix(call.path, "/void")):
					return // on the day only: TestTechnicianCorrectsOwnSessionsOfTheDay
				case call.method == http.MethodPost && strings.HasSuffix(call.path, "/signatures"):
					fresh := "/sessions/" + completed(t, c, booked, harness.Body{"narrative": "n"})
					target = fresh + "/signatures"
					b = harness.Body{
						"role": "CAREGIVER", "name": "Ana", "mark": "Ana",
						"textHash": c.Admin().Get(t, fresh+"/note").OK(t).Text("textHash"),
					}
				case strings.HasSuffix(call.path, "/void"):
					target = "/sessions/" + completed(t, c, booked) + "/void"
				case strings.HasSuffix(call.path, "/reopen"), strings.HasSuffix(call.path, "/clock-out"):
					c.Admin().Post(t, booked+"/start", harness.Body{"startTime": last}).OK(t)
				}
				if call.method == http.MethodPost && (call.path == "/appointments" || call.path == "/appointments/preview") {
					b = booking()
				}
				before := stored(booked)
				foreign := c.As(c.Other.Tokens[role]).Send(t, call.method, target, b)
				require.Equal(t, before, stored(booked), "another practice's call changes nothing")
				if !slices.Contains(call.allowed, role) {
					foreign.Refused(t, http.StatusForbidden, "forbidden")
					c.As(c.Own.Tokens[role]).Send(t, call.method, target, b).Refused(t, http.StatusForbidden, "forbidden")
					require.Equal(t, before, stored(booked), "a refusal changes nothing")
					return
				}
				switch {
				case strings.Contains(call.path, ":id"):
					require.Equal(t, http.StatusNotFound, foreign.Status, "%s", foreign.Raw)
				case call.method == http.MethodGet:
					require.Empty(t, foreign.OK(t).Body["data"])
				default:
					foreign.Refused(t, http.StatusUnprocessableEntity, "validation-failed")
				}
				own := c.As(c.Own.Tokens[role]).Send(t, call.method, target, b)
				require.Less(t, own.Status, 300, "%s", own.Raw)
				c.As("").Send(t, call.method, target, b).Refused(t, http.StatusUnauthorized, "unauthenticated")
			})
		}
	}
	c.RequireClean(t)
}
