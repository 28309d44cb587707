package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
)

// weekdays returns the body of a change of weekdays from pairs such as MO>TU, >FR and WE>.
func weekdays(pairs ...string) harness.Body {
	names := map[string]string{
		"MO": "MONDAY", "TU": "TUESDAY", "WE": "WEDNESDAY", "TH": "THURSDAY", "FR": "FRIDAY", "SA": "SATURDAY", "SU": "SUNDAY",
	}
	changes := []any{}
	for _, pair := range pairs {
		from, to, _ := strings.Cut(pair, ">")
		change := harness.Body{}
		if from != "" {
			change["from"] = names[from]
		}
		if to != "" {
			change["to"] = names[to]
		}
		changes = append(changes, change)
	}
	return harness.Body{"weekdays": changes}
}

// nextMonday returns 9:00 on the Monday after the next one.
func nextMonday(t *testing.T, c *harness.Clinic) time.Time {
	t.Helper()
	today := c.At(t, 0, "09:00")
	return today.AddDate(0, 0, 15-(int(today.Weekday())+6)%7-1)
}

// seriesStarts returns the local starts of the SCHEDULED appointments of a series, and their units.
func seriesStarts(t *testing.T, c *harness.Clinic, series string) (starts []string, units int) {
	t.Helper()
	for _, a := range c.Admin().All(t, "/appointments?status=SCHEDULED&limit=200&seriesId="+series, nil) {
		at, err := time.Parse(time.RFC3339, a["startTime"].(string))
		require.NoError(t, err)
		starts = append(starts, at.In(harness.NewYork(t)).Format("2006-01-02 Mon 15:04"))
		units += int(a["units"].(float64))
	}
	slices.Sort(starts)
	return starts, units
}

func TestASeriesGetsOtherWeekdays(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path, practitioner := c.Authorize(t, 24), c.AddPractitioner(t)
	monday := nextMonday(t, c)
	series := c.Admin().Post(t, "/appointments", c.Booking(path, practitioner, monday, time.Hour,
		harness.Body{"recurrenceRule": "FREQ=WEEKLY;BYDAY=MO,WE;COUNT=6"}))
	series.Created(t)
	ids := []string{}
	for _, o := range series.Occurrences(t) {
		ids = append(ids, "/appointments/"+o.Text("appointmentId"))
	}
	day := func(n int) string { return monday.AddDate(0, 0, n).Format("2006-01-02 Mon 15:04") }
	// By hand: the Monday of the third week is on Friday.
	c.Admin().Patch(t, ids[4], harness.Body{
		"startTime": monday.AddDate(0, 0, 18).UTC(), "endTime": monday.AddDate(0, 0, 18).Add(time.Hour).UTC(),
	}).OK(t)

	change := weekdays("MO>TU", "WE>TH")
	preview := c.Admin().Post(t, ids[2]+"/change-weekdays/preview", change).OK(t)
	require.Equal(t, true, preview.Body["changeable"])
	require.Equal(t, []int{1, 3, 0, 0, 16}, []int{
		preview.Number(t, "kept"), preview.Number(t, "moved"), preview.Number(t, "booked"), preview.Number(t, "cancelled"),
		preview.Number(t, "units"),
	})
	before, _ := seriesStarts(t, c, series.Text("seriesId"))
	require.Equal(t, []string{day(0), day(2), day(7), day(9), day(16), day(18)}, before, "a preview changes nothing")
	caller := c.Admin().WithHeader("Idempotency-Key", "weekdays-1")
	changed := caller.Post(t, ids[2]+"/change-weekdays", change).OK(t)
	require.Equal(t, preview.Body["occurrences"], changed.Body["occurrences"])
	after, _ := seriesStarts(t, c, series.Text("seriesId"))
	require.Equal(t, []string{day(0), day(2), day(8), day(10), day(17), day(18)}, after)
	c.RequireBalance(t, path, 24, 0, 24)
	require.Equal(t, changed.Body, caller.Post(t, ids[2]+"/change-weekdays", change).OK(t).Body)

	// A Wednesday less, a Saturday more; the authorization has no other units.
	difference := weekdays("TH>", ">SA")
	booked := c.Admin().Post(t, ids[2]+"/change-weekdays", difference).OK(t)
	require.Equal(t, []int{2, 0, 2, 2}, []int{
		booked.Number(t, "kept"), booked.Number(t, "moved"), booked.Number(t, "booked"), booked.Number(t, "cancelled"),
	})
	after, units := seriesStarts(t, c, series.Text("seriesId"))
	require.Equal(t, []string{day(0), day(2), day(8), day(12), day(18), day(19)}, after)
	require.Equal(t, 24, units)
	c.RequireBalance(t, path, 24, 0, 24)
	c.RequireClean(t)
}

