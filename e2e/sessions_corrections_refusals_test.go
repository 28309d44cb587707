package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
)

// rebooking is a request that books a closed appointment again.
type rebooking struct {
	path string
	body harness.Body
}

// rebookings has the ways to close an appointment by mistake. Each closes it, and returns the
// request that takes the mistake back.
var rebookings = map[string]func(t *testing.T, c *harness.Clinic, appointment string) rebooking{
	"a cancellation is taken back": func(t *testing.T, c *harness.Clinic, appointment string) rebooking {
		c.Admin().Post(t, appointment+"/cancel", harness.Body{}).OK(t)
		return rebooking{appointment + "/reopen", harness.Body{"reason": "The family did come."}}
	},
	"a no-show is taken back": func(t *testing.T, c *harness.Clinic, appointment string) rebooking {
		c.Admin().Post(t, appointment+"/no-show", harness.Body{}).OK(t)
		return rebooking{appointment + "/reopen", harness.Body{"reason": "The family did come."}}
	},
	"a session of half the time is voided": func(t *testing.T, c *harness.Clinic, appointment string) rebooking {
		end := startOf(t, c, appointment).Add(30 * time.Minute)
		session := completed(t, c, appointment, harness.Body{"endTime": end})
		return rebooking{
			"/sessions/" + session + "/void", harness.Body{"reason": "It was another child.", "appointment": "SCHEDULED"},
		}
	},
}

// closedHour is an appointment of an hour that was closed, with everything that it needs.
type closedHour struct {
	*harness.Clinic
	patient       string
	practitioner  uuid.UUID
	authorization string // of 4 units
	appointment   string
	start         time.Time
}

// bookHour books the hour for a new patient, with a new practitioner who has the credential BCBA.
func bookHour(t *testing.T, c *harness.Clinic) closedHour {
	t.Helper()
	h := closedHour{
		Clinic: c, patient: c.AddPatient(t), practitioner: c.AddPractitioner(t, harness.Body{"code": "BCBA"}),
		start: c.Ago(3 * time.Hour),
	}
	h.authorization = c.Authorize(t, 4, harness.Body{"patientId": h.patient})
	h.appointment = c.Book(t,
		c.Booking(h.authorization, h.practitioner, h.start, time.Hour, harness.Body{"patientId": h.patient}))
	return h
}

// bookSecondHalf books the last 30 minutes of the hour for another patient or practitioner.
func (h closedHour) bookSecondHalf(t *testing.T, patient string, practitioner uuid.UUID) {
	t.Helper()
	other := h.Authorize(t, 4, harness.Body{"patientId": patient})
	h.Book(t, h.Booking(other, practitioner, h.start.Add(30*time.Minute), 30*time.Minute,
		harness.Body{"patientId": patient}))
}

// requireUnchanged sends the request, requires the refusal, and compares the appointment, its session
// and the ledger before and after it.
func (h closedHour) requireUnchanged(t *testing.T, request rebooking, code string) harness.Answer {
	t.Helper()
	paths := []string{h.appointment, h.authorization, h.authorization + "/entries"}
	if session := h.Admin().Get(t, h.appointment).OK(t).Text("sessionId"); session != "" {
		paths = append(paths, "/sessions/"+session, "/sessions/"+session+"/versions")
	}
	records := func() (all []string) {
		for _, path := range paths {
			all = append(all, string(h.Admin().Get(t, path).OK(t).Raw))
		}
		return all
	}
	before := records()
	refused := h.Admin().Post(t, request.path, request.body).Refused(t, http.StatusConflict, code)
	require.Equal(t, before, records(), "a refused request changes nothing")
	return refused
}

