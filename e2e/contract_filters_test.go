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

// TestEveryBooleanFilterHasThreeStates requests each list with a boolean filter three times: all,
// true, and false. Both halves are not empty, and together they are all. It finds the filters in
// the OpenAPI document.
func TestEveryBooleanFilterHasThreeStates(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	fixtures := map[string]func(t *testing.T) (path string){
		"listReservations open":            func(t *testing.T) string { return openAndReleased(t, c) },
		"listSessions voided":              func(t *testing.T) string { return voidedAndNot(t, c) },
		"listSessions unauthorized":        func(t *testing.T) string { return authorizedAndNot(t, c) },
		"listSessions awaitingMySignature": func(t *testing.T) string { return awaitingAndNot(t, c) },
		"listAlerts acknowledged":          func(t *testing.T) string { return acknowledgedAndNot(t, c) },
		"reportExpiring renewed":           func(t *testing.T) string { return renewedAndNot(t, c) },
		"listUsers disabled":               func(t *testing.T) string { return enabledAndNot(t, c) },
		"listEmergencyGrants reviewed":     func(t *testing.T) string { return reviewedAndNot(t, c) },
		"listEmergencyGrants open":         func(t *testing.T) string { return reviewedAndNot(t, c) },
	}
	operations, _ := readOperations(t)
	found := []string{}
	for _, op := range operations {
		for _, p := range op.parameters {
			if p.in == "query" && p.schema["type"] == "boolean" {
				found = append(found, op.name+" "+p.name)
			}
		}
	}
	slices.Sort(found)
	for _, filter := range found {
		t.Run(filter, func(t *testing.T) {
			fixture, ok := fixtures[filter]
			require.True(t, ok, "a new filter needs records on both sides")
			path := fixture(t)
			_, name, _ := strings.Cut(filter, " ")
			ids := func(query string) []string {
				separator := "?"
				if strings.Contains(path, "?") {
					separator = "&"
				}
				var all []string
				for _, item := range c.Admin().Get(t, path+separator+"limit=200"+query).OK(t).Body["data"].([]any) {
					record := item.(map[string]any)
					id, _ := record["id"].(string)
					kind, _ := record["kind"].(string) // of an alert
					all = append(all, id+kind)
				}
				slices.Sort(all)
				return all
			}
			yes, no := ids("&"+name+"=true"), ids("&"+name+"=false")
			require.NotEmpty(t, yes)
			require.NotEmpty(t, no)
			both := append(slices.Clone(yes), no...)
			slices.Sort(both)
			require.Equal(t, ids(""), both)
		})
	}
}

func openAndReleased(t *testing.T, c *harness.Clinic) string {
	path := c.Authorize(t, 20)
	released := c.Admin().Post(t, path+"/reserve", harness.Body{"units": 1}).ReservationID(t)
	c.Admin().Post(t, path+"/release", harness.Body{"reservationId": released}).OK(t)
	c.Admin().Post(t, path+"/reserve", harness.Body{"units": 2}).ReservationID(t)
	return path + "/reservations"
}

func authorizedAndNot(t *testing.T, c *harness.Clinic) string {
	path, practitioner := c.Authorize(t, 5), c.AddPractitioner(t)
	for i, length := range []time.Duration{time.Hour, 90 * time.Minute} {
		at := c.At(t, -2-i, "09:00")
		booked := c.Book(t, c.Booking(path, practitioner, at, 15*time.Minute))
		c.Admin().Post(t, booked+"/complete", harness.Body{"startTime": at, "endTime": at.Add(length), "confirm": true}).OK(t)
	}
	return "/sessions"
}

func acknowledgedAndNot(t *testing.T, c *harness.Clinic) string {
	for range 2 {
		path := c.Authorize(t, 10)
		c.Admin().Post(t, path+"/reserve", harness.Body{"units": 10})
	}
	alerts := c.Admin().Get(t, "/alerts").OK(t).Body["data"].([]any)
	c.Admin().Post(t, "/alerts/"+alerts[0].(map[string]any)["id"].(string)+"/acknowledge", harness.Body{})
	return "/alerts"
}

func renewedAndNot(t *testing.T, c *harness.Clinic) string {
	today := c.Clock.Now()
	day := func(n int) string { return today.AddDate(0, 0, n).Format(time.DateOnly) }
	c.Authorize(t, 10, harness.Body{"startDate": day(-30), "endDate": day(20)})
	c.Authorize(t, 10, harness.Body{"startDate": day(21), "endDate": day(90)})
	other := c.Admin().Post(t, "/patients", harness.Body{"firstName": "B", "lastName": "C", "dateOfBirth": "2019-01-01"}).
		Created(t)
	c.Authorize(t, 10, harness.Body{"patientId": other, "startDate": day(-30), "endDate": day(20)})
	return "/reports/expiring"
}

