package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/db/wireproxy"
)

var newPatient = harness.Body{
	"firstName":           "Maya",
	"lastName":            "Rivera",
	"dateOfBirth":         "2020-06-14",
	"medicalRecordNumber": "MR-1",
}

// countPatients returns the number of patients.
func countPatients(t testing.TB, c *harness.Clinic) int {
	t.Helper()
	return len(c.Admin().Get(t, "/patients?limit=200").Body["data"].([]any))
}

func TestPostWithIdempotencyKeyTakesEffectOnce(t *testing.T) {
	t.Parallel()

	t.Run("twenty concurrent requests have one effect and one answer", func(t *testing.T) {
		t.Parallel()
		c := harness.Open(t)
		before := countPatients(t, c)
		keyed := c.Admin().WithHeader("Idempotency-Key", "k")
		answers := make([]harness.Answer, 20)
		harness.Concurrently(len(answers), func(i int) { answers[i] = keyed.Post(t, "/patients", newPatient) })
		replayed := 0
		for _, a := range answers {
			require.Equal(t, http.StatusCreated, a.Status, "%s", a.Raw)
			require.Equal(t, string(answers[0].Raw), string(a.Raw))
			require.Equal(t, answers[0].Header.Get("Location"), a.Header.Get("Location"))
			require.Equal(t, `"1"`, a.Header.Get("ETag"))
			if a.Header.Get("Idempotency-Replayed") == "true" {
				replayed++
			}
		}
		require.Equal(t, 19, replayed)
		require.Equal(t, before+1, countPatients(t, c))
	})
	t.Run("the order of members and white space make no difference", func(t *testing.T) {
		t.Parallel()
		c := harness.Open(t)
		keyed := c.Admin().WithHeader("Idempotency-Key", "k")
		first := keyed.SendRaw(t, http.MethodPost, "/payers", strings.NewReader(`{"name":"A","rounding":"CEIL"}`))
		again := keyed.SendRaw(t, http.MethodPost, "/payers", strings.NewReader(`{ "rounding": "CEIL", "name": "A" }`))
		require.Equal(t, string(first.Raw), string(again.Raw))
	})
	t.Run("another body, another path and another operation are refused", func(t *testing.T) {
		t.Parallel()
		c := harness.Open(t)
		keyed := c.Admin().WithHeader("Idempotency-Key", "k")
		keyed.Post(t, "/patients", newPatient).Created(t)
		other := harness.Body{"firstName": "Noah", "lastName": "Chen", "dateOfBirth": "2020-06-14"}
		keyed.Post(t, "/patients", other).Refused(t, http.StatusUnprocessableEntity, "idempotency-key-reused")
		keyed.Post(t, "/payers", harness.Body{"name": "A"}).Refused(t, http.StatusUnprocessableEntity,
			"idempotency-key-reused")
	})
	t.Run("keys belong to their user", func(t *testing.T) {
		t.Parallel()
		c := harness.Open(t)
		one := c.Admin().WithHeader("Idempotency-Key", "k").Post(t, "/payers", harness.Body{"name": "A"}).Created(t)
		another := c.As(c.Own.Tokens[rbac.Biller]).WithHeader("Idempotency-Key", "k").
			Post(t, "/payers", harness.Body{"name": "A"}).
			Created(t)
		theirs := c.As(c.Other.Tokens[rbac.Admin]).WithHeader("Idempotency-Key", "k").
			Post(t, "/payers", harness.Body{"name": "A"}).
			Created(t)
		require.Len(t, map[uuid.UUID]bool{one: true, another: true, theirs: true}, 3)
	})
	t.Run("a refusal that depends on the state is repeated, also after the state has changed", func(t *testing.T) {
		t.Parallel()
		c := harness.Open(t)
		first := c.Admin().Post(t, "/patients", newPatient).Created(t)
		keyed := c.Admin().WithHeader("Idempotency-Key", "k")
		again := harness.Body{
			"firstName": "Noah", "lastName": "Chen", "dateOfBirth": "2020-06-14", "medicalRecordNumber": "MR-1",
		}
		keyed.Post(t, "/patients", again).Refused(t, http.StatusConflict, "medical-record-number-taken")
		c.Admin().Patch(t, "/patients/"+first.String(), harness.Body{"medicalRecordNumber": nil})
		a := keyed.Post(t, "/patients", again).Refused(t, http.StatusConflict, "medical-record-number-taken")
		require.Equal(t, "true", a.Header.Get("Idempotency-Replayed"))
		require.Equal(t, "medicalRecordNumber", a.Body["field"])
	})
	t.Run("an invalid request may be corrected with the same key", func(t *testing.T) {
		t.Parallel()
		c := harness.Open(t)
		keyed := c.Admin().WithHeader("Idempotency-Key", "k")
		keyed.Post(t, "/payers", harness.Body{"nam": "A"}).Refused(t, http.StatusUnprocessableEntity, "validation-failed")
		keyed.Post(t, "/payers", harness.Body{"name": "A"}).Created(t)
	})
	t.Run("a key must be storable", func(t *testing.T) {
		t.Parallel()
		c := harness.Open(t)
		for _, key := range []string{"", strings.Repeat("k", 256), "schl\u00fcssel"} {
			a := c.Admin().WithHeader("Idempotency-Key", key).Post(t, "/payers", harness.Body{"name": "A"})
			if key == "" {
				continue // net/http does not send it
			}
			a.Refused(t, http.StatusUnprocessableEntity, "validation-failed")
			c.Admin().WithHeader("Idempotency-Key", key).Post(t, "/patients/search", harness.Body{}).
				Refused(t, http.StatusUnprocessableEntity, "validation-failed") // also where the header has no effect
		}
	})
	t.Run("it is removed after its time, and then it is a new request", func(t *testing.T) {
		t.Parallel()
		c := harness.Open(t)
		path := c.Authorize(t, 10)
		keyed := c.Admin().WithHeader("Idempotency-Key", "k")
		keyed.Post(t, "/payers", harness.Body{"name": "A"}).Created(t)
		keyed.Post(t, path+"/reserve", harness.Body{"units": 1}).ReservationID(t)
		c.Clock.SetAhead(23 * time.Hour)
		forgetRequests(t, c)
		c.Own.Tokens[rbac.Admin] = c.SignIn(t, "own", rbac.Admin)
		keyed = c.Admin().WithHeader("Idempotency-Key", "k")
		require.Equal(t, "true", keyed.Post(t, "/payers", harness.Body{"name": "A"}).Header.Get("Idempotency-Replayed"))
		require.Equal(t, "true", keyed.Post(t, path+"/reserve", harness.Body{"units": 1}).Header.Get("Idempotency-Replayed"))
		c.Clock.SetAhead(25 * time.Hour)
		forgetRequests(t, c)
		c.Own.Tokens[rbac.Admin] = c.SignIn(t, "own", rbac.Admin)
		keyed = c.Admin().WithHeader("Idempotency-Key", "k")
		require.Empty(t, keyed.Post(t, "/payers", harness.Body{"name": "A"}).Header.Get("Idempotency-Replayed"))
		require.Empty(t, keyed.Post(t, path+"/reserve", harness.Body{"units": 1}).Header.Get("Idempotency-Replayed"))
		c.RequireClean(t)
	})
}