// TestBookingAgainIsRefusedLikeABooking takes back a cancellation, a no-show and a session, after
// the time, the staff or the units were given away.
func TestBookingAgainIsRefusedLikeABooking(t *testing.T) {
	t.Parallel()
	changes := map[string]func(t *testing.T, h closedHour){
		"practitioner-inactive": func(t *testing.T, h closedHour) {
			h.Admin().Patch(t, "/practitioners/"+h.practitioner.String(), harness.Body{"status": "INACTIVE"}).OK(t)
		},
		"credential-missing": func(t *testing.T, h closedHour) {
			h.Admin().Patch(t, "/practitioners/"+h.practitioner.String(), harness.Body{"credentials": []any{}}).OK(t)
		},
		"practitioner-overlap": func(t *testing.T, h closedHour) {
			h.bookSecondHalf(t, h.AddPatient(t), h.practitioner)
		},
		"patient-overlap": func(t *testing.T, h closedHour) {
			h.bookSecondHalf(t, h.patient, h.AddPractitioner(t, harness.Body{"code": "BCBA"}))
		},
		"insufficient-units": func(t *testing.T, h closedHour) {
			require.Equal(t, http.StatusCreated, h.Admin().Post(t, h.authorization+"/reserve", harness.Body{"units": 1}).Status)
		},
		"cap-exceeded": func(t *testing.T, h closedHour) {
			h.Admin().Patch(t, h.authorization, harness.Body{"caps": caps("DAY", 3)}).OK(t)
		},
		"outside-authorization-dates": func(t *testing.T, h closedHour) {
			h.Admin().Patch(t, h.authorization, harness.Body{"endDate": h.Date(t, -20)}).OK(t)
		},
		"authorization-not-active": func(t *testing.T, h closedHour) {
			h.Admin().Patch(t, h.authorization, harness.Body{"status": "CANCELLED"}).OK(t)
		},
	}
	for name, closeBy := range rebookings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := harness.Open(t)
			c.Admin().Patch(t, "/service-codes/"+c.Own.ServiceCode.String(),
				harness.Body{"requiredCredentials": []any{"BCBA"}}).OK(t)
			for code, change := range changes {
				t.Run(code, func(t *testing.T) {
					h := bookHour(t, c)
					request := closeBy(t, c, h.appointment)
					change(t, h)
					refused := h.requireUnchanged(t, request, code)
					require.Equal(t, []string{code}, refused.Reasons(t), "the refusal lists every reason")
				})
			}
			c.RequireClean(t)
		})
	}
}

// TestBookingAgainOnADamagedLedgerIsRefused damages the counters of an authorization, so that a hold
// cannot expire.
func TestBookingAgainOnADamagedLedgerIsRefused(t *testing.T) {
	t.Parallel()
	for name, closeBy := range rebookings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := harness.Open(t)
			h := bookHour(t, c)
			request := closeBy(t, c, h.appointment)
			hold := harness.Body{"units": 1, "expiresInSeconds": 60}
			require.Equal(t, http.StatusCreated, c.Admin().Post(t, h.authorization+"/reserve", hold).Status)
			c.ExecAsOwner(t, "UPDATE authorizations SET scheduled_units = 0 WHERE id = $1", harness.IDOf(h.authorization))
			c.Clock.SetAhead(time.Minute)
			h.requireUnchanged(t, request, "books-damaged")
		})
	}
}

// TestCorrectionIsRefused sends invalid corrections of one session. The preview refuses each as the
// correction does.
func TestCorrectionIsRefused(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	c.Admin().Patch(t, "/service-codes/"+c.Own.ServiceCode.String(),
		harness.Body{"requiredCredentials": []any{"BCBA"}}).OK(t)
	h := bookHour(t, c)
	session := "/sessions/" + completed(t, c, h.appointment)
	retired := c.AddPractitioner(t, harness.Body{"code": "BCBA"})
	c.Admin().Patch(t, "/practitioners/"+retired.String(), harness.Body{"status": "INACTIVE"}).OK(t)
	other := c.Authorize(t, 4)
	before := c.Book(t, c.Booking(other, h.practitioner, h.start.Add(-time.Hour), time.Hour))
	completed(t, c, before)

	refused := func(code string, correction harness.Body) {
		for _, path := range []string{session + "/correct/preview", session + "/correct"} {
			b := harness.Body{"reason": "Typing error."}
			for k, v := range correction {
				b[k] = v
			}
			if path != session+"/correct" {
				delete(b, "reason")
			}
			h.requireUnchanged(t, rebooking{path, b}, code)
		}
	}
	refused("session-unconfirmed", harness.Body{"endTime": h.start.Add(10 * time.Minute)})
	refused("session-overlap", harness.Body{"startTime": h.start.Add(-5 * time.Minute)})
	refused("practitioner-inactive", harness.Body{"practitionerIds": []any{retired}})
	refused("credential-missing", harness.Body{"practitionerIds": []any{c.AddPractitioner(t)}})
	c.Admin().Post(t, session+"/void", harness.Body{"reason": "Never happened.", "appointment": "CANCELLED"}).OK(t)
	refused("session-voided", harness.Body{"endTime": h.start.Add(45 * time.Minute)})
	c.RequireClean(t)
}
