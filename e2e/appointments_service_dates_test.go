package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
)

// ownPath is the path of the clinic's own organization.
func ownPath(c *harness.Clinic) string { return "/organizations/" + c.Own.ID.String() }

func TestSettingsOfAnOrganizationHaveLimits(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	for _, setting := range []struct {
		name  string
		value any
	}{{"lateCancelHours", 721}, {"lateCancelHours", -1}, {"noShowConsumes", "yes"}} {
		refused := c.Admin().Patch(t, ownPath(c), harness.Body{setting.name: setting.value}).
			Refused(t, http.StatusUnprocessableEntity, "validation-failed")
		require.Equal(t, setting.name, refused.Body["errors"].([]any)[0].(map[string]any)["field"])
	}
}

// TestNewTimeZoneRequiresADecisionAboutServiceDates: 22:00 in New York is the next day in UTC.
func TestNewTimeZoneRequiresADecisionAboutServiceDates(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 40, harness.Body{"caps": []harness.Body{{"period": "DAY", "units": 4}}})
	practitioner := c.AddPractitioner(t)
	noon := c.Book(t, c.Booking(path, practitioner, c.At(t, 1, "12:00"), time.Hour))
	late := c.Book(t, c.Booking(path, practitioner, c.At(t, 2, "22:00"), time.Hour))
	again := c.Book(t, c.Booking(path, practitioner, c.At(t, 3, "22:00"), time.Hour))
	gone := c.Book(t, c.Booking(path, practitioner, c.At(t, 4, "22:00"), time.Hour))
	c.Admin().Post(t, gone+"/cancel", harness.Body{}).OK(t)

	before := c.Admin().Get(t, ownPath(c)).OK(t)
	c.Admin().Patch(t, ownPath(c), harness.Body{"timeZone": "America/Toronto"}).OK(t) // changes no date
	c.Admin().Patch(t, ownPath(c), harness.Body{"timeZone": before.Text("timeZone")}).OK(t)
	refused := c.Admin().Patch(t, ownPath(c), harness.Body{"timeZone": "UTC", "lateCancelHours": 12}).
		Refused(t, http.StatusConflict, "service-dates-change")
	require.Equal(t, 2, refused.Number(t, "total"))
	listed := refused.Body["bookings"].([]any)
	require.Len(t, listed, 2)
	for i, want := range []struct {
		path string
		day  int
	}{{late, 2}, {again, 3}} {
		b := harness.Answer{Body: listed[i].(map[string]any)}
		require.Equal(t, harness.IDOf(want.path), b.Text("appointmentId"))
		require.Equal(t, c.Date(t, want.day), b.Text("serviceDate"))
		require.Equal(t, c.Date(t, want.day+1), b.Text("newServiceDate"))
		require.Equal(t, 4, b.Number(t, "units"))
	}
	require.Equal(t, before.Text("timeZone"), c.Admin().Get(t, ownPath(c)).Text("timeZone"))
	require.Equal(t, 24, c.Admin().Get(t, ownPath(c)).Number(t, "lateCancelHours"),
		"the refused change has had no effect")
	c.Admin().Patch(t, ownPath(c), harness.Body{"timeZone": "UTC", "serviceDates": "GUESS"}).
		Refused(t, http.StatusUnprocessableEntity, "validation-failed")

	// Each of the two moves to the other's day, which allows only one of them.
	c.Admin().Patch(t, ownPath(c), harness.Body{"timeZone": "UTC", "serviceDates": "MOVE"}).OK(t)
	for of, day := range map[string]int{noon: 1, late: 3, again: 4, gone: 4} {
		require.Equal(t, c.Date(t, day), c.Admin().Get(t, of).Text("serviceDate"), of)
	}
	c.RequireBalance(t, path, 40, 0, 12)
	c.RequireClean(t)
	free := harness.Body{"units": 4, "serviceDate": c.Date(t, 2)}
	c.Admin().Post(t, path+"/reserve", free).ReservationID(t)
	full := harness.Body{"units": 1, "serviceDate": c.Date(t, 4)}
	c.Admin().Post(t, path+"/reserve", full).Refused(t, http.StatusConflict, "cap-exceeded")

	c.Admin().Patch(t, ownPath(c), harness.Body{"timeZone": "America/New_York", "serviceDates": "KEEP"}).OK(t)
	require.Equal(t, c.Date(t, 3), c.Admin().Get(t, late).Text("serviceDate"), "as booked")
	c.RequireClean(t)
	c.Admin().Patch(t, late, harness.Body{"endTime": c.At(t, 2, "22:45").UTC()}).
		Refused(t, http.StatusConflict, "cap-exceeded")
	c.Admin().Patch(t, again, harness.Body{"endTime": c.At(t, 3, "22:45").UTC()}).
		Refused(t, http.StatusConflict, "cap-exceeded")
	require.Equal(t, c.Date(t, 3), c.Admin().Get(t, late).Text("serviceDate"))
	c.RequireClean(t)
}