func TestPostWithIdempotencyKeyTakesEffectOnceWhenItsCommitIsLost(t *testing.T) {
	t.Parallel()
	for it, point := range map[string]wireproxy.Point{
		"COMMIT never reached the server":        wireproxy.BeforeServer,
		"COMMIT was executed and its reply lost": wireproxy.BeforeAnswer,
	} {
		t.Run("it takes effect once when "+it, func(t *testing.T) {
			t.Parallel()
			database := harness.TwoPractices.New(t)
			proxy := wireproxy.Start(t, database.AppURL)
			c := harness.Serve(t, database, database.Open(t, dbtest.Through(proxy.URL)))
			before := countPatients(t, c)
			keyed := c.Admin().WithHeader("Idempotency-Key", "k")
			proxy.Break(point, "commit", 1)
			first := keyed.Post(t, "/patients", newPatient)
			require.Equal(t, http.StatusCreated, first.Status, "%s", first.Raw)
			require.Equal(t, string(first.Raw), string(keyed.Post(t, "/patients", newPatient).Raw))
			require.Equal(t, before+1, countPatients(t, c))
		})
	}
}

func forgetRequests(t *testing.T, c *harness.Clinic) {
	t.Helper()
	_, err := c.App.ForgetRequests(t.Context())
	require.NoError(t, err)
}