func TestWeekdaysChangeForAllAppointmentsOrNone(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path, practitioner := c.Authorize(t, 40), c.AddPractitioner(t)
	monday := nextMonday(t, c)
	series := c.Admin().Post(t, "/appointments", c.Booking(path, practitioner, monday, time.Hour,
		harness.Body{"recurrenceRule": "FREQ=WEEKLY;COUNT=3"}))
	at := "/appointments/" + series.Created(t).String()
	patient := c.AddPatient(t)
	c.Book(t, c.Booking(c.Authorize(t, 4, harness.Body{"patientId": patient}), practitioner,
		monday.AddDate(0, 0, 8), time.Hour, harness.Body{"patientId": patient}))
	before, _ := seriesStarts(t, c, series.Text("seriesId"))
	refused := c.Admin().Post(t, at+"/change-weekdays", weekdays("MO>TU", ">FR")).
		Refused(t, http.StatusConflict, "series-refused")
	occurrences := refused.Occurrences(t)
	require.Len(t, occurrences, 6)
	reasons := 0
	for _, o := range occurrences {
		if o.Text("action") == "BOOKED" {
			require.Nil(t, o.Body["appointmentId"])
		}
		reasons += len(o.Reasons(t))
	}
	require.Equal(t, 1, reasons)
	after, _ := seriesStarts(t, c, series.Text("seriesId"))
	require.Equal(t, before, after)
	c.RequireBalance(t, path, 40, 0, 12)
	preview := c.Admin().Post(t, at+"/change-weekdays/preview", weekdays("MO>TU", ">FR")).OK(t)
	require.Equal(t, false, preview.Body["changeable"])

	for _, invalid := range []harness.Body{
		{},
		{"weekdays": []any{}},
		{"weekdays": []any{harness.Body{}}},
		weekdays("MO>MO"), weekdays("MO>TU", "MO>WE"),
		weekdays("MO>TU", "WE>TU"),
		{"weekdays": []any{harness.Body{"from": "MO"}}},
	} {
		c.Admin().Post(t, at+"/change-weekdays", invalid).Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	}
	for _, verb := range []string{"/change-weekdays", "/change-weekdays/preview"} {
		c.Admin().Post(t, "/appointments/"+uuid.NewString()+verb, weekdays("MO>TU")).
			Refused(t, http.StatusNotFound, "appointment-not-found")
	}
	_, key := c.AddAPIKey(t, "appointment:reschedule")
	for _, pair := range []string{">FR", "MO>"} {
		c.As(key).Post(t, at+"/change-weekdays", weekdays(pair)).Refused(t, http.StatusForbidden, "forbidden")
	}
	c.As(key).Post(t, at+"/change-weekdays", weekdays("MO>WE")).OK(t)
	c.RequireClean(t)
}

// modelOccurrence is an appointment of a series in the slow model.
type modelOccurrence struct {
	at        time.Time
	units     int
	scheduled bool
}

// changeWeekdaysInModel applies the change one appointment at a time.
func changeWeekdaysInModel(all []modelOccurrence, named int, from, to []time.Weekday) []modelOccurrence {
	monday := func(at time.Time) time.Time { return at.AddDate(0, 0, -(int(at.Weekday())+6)%7) }
	first := all[named]
	var result []modelOccurrence
	weeks := map[time.Time]bool{}
	for _, a := range all {
		regular := a.at.Hour() == first.at.Hour() && a.at.Minute() == first.at.Minute()
		if !a.scheduled || a.at.Before(first.at) || !regular {
			result = append(result, a)
			continue
		}
		weeks[monday(a.at)] = true
		i := slices.Index(from, a.at.Weekday())
		switch {
		case i < 0:
			result = append(result, a)
		case to[i] >= 0:
			a.at = monday(a.at).AddDate(0, 0, (int(to[i])+6)%7)
			result = append(result, a)
		}
	}
	for i, day := range to {
		for week := range weeks {
			at := week.AddDate(0, 0, (int(day)+6)%7)
			if from[i] < 0 && !at.Before(first.at) {
				result = append(result, modelOccurrence{at, first.units, true})
			}
		}
	}
	return result
}