// TestServiceDatesMoveByTheRulesOfABooking: one new date is after the end of its authorization, so
// no date moves and the time zone stays.
func TestServiceDatesMoveByTheRulesOfABooking(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 40, harness.Body{"endDate": c.Date(t, 3)})
	practitioner := c.AddPractitioner(t)
	first := c.Book(t, c.Booking(path, practitioner, c.At(t, 2, "22:00"), time.Hour))
	last := c.Book(t, c.Booking(path, practitioner, c.At(t, 3, "22:00"), time.Hour))
	refused := c.Admin().Patch(t, ownPath(c), harness.Body{"timeZone": "UTC", "serviceDates": "MOVE"}).
		Refused(t, http.StatusConflict, "service-dates-refused")
	verdicts := refused.Occurrences(t)
	require.Len(t, verdicts, 2)
	require.Empty(t, verdicts[0].Body["reasons"])
	require.Equal(t, harness.IDOf(last), verdicts[1].Text("appointmentId"))
	require.Equal(t, []string{"outside-authorization-dates"}, verdicts[1].Reasons(t))
	require.Equal(t, "America/New_York", c.Admin().Get(t, ownPath(c)).Text("timeZone"))
	require.Equal(t, c.Date(t, 2), c.Admin().Get(t, first).Text("serviceDate"))
	c.RequireBalance(t, path, 40, 0, 8)

	key := c.As(c.Own.Tokens[rbac.Scheduler])
	key.Patch(t, ownPath(c), harness.Body{"timeZone": "UTC", "serviceDates": "MOVE"}).
		Refused(t, http.StatusForbidden, "forbidden")
	c.Admin().Patch(t, ownPath(c), harness.Body{"timeZone": "UTC", "serviceDates": "KEEP"}).OK(t)
	c.Admin().Patch(t, last, harness.Body{"practitionerId": c.AddPractitioner(t)}).
		Refused(t, http.StatusConflict, "outside-authorization-dates")
	moved := c.Admin().Patch(t, first, harness.Body{"practitionerId": c.AddPractitioner(t)}).OK(t)
	require.Equal(t, c.Date(t, 3), moved.Text("serviceDate"), "rescheduled, it has the date of its start")
	c.RequireClean(t)
}

// TestAnotherInstanceBooksInTheNewTimeZone: each process caches time zones for a while.
func TestAnotherInstanceBooksInTheNewTimeZone(t *testing.T) {
	t.Parallel()
	database := harness.TwoPractices.New(t)
	c := harness.Serve(t, database, database.Open(t))
	second := harness.SecondInstance(t, c, database.Open(t))
	path, other, practitioner := c.Authorize(t, 400), c.Authorize(t, 400), c.AddPractitioner(t)
	day := func(days int) string { return c.At(t, days, "22:00").UTC().Format(time.DateOnly) }
	zones := []string{"America/New_York", "UTC"}
	book := func(days int, more harness.Body) harness.Answer {
		return second.Admin().Post(t, "/appointments",
			second.Booking(path, practitioner, c.At(t, days, "22:00"), time.Hour, more))
	}
	require.Equal(t, c.Date(t, 1),
		second.Admin().Get(t, second.Book(t, second.Booking(path, practitioner, c.At(t, 1, "12:00"), time.Hour))).
			Text("serviceDate"))
	inNewZone := func(i int) {
		c.Admin().Patch(t, ownPath(c), harness.Body{"timeZone": zones[i%2], "serviceDates": "MOVE"}).OK(t)
	}
	inNewZone(1)
	single := book(2, nil)
	single.Created(t)
	require.Equal(t, day(2), single.Text("serviceDate"))

	inNewZone(2)
	require.Equal(t, c.Date(t, 2), c.Admin().Get(t, "/appointments/"+single.Text("id")).Text("serviceDate"))
	series := book(10, harness.Body{"recurrenceRule": "FREQ=DAILY;COUNT=2"})
	series.Created(t)
	require.Equal(t, c.Date(t, 10), series.Text("serviceDate"))

	inNewZone(3)
	second.Admin().Post(t, path+"/move-bookings", move(other)).OK(t)
	inNewZone(4)
	second.Admin().Patch(t, other,
		harness.Body{"endDate": c.Date(t, 5), "strandedBookings": "MOVE", "moveToAuthorizationId": harness.IDOf(path)}).OK(t)
	require.Equal(t, c.Date(t, 10), c.Admin().Get(t, "/appointments/"+series.Text("id")).Text("serviceDate"))
	c.RequireClean(t)
}

// TestBookingsWhileTheTimeZoneChanges: in any order, each appointment ends up with the date of its
// start in the final time zone, and its units are on that date.
func TestBookingsWhileTheTimeZoneChanges(t *testing.T) {
	t.Parallel()
	database := harness.TwoPractices.New(t)
	c := harness.Serve(t, database, database.Open(t))
	second := harness.SecondInstance(t, c, database.Open(t))
	path := c.Authorize(t, 400, harness.Body{"caps": []harness.Body{{"period": "DAY", "units": 4}}})
	zones := []string{"UTC", "America/New_York", "UTC"}
	const workers = 3
	staff := make([]uuid.UUID, workers)
	for i := range staff {
		staff[i] = c.AddPractitioner(t)
	}
	harness.Concurrently(1+workers, func(i int) {
		if i == 0 {
			for _, zone := range zones {
				c.Admin().Patch(t, ownPath(c), harness.Body{"timeZone": zone, "serviceDates": "MOVE"})
			}
			return
		}
		for day := range 4 {
			instance := []*harness.Clinic{c, second}[day%2]
			instance.Admin().Post(t, "/appointments",
				instance.Booking(path, staff[i-1], c.At(t, 1+day*workers+i, "22:00"), time.Hour))
		}
	})
	zone, err := time.LoadLocation(c.Admin().Get(t, ownPath(c)).OK(t).Text("timeZone"))
	require.NoError(t, err)
	found := c.Admin().Get(t, "/appointments?status=SCHEDULED&limit=200").OK(t).Body["data"].([]any)
	require.Len(t, found, 4*workers)
	for _, item := range found {
		a := harness.Answer{Body: item.(map[string]any)}
		start, err := time.Parse(time.RFC3339, a.Text("startTime"))
		require.NoError(t, err)
		require.Equal(t, start.In(zone).Format(time.DateOnly), a.Text("serviceDate"))
	}
	c.RequireBalance(t, path, 400, 0, 16*workers)
	c.RequireClean(t)
}
