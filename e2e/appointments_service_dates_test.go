package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
)

// practice is the path of the clinic's own organization.
func (c *clinic) practice() string { return "/organizations/" + c.own.id.String() }

func TestSettingsOfAnOrganizationHaveLimits(t *testing.T) {
	t.Parallel()
	c := open(t)
	for _, setting := range []struct {
		name  string
		value any
	}{{"lateCancelHours", 721}, {"lateCancelHours", -1}, {"sessionEditHours", 8761}, {"noShowConsumes", "yes"}} {
		refused := c.admin().patch(t, c.practice(), body{setting.name: setting.value}).
			refused(t, http.StatusUnprocessableEntity, "validation-failed")
		require.Equal(t, setting.name, refused.body["errors"].([]any)[0].(map[string]any)["field"])
	}
}

// TestNewTimeZoneRequiresADecisionAboutServiceDates: 22:00 in New York is the next day in UTC.
func TestNewTimeZoneRequiresADecisionAboutServiceDates(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 40, body{"caps": []body{{"period": "DAY", "units": 4}}})
	who := c.employ(t)
	noon := c.book(t, c.booking(path, who, c.hour(t, 1, "12:00"), hour))
	late := c.book(t, c.booking(path, who, c.hour(t, 2, "22:00"), hour))
	again := c.book(t, c.booking(path, who, c.hour(t, 3, "22:00"), hour))
	gone := c.book(t, c.booking(path, who, c.hour(t, 4, "22:00"), hour))
	c.admin().post(t, gone+"/cancel", body{}).ok(t)

	before := c.admin().get(t, c.practice()).ok(t)
	c.admin().patch(t, c.practice(), body{"timeZone": "America/Toronto"}).ok(t) // changes no date
	c.admin().patch(t, c.practice(), body{"timeZone": before.text("timeZone")}).ok(t)
	refused := c.admin().patch(t, c.practice(), body{"timeZone": "UTC", "lateCancelHours": 12}).
		refused(t, http.StatusConflict, "service-dates-change")
	require.Equal(t, 2, refused.number(t, "total"))
	listed := refused.body["bookings"].([]any)
	require.Len(t, listed, 2)
	for i, want := range []struct {
		path string
		day  int
	}{{late, 2}, {again, 3}} {
		b := answer{body: listed[i].(map[string]any)}
		require.Equal(t, idOf(want.path), b.text("appointmentId"))
		require.Equal(t, c.day(t, want.day), b.text("serviceDate"))
		require.Equal(t, c.day(t, want.day+1), b.text("newServiceDate"))
		require.Equal(t, 4, b.number(t, "units"))
	}
	require.Equal(t, before.text("timeZone"), c.admin().get(t, c.practice()).text("timeZone"))
	require.Equal(t, 24, c.admin().get(t, c.practice()).number(t, "lateCancelHours"),
		"the refused change has had no effect")
	c.admin().patch(t, c.practice(), body{"timeZone": "UTC", "serviceDates": "GUESS"}).
		refused(t, http.StatusUnprocessableEntity, "validation-failed")

	// Each of the two moves to the other's day, which allows only one of them.
	c.admin().patch(t, c.practice(), body{"timeZone": "UTC", "serviceDates": "MOVE"}).ok(t)
	for of, day := range map[string]int{noon: 1, late: 3, again: 4, gone: 4} {
		require.Equal(t, c.day(t, day), c.admin().get(t, of).text("serviceDate"), of)
	}
	c.requireBalance(t, path, 40, 0, 12)
	c.requireClean(t)
	free := body{"units": 4, "serviceDate": c.day(t, 2)}
	c.admin().post(t, path+"/reserve", free).reservationID(t)
	full := body{"units": 1, "serviceDate": c.day(t, 4)}
	c.admin().post(t, path+"/reserve", full).refused(t, http.StatusConflict, "cap-exceeded")

	c.admin().patch(t, c.practice(), body{"timeZone": "America/New_York", "serviceDates": "KEEP"}).ok(t)
	require.Equal(t, c.day(t, 3), c.admin().get(t, late).text("serviceDate"), "as booked")
	c.requireClean(t)
	c.admin().patch(t, late, body{"endTime": c.hour(t, 2, "22:45").UTC()}).refused(t, http.StatusConflict, "cap-exceeded")
	c.admin().patch(t, again, body{"endTime": c.hour(t, 3, "22:45").UTC()}).refused(t, http.StatusConflict, "cap-exceeded")
	require.Equal(t, c.day(t, 3), c.admin().get(t, late).text("serviceDate"))
	c.requireClean(t)
}

