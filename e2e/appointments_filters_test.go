package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
)

// booked is an appointment of one hour in which everything differs from the other ones.
type booked struct {
	patient, practitioner, service, authorization, location string
	path, session                                           string
}

// TestListsAcceptSeveralValuesOfAFilter books three appointments, and completes them. A list with two values
// of a filter has the two appointments, or sessions, that match one of the values.
func TestListsAcceptSeveralValuesOfAFilter(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	var all []booked
	for i := range 3 {
		service := c.Admin().Post(t, "/service-codes", harness.Body{
			"code": []string{"97151", "97152", "97154"}[i], "description": "Therapy",
		}).Created(t).String()
		location := c.Admin().Post(t, "/locations", harness.Body{
			"name": "Clinic " + []string{"A", "B", "C"}[i], "kind": "CLINIC",
		}).Created(t).String()
		b := booked{
			patient: c.AddPatient(t), practitioner: c.AddPractitioner(t).String(), service: service, location: location,
		}
		b.authorization = harness.IDOf(c.Authorize(t, 40, harness.Body{"patientId": b.patient, "serviceCodeId": b.service}))
		b.path = c.Book(t, c.Booking(b.authorization, uuid.MustParse(b.practitioner), c.At(t, -2, "09:00"), time.Hour,
			harness.Body{"patientId": b.patient, "serviceCodeId": b.service, "locationId": b.location}))
		b.session = completed(t, c, b.path)
		all = append(all, b)
	}
	ids := func(path string) []string {
		var found []string
		for _, item := range c.Admin().Get(t, path).OK(t).Body["data"].([]any) {
			found = append(found, item.(map[string]any)["id"].(string))
		}
		return found
	}
	for filter, value := range map[string]func(booked) string{
		"patientId":       func(b booked) string { return b.patient },
		"practitionerId":  func(b booked) string { return b.practitioner },
		"serviceCodeId":   func(b booked) string { return b.service },
		"authorizationId": func(b booked) string { return b.authorization },
		"locationId":      func(b booked) string { return b.location },
	} {
		of := func(chosen ...booked) string {
			query := "?limit=200"
			for _, b := range chosen {
				query += "&" + filter + "=" + value(b)
			}
			return query
		}
		appointment := func(b booked) string { return strings.TrimPrefix(b.path, "/appointments/") }
		require.ElementsMatch(t, []string{appointment(all[0]), appointment(all[2])}, ids("/appointments"+of(all[0], all[2])), filter)
		require.Equal(t, []string{appointment(all[1])}, ids("/appointments"+of(all[1])), filter)
		require.ElementsMatch(t, []string{all[0].session, all[2].session}, ids("/sessions"+of(all[0], all[2])), filter)
		require.Equal(t, []string{all[1].session}, ids("/sessions"+of(all[1])), filter)
	}
	both := "/appointments?patientId=" + all[0].patient + "&patientId=" + all[1].patient + "&practitionerId=" + all[1].practitioner
	require.Equal(t, []string{strings.TrimPrefix(all[1].path, "/appointments/")}, ids(both), "different filters narrow each other")
}

func TestListsRefuseTooManyValuesOfAFilter(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	query := strings.Repeat("&patientId="+uuid.NewString(), 201)
	c.Admin().Get(t, "/appointments?limit=1"+query).Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	c.Admin().Get(t, "/appointments?patientId=Mia").Refused(t, http.StatusUnprocessableEntity, "validation-failed")
}