// TestWeekdaysChangeLikeInASlowModel changes random series, and compares the appointments and the units with a model.
func TestWeekdaysChangeLikeInASlowModel(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	random := rand.New(rand.NewPCG(2026, 12))
	names := []string{"SU", "MO", "TU", "WE", "TH", "FR", "SA"}
	monday := nextMonday(t, c)
	for round := range 30 {
		patient := c.AddPatient(t)
		path, practitioner := c.Authorize(t, 1000, harness.Body{"patientId": patient}), c.AddPractitioner(t)
		days := random.Perm(7)[:1+random.IntN(3)]
		length := time.Duration(1+random.IntN(8)) * 15 * time.Minute
		by := []string{}
		for _, d := range days {
			by = append(by, names[d])
		}
		first := monday
		for !slices.Contains(days, int(first.Weekday())) {
			first = first.AddDate(0, 0, 1)
		}
		booked := c.Admin().Post(t, "/appointments", c.Booking(path, practitioner, first, length, harness.Body{
			"patientId":      patient,
			"recurrenceRule": fmt.Sprintf("FREQ=WEEKLY;BYDAY=%s;COUNT=%d", strings.Join(by, ","), 4+random.IntN(20)),
		}))
		booked.Created(t)
		var all []modelOccurrence
		var ids []string
		for _, o := range booked.Occurrences(t) {
			at, err := time.Parse(time.RFC3339, o.Text("startTime"))
			require.NoError(t, err)
			a := modelOccurrence{at.In(harness.NewYork(t)), int(length / (15 * time.Minute)), true}
			id := "/appointments/" + o.Text("appointmentId")
			switch random.IntN(8) {
			case 0:
				c.Admin().Post(t, id+"/cancel", harness.Body{}).OK(t)
				a.scheduled = false
			case 1: // by hand
				a.at = a.at.Add(4 * time.Hour)
				c.Admin().Patch(t, id, harness.Body{"startTime": a.at.UTC(), "endTime": a.at.Add(length).UTC()}).OK(t)
			}
			all, ids = append(all, a), append(ids, id)
		}
		named := random.IntN(len(ids))
		if !all[named].scheduled {
			continue
		}
		var from, to []time.Weekday
		pairs := []string{}
		targets := random.Perm(7)
		for i := range 1 + random.IntN(3) {
			f, target := time.Weekday(-1), time.Weekday(targets[i])
			if i < len(days) {
				f = time.Weekday(days[i])
			}
			if f >= 0 && (random.IntN(4) == 0 || f == target) {
				target = -1
			}
			from, to = append(from, f), append(to, target)
			pair := ">"
			if f >= 0 {
				pair = names[f] + pair
			}
			if target >= 0 {
				pair += names[target]
			}
			pairs = append(pairs, pair)
		}
		starts := func(all []modelOccurrence) (starts []string, units int) {
			for _, a := range all {
				if a.scheduled {
					starts, units = append(starts, a.at.Format("2006-01-02 Mon 15:04")), units+a.units
				}
			}
			slices.Sort(starts)
			return starts, units
		}
		want := changeWeekdaysInModel(all, named, from, to)
		answer := c.Admin().Post(t, ids[named]+"/change-weekdays", weekdays(pairs...))
		wantStarts, wantUnits := starts(want)
		if answer.Status != http.StatusOK { // an appointment is where another one would be
			answer.Refused(t, http.StatusConflict, "series-refused")
			require.NotEqual(t, len(wantStarts), len(slices.Compact(slices.Clone(wantStarts))), "round %d: %s", round, answer.Raw)
			wantStarts, wantUnits = starts(all)
		}
		got, units := seriesStarts(t, c, booked.Text("seriesId"))
		require.Equal(t, wantStarts, got, "round %d: %v", round, pairs)
		require.Equal(t, wantUnits, units)
		c.RequireBalance(t, path, 1000, 0, wantUnits)
	}
	c.RequireClean(t)
}
