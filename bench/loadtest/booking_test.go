package loadtest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestVisitsNeverOverlap(t *testing.T) {
	t.Parallel()
	from := time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC)
	taken := map[string]bool{}
	for worker := range int64(10) {
		v := &visits{patient: "p", practitioner: "q", code: "c", authorization: "a", from: from, worker: worker, workers: 10}
		for range 20 {
			var b struct {
				StartTime, EndTime time.Time
				PractitionerID     string
			}
			require.NoError(t, json.Unmarshal(v.next(), &b))
			require.Equal(t, visitLength, b.EndTime.Sub(b.StartTime))
			require.False(t, taken[b.StartTime.String()], "%s is taken", b.StartTime)
			taken[b.StartTime.String()] = true
		}
	}
	require.True(t, taken[from.String()])
	require.Len(t, taken, 200)
}

func TestVisitingEndsWhatItHasBooked(t *testing.T) {
	t.Parallel()
	v := &visiting{account: &account{}, random: rand.New(rand.NewPCG(1, 2))}
	open, count := map[string]bool{}, map[kind]int{}
	for n := range 1000 {
		s := v.next()
		count[s.kind]++
		created := ""
		if s.kind == book {
			created = time.Duration(n).String()
			open[created] = true
		} else {
			require.True(t, open[s.reservation], "it is an open appointment of its own")
			delete(open, s.reservation)
		}
		v.observe(s, verdict{outcome: accepted}, created)
	}
	require.InDelta(t, 300, count[complete], 5)
	require.InDelta(t, 200, count[cancel], 5)
	s := v.next()
	for s.kind == book {
		v.observe(s, verdict{outcome: accepted}, "last")
		s = v.next()
	}
	before := len(v.booked)
	v.observe(s, verdict{outcome: failed}, "")
	require.Len(t, v.booked, before+1, "an appointment whose request failed is still open")
}

func TestUnitsOfAppointmentsAreExpected(t *testing.T) {
	t.Parallel()
	var done, unknown [kinds]int64
	done[book], done[cancel], done[complete], unknown[complete] = 10, 2, 3, 1
	e := expect(done, unknown)
	require.Equal(t, Span{4, 5}, e.scheduled)
	require.Equal(t, Span{3, 4}, e.used)
	require.Equal(t, Span{8, 8}, e.booked)
}

// keepCalendar applies calls on appointments to the units.
func (f *fake) keepCalendar(w http.ResponseWriter, r *http.Request, path string, body map[string]any) {
	one := map[string]any{"units": 1.0}
	if parts := strings.Split(path, "/"); len(parts) == 4 {
		f.mutex.Lock()
		account := f.calendar[parts[2]]
		f.mutex.Unlock()
		one["reservationId"] = parts[2]
		f.operate(w, r,
			"/authorizations/"+account+"/"+map[string]string{"cancel": "release", "complete": "consume"}[parts[3]], one)
		return
	}
	slot := fmt.Sprint(body["practitionerId"], body["startTime"])
	f.mutex.Lock()
	taken := f.slots[slot]
	f.slots[slot] = true
	f.mutex.Unlock()
	if taken {
		refuse(w, http.StatusConflict, "practitioner-overlap")
		return
	}
	account, _ := body["authorizationId"].(string)
	answer := httptest.NewRecorder()
	f.operate(answer, r, "/authorizations/"+account+"/reserve", one)
	var created struct{ Reservation struct{ ID string } }
	if answer.Code != http.StatusCreated || json.Unmarshal(answer.Body.Bytes(), &created) != nil {
		refuse(w, answer.Code, "not-booked")
		return
	}
	f.mutex.Lock()
	f.calendar[created.Reservation.ID] = account
	f.mutex.Unlock()
	reply(w, http.StatusCreated, map[string]any{"id": created.Reservation.ID})
}
