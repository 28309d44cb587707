package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
)

// TestEveryReasonIsKeptAndShown makes a change with a reason by every operation whose body has one,
// at any depth, and finds the reason in the answers. It finds the operations in the OpenAPI
// document.
func TestEveryReasonIsKeptAndShown(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path, practitioner := c.Authorize(t, 1000), c.AddPractitioner(t)
	id := harness.IDOf(path)
	reserved := func() string { return c.Admin().Post(t, path+"/reserve", harness.Body{"units": 2}).ReservationID(t) }
	day := -20
	booked := func(of string) string {
		day++
		return c.Book(t, c.Booking(of, practitioner, c.At(t, day, "09:00"), time.Hour))
	}
	entries := func() string { return string(c.Admin().Get(t, path+"/entries?limit=200").OK(t).Raw) }
	trail := func(action string) string {
		return string(c.Admin().Get(t, "/admin/audit-events?limit=200&action="+action).OK(t).Raw)
	}
	// Each makes a change with the reason, and returns an answer that shows it.
	changes := map[string]func(t *testing.T, reason string) string{
		"changeAuthorization": func(t *testing.T, reason string) string {
			c.Admin().Patch(t, c.Authorize(t, 5), harness.Body{"status": "CANCELLED", "reason": reason}).OK(t)
			return trail("authorization.change")
		},
		"releaseUnits": func(t *testing.T, reason string) string {
			c.Admin().Post(t, path+"/release", harness.Body{"reservationId": reserved(), "reason": reason}).OK(t)
			return entries()
		},
		"consumeUnits": func(t *testing.T, reason string) string {
			c.Admin().Post(t, path+"/consume", harness.Body{"reservationId": reserved(), "reason": reason}).OK(t)
			return entries()
		},
		"bulkOperations": func(t *testing.T, reason string) string {
			c.Admin().Post(t, "/units/bulk", harness.Body{"atomic": true, "operations": []any{
				harness.Body{"operation": "release", "authorizationId": id, "reservationId": reserved(), "reason": reason},
			}}).OK(t)
			return entries()
		},
		"cancelAppointment": func(t *testing.T, reason string) string {
			at := booked(path)
			c.Admin().Post(t, at+"/cancel", harness.Body{"reason": reason}).OK(t)
			return string(c.Admin().Get(t, at).Raw)
		},
		"noShowAppointment": func(t *testing.T, reason string) string {
			at := booked(path)
			c.Admin().Post(t, at+"/no-show", harness.Body{"reason": reason}).OK(t)
			return string(c.Admin().Get(t, at).Raw)
		},
		"reopenAppointment": func(t *testing.T, reason string) string {
			at := c.Book(t, c.Booking(path, practitioner, c.Ago(time.Hour/2), time.Hour))
			c.Admin().Post(t, at+"/start", harness.Body{}).OK(t)
			c.Admin().Post(t, at+"/reopen", harness.Body{"reason": reason}).OK(t)
			return string(c.Admin().Get(t, at).Raw)
		},
		"correctSession": func(t *testing.T, reason string) string {
			session := "/sessions/" + completed(t, c, booked(path))
			c.Admin().Post(t, session+"/correct",
				harness.Body{"endTime": c.At(t, day, "09:30"), "reason": reason}).OK(t)
			require.Contains(t, entries(), reason)
			return string(c.Admin().Get(t, session+"/versions").OK(t).Raw)
		},
		"retractBillingExport": func(t *testing.T, reason string) string {
			o := openBillingOffice(t)
			o.deliver(t, o.authorization, 2)
			export := "/billing/exports/" + o.export(t).Created(t).String()
			o.biller().Post(t, export+"/retract", harness.Body{"reason": reason}).OK(t)
			return string(o.biller().Get(t, export).OK(t).Raw)
		},
		"voidSession": func(t *testing.T, reason string) string {
			session := "/sessions/" + completed(t, c, booked(path))
			c.Admin().Post(t, session+"/void", harness.Body{"appointment": "CANCELLED", "reason": reason}).OK(t)
			return string(c.Admin().Get(t, session).OK(t).Raw)
		},
		"moveBookings": func(t *testing.T, reason string) string {
			from, to := c.Authorize(t, 20), c.Authorize(t, 20)
			booked(from)
			c.Admin().Post(t, from+"/move-bookings",
				harness.Body{"toAuthorizationId": harness.IDOf(to), "from": c.Date(t, -25), "reason": reason}).OK(t)
			require.Contains(t, string(c.Admin().Get(t, to+"/entries").OK(t).Raw), reason)
			return trail("appointment.transfer")
		},
		"takeEmergencyGrant": func(t *testing.T, reason string) string {
			return string(c.As(c.Own.Tokens[rbac.Technician]).
				Post(t, "/emergency-grants", harness.Body{"patientId": c.Own.Patient, "reason": reason}).Raw)
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
	c := harness.Open(t)
	path := c.Authorize(t, 20)
	for field, value := range map[string]any{
		"status": "CANCELLED", "authNumber": "A-7", "endDate": c.Date(t, 100), "startDate": c.Date(t, -10), "notes": "n",
		"caps": []any{harness.Body{"period": "DAY", "units": 8}}, "insuranceId": c.AddInsurance(t, "rounding", "FLOOR"),
	} {
		reason := "The payer wrote about " + field
		c.Admin().Patch(t, path, harness.Body{field: value, "reason": reason}).OK(t)
		found := string(c.Admin().Get(t, "/admin/audit-events?limit=200&action=authorization.change").OK(t).Raw)
		require.Contains(t, found, reason)
	}
	invalid := c.Admin().Patch(t, path, harness.Body{"reason": "for nothing"}).
		Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	require.Contains(t, string(invalid.Raw), `"field":"reason"`)
	path = c.Authorize(t, 20)
	c.Admin().Patch(t, path, harness.Body{"totalUnits": 30, "reason": "more were granted"}).OK(t)
	require.Contains(t, string(c.Admin().Get(t, path+"/entries").OK(t).Raw), "more were granted")
}