func voidedAndNot(t *testing.T, c *harness.Clinic) string {
	path, practitioner := c.Authorize(t, 20), c.AddPractitioner(t)
	for i := range 2 {
		session := "/sessions/" + completed(t, c,
			c.Book(t, c.Booking(path, practitioner, c.At(t, -7-i, "09:00"), time.Hour)))
		if i == 0 {
			c.Admin().Post(t, session+"/void", harness.Body{"appointment": "CANCELLED", "reason": "Not rendered."}).OK(t)
		}
	}
	return "/sessions"
}

// awaitingAndNot has one session that lacks the signature of the administrator, who is a practitioner
// here, and one without a note.
func awaitingAndNot(t *testing.T, c *harness.Clinic) string {
	own := c.AddPractitioner(t)
	c.Admin().Patch(t, c.UserWithRole(t, c.Admin(), rbac.Admin), harness.Body{"practitionerId": own}).OK(t)
	service := addService(t, c, "97152")
	c.Admin().Patch(t, "/service-codes/"+service.String(),
		harness.Body{"note": harness.Body{"signers": []any{"TECHNICIAN"}, "startsOn": "2020-01-01"}}).OK(t)
	path := c.Authorize(t, 20, harness.Body{"serviceCodeId": service})
	for i, b := range []harness.Body{{}, {"narrative": "Complete."}} {
		at := c.At(t, -5-i, "09:00")
		completed(t, c, c.Book(t, c.Booking(path, own, at, time.Hour, harness.Body{"serviceCodeId": service})), b)
	}
	return "/sessions?practitionerId=" + own.String()
}

func enabledAndNot(t *testing.T, c *harness.Clinic) string {
	c.Admin().Patch(t, c.UserWithRole(t, c.Admin(), rbac.Biller), harness.Body{"disabled": true}).OK(t)
	return "/users"
}

func reviewedAndNot(t *testing.T, c *harness.Clinic) string {
	technician := c.As(c.Own.Tokens[rbac.Technician])
	take := func() string {
		return "/emergency-grants/" + technician.Post(t, "/emergency-grants",
			harness.Body{"patientId": c.Own.Patient, "reason": emergencyReason}).Created(t).String()
	}
	over := take()
	technician.Post(t, over+"/revoke", harness.Body{}).OK(t)
	c.Admin().Post(t, over+"/review", harness.Body{"justified": true}).OK(t)
	take()
	return "/emergency-grants"
}

// TestAnExpiredHoldIsNotOpenAnywhere reads a hold after its expiry and before the sweeper releases
// it.
func TestAnExpiredHoldIsNotOpenAnywhere(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 10)
	hold := c.Admin().Post(t, path+"/reserve", harness.Body{"units": 10, "expiresInSeconds": 60})
	require.Equal(t, true, hold.Body["reservation"].(map[string]any)["open"])
	require.Equal(t, "EXHAUSTED", c.Admin().Get(t, path).Text("status"))
	c.Clock.Advance(time.Minute)

	listed := func(query string) []any {
		return c.Admin().Get(t, path+"/reservations"+query).OK(t).Body["data"].([]any)
	}
	require.Equal(t, false, listed("")[0].(map[string]any)["open"])
	require.Empty(t, listed("?open=true"))
	require.Len(t, listed("?open=false"), 1)
	c.RequireBalance(t, path, 10, 0, 0)
	require.Equal(t, "ACTIVE", c.Admin().Get(t, path).Text("status"))
	require.Equal(t, 10, c.Admin().Get(t, path+"/available-units").OK(t).Number(t, "availableUnits"))
	require.Empty(t, c.Admin().Get(t, "/alerts").OK(t).Body["data"])
	usage := c.Admin().Get(t, "/reports/utilization").OK(t).Body["data"].([]any)[0].(map[string]any)
	require.EqualValues(t, 0, usage["scheduledUnits"])
	c.Admin().Post(t, path+"/release", harness.Body{"reservationId": hold.Body["reservation"].(map[string]any)["id"]}).
		Refused(t, http.StatusConflict, "reservation-closed")

	_, err := c.App.Authorizations.SweepHolds(t.Context())
	require.NoError(t, err)
	c.RequireBalance(t, path, 10, 0, 0)
	require.Len(t, listed("?open=false"), 1)
	c.RequireClean(t)
}