// TestServiceDatesMoveByTheRulesOfABooking: one new date is after the end of its authorization, so
// no date moves and the time zone stays.
func TestServiceDatesMoveByTheRulesOfABooking(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 40, body{"endDate": c.day(t, 3)})
	who := c.employ(t)
	first := c.book(t, c.booking(path, who, c.hour(t, 2, "22:00"), hour))
	last := c.book(t, c.booking(path, who, c.hour(t, 3, "22:00"), hour))
	refused := c.admin().patch(t, c.practice(), body{"timeZone": "UTC", "serviceDates": "MOVE"}).
		refused(t, http.StatusConflict, "service-dates-refused")
	verdicts := refused.occurrences(t)
	require.Len(t, verdicts, 2)
	require.Empty(t, verdicts[0].body["reasons"])
	require.Equal(t, idOf(last), verdicts[1].text("appointmentId"))
	require.Equal(t, []string{"outside-authorization-dates"}, verdicts[1].reasons(t))
	require.Equal(t, "America/New_York", c.admin().get(t, c.practice()).text("timeZone"))
	require.Equal(t, c.day(t, 2), c.admin().get(t, first).text("serviceDate"))
	c.requireBalance(t, path, 40, 0, 8)

	key := c.as(c.own.tokens[rbac.Scheduler])
	key.patch(t, c.practice(), body{"timeZone": "UTC", "serviceDates": "MOVE"}).
		refused(t, http.StatusForbidden, "forbidden")
	c.admin().patch(t, c.practice(), body{"timeZone": "UTC", "serviceDates": "KEEP"}).ok(t)
	c.admin().patch(t, last, body{"practitionerId": c.employ(t)}).
		refused(t, http.StatusConflict, "outside-authorization-dates")
	moved := c.admin().patch(t, first, body{"practitionerId": c.employ(t)}).ok(t)
	require.Equal(t, c.day(t, 3), moved.text("serviceDate"), "rescheduled, it has the date of its start")
	c.requireClean(t)
}

// TestAnotherInstanceBooksInTheNewTimeZone: each process caches time zones for a while.
func TestAnotherInstanceBooksInTheNewTimeZone(t *testing.T) {
	t.Parallel()
	database := twoPractices.New(t)
	c := serve(t, database, database.Open(t))
	second := secondInstance(t, c, database.Open(t))
	path, other, who := c.authorize(t, 400), c.authorize(t, 400), c.employ(t)
	day := func(days int) string { return c.hour(t, days, "22:00").UTC().Format(time.DateOnly) }
	zones := []string{"America/New_York", "UTC"}
	book := func(days int, more body) answer {
		return second.admin().post(t, "/appointments", second.booking(path, who, c.hour(t, days, "22:00"), hour, more))
	}
	require.Equal(t, c.day(t, 1),
		second.admin().get(t, second.book(t, second.booking(path, who, c.hour(t, 1, "12:00"), hour))).
			text("serviceDate"))
	inNewZone := func(i int) {
		c.admin().patch(t, c.practice(), body{"timeZone": zones[i%2], "serviceDates": "MOVE"}).ok(t)
	}
	inNewZone(1)
	single := book(2, nil)
	single.created(t)
	require.Equal(t, day(2), single.text("serviceDate"))

	inNewZone(2)
	require.Equal(t, c.day(t, 2), c.admin().get(t, "/appointments/"+single.text("id")).text("serviceDate"))
	series := book(10, body{"recurrenceRule": "FREQ=DAILY;COUNT=2"})
	series.created(t)
	require.Equal(t, c.day(t, 10), series.text("serviceDate"))

	inNewZone(3)
	second.admin().post(t, path+"/move-bookings", move(other)).ok(t)
	inNewZone(4)
	second.admin().patch(t, other,
		body{"endDate": c.day(t, 5), "strandedBookings": "MOVE", "moveToAuthorizationId": idOf(path)}).ok(t)
	require.Equal(t, c.day(t, 10), c.admin().get(t, "/appointments/"+series.text("id")).text("serviceDate"))
	c.requireClean(t)
}

// TestBookingsWhileTheTimeZoneChanges: in any order, each appointment ends up with the date of its
// start in the final time zone, and its units are on that date.
func TestBookingsWhileTheTimeZoneChanges(t *testing.T) {
	t.Parallel()
	database := twoPractices.New(t)
	c := serve(t, database, database.Open(t))
	second := secondInstance(t, c, database.Open(t))
	path := c.authorize(t, 400, body{"caps": []body{{"period": "DAY", "units": 4}}})
	zones := []string{"UTC", "America/New_York", "UTC"}
	const workers = 3
	staff := make([]uuid.UUID, workers)
	for i := range staff {
		staff[i] = c.employ(t)
	}
	together(1+workers, func(i int) {
		if i == 0 {
			for _, zone := range zones {
				c.admin().patch(t, c.practice(), body{"timeZone": zone, "serviceDates": "MOVE"})
			}
			return
		}
		for day := range 4 {
			instance := []*clinic{c, second}[day%2]
			instance.admin().post(t, "/appointments",
				instance.booking(path, staff[i-1], c.hour(t, 1+day*workers+i, "22:00"), hour))
		}
	})
	zone, err := time.LoadLocation(c.admin().get(t, c.practice()).ok(t).text("timeZone"))
	require.NoError(t, err)
	found := c.admin().get(t, "/appointments?status=SCHEDULED&limit=200").ok(t).body["data"].([]any)
	require.Len(t, found, 4*workers)
	for _, item := range found {
		a := answer{body: item.(map[string]any)}
		start, err := time.Parse(time.RFC3339, a.text("startTime"))
		require.NoError(t, err)
		require.Equal(t, start.In(zone).Format(time.DateOnly), a.text("serviceDate"))
	}
	c.requireBalance(t, path, 400, 0, 16*workers)
	c.requireClean(t)
}
