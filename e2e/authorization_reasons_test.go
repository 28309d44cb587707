package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
)

// TestEveryReasonIsKeptAndShown makes a change with a reason by every operation whose body has one,
// at any depth, and finds the reason in the answers. It finds the operations in the OpenAPI
// document.
func TestEveryReasonIsKeptAndShown(t *testing.T) {
	t.Parallel()
	c := open(t)
	path, who := c.authorize(t, 1000), c.employ(t)
	id := idOf(path)
	reserved := func() string { return c.admin().post(t, path+"/reserve", body{"units": 2}).reservationID(t) }
	day := -20
	booked := func(of string) string {
		day++
		return c.book(t, c.booking(of, who, c.hour(t, day, "09:00"), hour))
	}
	entries := func() string { return string(c.admin().get(t, path+"/entries?limit=200").ok(t).raw) }
	trail := func(action string) string {
		return string(c.admin().get(t, "/admin/audit-events?limit=200&action="+action).ok(t).raw)
	}
	// Each makes a change with the reason, and returns an answer that shows it.
	changes := map[string]func(t *testing.T, reason string) string{
		"changeAuthorization": func(t *testing.T, reason string) string {
			c.admin().patch(t, c.authorize(t, 5), body{"status": "CANCELLED", "reason": reason}).ok(t)
			return trail("authorization.change")
		},
		"releaseUnits": func(t *testing.T, reason string) string {
			c.admin().post(t, path+"/release", body{"reservationId": reserved(), "reason": reason}).ok(t)
			return entries()
		},
		"consumeUnits": func(t *testing.T, reason string) string {
			c.admin().post(t, path+"/consume", body{"reservationId": reserved(), "reason": reason}).ok(t)
			return entries()
		},
		"bulkOperations": func(t *testing.T, reason string) string {
			c.admin().post(t, "/units/bulk", body{"atomic": true, "operations": []any{
				body{"operation": "release", "authorizationId": id, "reservationId": reserved(), "reason": reason},
			}}).ok(t)
			return entries()
		},
		"cancelAppointment": func(t *testing.T, reason string) string {
			at := booked(path)
			c.admin().post(t, at+"/cancel", body{"reason": reason}).ok(t)
			return string(c.admin().get(t, at).raw)
		},
		"noShowAppointment": func(t *testing.T, reason string) string {
			at := booked(path)
			c.admin().post(t, at+"/no-show", body{"reason": reason}).ok(t)
			return string(c.admin().get(t, at).raw)
		},
		"reopenAppointment": func(t *testing.T, reason string) string {
			at := c.book(t, c.booking(path, who, c.ago(hour/2), hour))
			c.admin().post(t, at+"/start", body{}).ok(t)
			c.admin().post(t, at+"/reopen", body{"reason": reason}).ok(t)
			return string(c.admin().get(t, at).raw)
		},
		"moveBookings": func(t *testing.T, reason string) string {
			from, to := c.authorize(t, 20), c.authorize(t, 20)
			booked(from)
			c.admin().post(t, from+"/move-bookings",
				body{"toAuthorizationId": idOf(to), "from": c.day(t, -25), "reason": reason}).ok(t)
			require.Contains(t, string(c.admin().get(t, to+"/entries").ok(t).raw), reason)
			return trail("appointment.transfer")
		},
		"takeEmergencyGrant": func(t *testing.T, reason string) string {
			return string(c.as(c.own.tokens[rbac.Technician]).
				post(t, "/emergency-grants", body{"patientId": c.own.patient, "reason": reason}).raw)
		},
	}
	operations, schemas := readOperations(t)
	m := maker{schemas: schemas}
	found := 0
	for _, op := range operations {
		takes := slices.ContainsFunc(m.members(op.body, "", map[string]bool{}), func(f requestField) bool {
			return f.in == "body" && strings.HasSuffix("."+strings.ReplaceAll(f.name, "[]", ""), ".reason")
		})
		if !takes {
			continue
		}
		found++
		t.Run(op.name, func(t *testing.T) {
			change, ok := changes[op.name]
			require.True(t, ok, "a new reason needs an entry here")
			reason := "because of " + op.name + " on " + time.Now().Format(time.RFC3339Nano)
			require.Contains(t, change(t, reason), reason)
		})
	}
	require.Len(t, changes, found)
}

func TestEveryChangedTermKeepsItsReason(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 20)
	for field, value := range map[string]any{
		"status": "CANCELLED", "authNumber": "A-7", "endDate": c.day(t, 100), "startDate": c.day(t, -10), "notes": "n",
		"caps": []any{body{"period": "DAY", "units": 8}}, "insuranceId": c.insuredBy(t, "FLOOR"),
	} {
		reason := "The payer wrote about " + field
		c.admin().patch(t, path, body{field: value, "reason": reason}).ok(t)
		found := string(c.admin().get(t, "/admin/audit-events?limit=200&action=authorization.change").ok(t).raw)
		require.Contains(t, found, reason)
	}
	invalid := c.admin().patch(t, path, body{"reason": "for nothing"}).
		refused(t, http.StatusUnprocessableEntity, "validation-failed")
	require.Contains(t, string(invalid.raw), `"field":"reason"`)
	path = c.authorize(t, 20)
	c.admin().patch(t, path, body{"totalUnits": 30, "reason": "more were granted"}).ok(t)
	require.Contains(t, string(c.admin().get(t, path+"/entries").ok(t).raw), "more were granted")
}
