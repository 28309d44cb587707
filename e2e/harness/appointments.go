package harness

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// NewYork returns the time zone of a clinic's practices.
func NewYork(t testing.TB) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation("America/New_York")
	require.NoError(t, err)
	return zone
}

// At returns an instant at a local time on the day that is the given number of days
// from today.
func (c *Clinic) At(t testing.TB, days int, wall string) time.Time {
	t.Helper()
	at, err := time.Parse("15:04", wall)
	require.NoError(t, err)
	year, month, day := c.Clock.Now().In(NewYork(t)).AddDate(0, 0, days).Date()
	return time.Date(year, month, day, at.Hour(), at.Minute(), 0, 0, NewYork(t))
}

// Date returns the date in the clinic's calendar that is a number of days from today.
func (c *Clinic) Date(t testing.TB, days int) string {
	t.Helper()
	return c.At(t, days, "12:00").Format(time.DateOnly)
}

// Ago returns a whole minute in the past, or in the future if the duration is negative. An
// appointment of the last 24 hours can be started with its startTime.
func (c *Clinic) Ago(by time.Duration) time.Time {
	return c.Clock.Now().Add(-by).UTC().Truncate(time.Minute)
}

// AddPractitioner creates a practitioner.
func (c *Clinic) AddPractitioner(t testing.TB, credentials ...any) uuid.UUID {
	t.Helper()
	if credentials == nil {
		credentials = []any{}
	}
	return c.Admin().Post(t, "/practitioners", Body{"firstName": "Jordan", "lastName": "Lee", "credentials": credentials}).
		Created(t)
}

// AddPatient creates another patient of the clinic's own practice, and returns the id.
func (c *Clinic) AddPatient(t testing.TB) string {
	t.Helper()
	return c.Admin().Post(t, "/patients", Body{"firstName": "Bo", "lastName": "Example", "dateOfBirth": "2018-01-01"}).
		Created(t).String()
}

// Booking returns the body of a booking of the clinic's patient, on the authorization at
// the path.
func (c *Clinic) Booking(
	authorization string, practitioner uuid.UUID, start time.Time, length time.Duration, changes ...Body,
) Body {
	b := Body{
		"patientId": c.Own.Patient, "serviceCodeId": c.Own.ServiceCode, "practitionerId": practitioner,
		"authorizationId": strings.TrimPrefix(authorization, "/authorizations/"),
		"startTime":       start.UTC().Format(time.RFC3339), "endTime": start.Add(length).UTC().Format(time.RFC3339),
	}
	for _, change := range changes {
		for k, v := range change {
			if v == nil {
				delete(b, k)
				continue
			}
			b[k] = v
		}
	}
	return b
}

// Book books an appointment and returns its path.
func (c *Clinic) Book(t testing.TB, b Body) string {
	t.Helper()
	return "/appointments/" + c.Admin().Post(t, "/appointments", b).Created(t).String()
}

// FetchCalendar fetches a feed like a calendar program, without an access token.
func (c *Clinic) FetchCalendar(t testing.TB, path string, header ...string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.URL+path, nil)
	require.NoError(t, err)
	if len(header) > 0 {
		request.Header.Set(header[0], header[1])
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	var text strings.Builder
	_, err = io.Copy(&text, response.Body)
	require.NoError(t, err)
	c.As("").requireContract(t, http.MethodGet, strings.TrimPrefix(path, "/api/v1"),
		Answer{Status: response.StatusCode, Header: response.Header, Raw: shownAsJSON(t, text.String())})
	return response, text.String()
}

// shownAsJSON is a text in the form that the contract's schema describes.
func shownAsJSON(t testing.TB, text string) []byte {
	t.Helper()
	if text == "" {
		return nil
	}
	raw, err := json.Marshal(text)
	require.NoError(t, err)
	return raw
}
