package e2e

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
)

// maxCalendarRequests is the number of requests from the sign-in to a week on the screen.
const maxCalendarRequests = 6

// calendarEntry is an appointment as a calendar draws it.
type calendarEntry struct {
	patient, practitioner, service, authorization, payer, location string
	units                                                          float64
}

// TestWeekCalendarNeedsFewRequests draws a week with the appointments of 120 patients: every name, code and number, and
// the units that each authorization has left.
func TestWeekCalendarNeedsFewRequests(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	want := bookWeek(t, c, 120)
	c.AddUser(t, c.Own, "calendar@example.com", rbac.Scheduler)

	requests := 1
	signedIn := c.SignInByEmail(t, "calendar@example.com")
	get := func(path string) harness.Answer {
		requests++
		return signedIn.Get(t, path).OK(t)
	}
	get("/auth/me")
	drawn := map[string]calendarEntry{}
	query := url.Values{"from": {c.Date(t, 1)}, "to": {c.Date(t, 7)}, "limit": {"200"}}
	for {
		page := get("/appointments?" + query.Encode())
		for _, item := range page.Body["data"].([]any) {
			appointment := item.(map[string]any)
			display := appointment["display"].(map[string]any)
			text := func(name string) string { s, _ := display[name].(string); return s }
			units, _ := display["availableUnits"].(float64)
			drawn[appointment["id"].(string)] = calendarEntry{
				text("patient"), display["practitioners"].([]any)[0].(string), text("serviceCode"), text("authorization"),
				text("payer"), text("location"), units,
			}
		}
		next := page.Text("nextCursor")
		if next == "" {
			break
		}
		query.Set("cursor", next)
	}
	require.Equal(t, want, drawn)
	require.LessOrEqual(t, requests, maxCalendarRequests)
}

// bookWeek books an appointment of one hour for each of the patients, on the days from tomorrow to a week from now. It
// returns what a calendar draws, by the ids of the appointments.
func bookWeek(t *testing.T, c *harness.Clinic, patients int) map[string]calendarEntry {
	t.Helper()
	admin := c.Admin()
	code := admin.Get(t, "/service-codes/"+c.Own.ServiceCode.String()).OK(t).Text("code")
	location := admin.Post(t, "/locations", harness.Body{"name": "North clinic", "kind": "CLINIC"}).Created(t)
	payer := admin.Post(t, "/payers", harness.Body{"name": "Acme Health"}).Created(t)
	const practitioners = 6
	var staff []uuid.UUID
	for i := range practitioners {
		staff = append(staff, admin.Post(t, "/practitioners", harness.Body{
			"firstName": "Sam", "lastName": fmt.Sprintf("Hill-%d", i), "credentials": []any{harness.Body{"code": "RBT"}},
		}).Created(t))
	}
	week := map[string]calendarEntry{}
	for i := range patients {
		patient := admin.Post(t, "/patients", harness.Body{
			"firstName": "Ada", "lastName": fmt.Sprintf("Stone-%d", i), "dateOfBirth": "2018-01-01",
		}).Created(t).String()
		insurance := admin.Post(t, "/insurances", harness.Body{
			"patientId": patient, "payerId": payer, "memberNumber": fmt.Sprintf("M-%d", i), "startsOn": "2020-01-01",
		}).Created(t)
		number := fmt.Sprintf("AUTH-%d", i)
		authorization := c.Authorize(t, 10+i, harness.Body{
			"patientId": patient, "authNumber": number, "insuranceId": insurance,
		})
		day, slot := 1+i/practitioners%7, i/practitioners/7
		path := c.Book(t, c.Booking(authorization, staff[i%practitioners], c.At(t, day, fmt.Sprintf("%02d:00", 9+slot)), time.Hour,
			harness.Body{"patientId": patient, "locationId": location}))
		week[harness.IDOf(path)] = calendarEntry{
			fmt.Sprintf("Ada Stone-%d", i), fmt.Sprintf("Sam Hill-%d", i%practitioners), code, number, "Acme Health",
			"North clinic", float64(10 + i - 4),
		}
	}
	return week
}
