package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/db/wireproxy"
)

var newPatient = body{
	"firstName":           "Maya",
	"lastName":            "Rivera",
	"dateOfBirth":         "2020-06-14",
	"medicalRecordNumber": "MR-1",
}

// patients returns the number of patients.
func (c *clinic) patients(t testing.TB) int {
	t.Helper()
	return len(c.admin().get(t, "/patients?limit=200").body["data"].([]any))
}

func TestPostWithIdempotencyKeyTakesEffectOnce(t *testing.T) {
	t.Parallel()

	t.Run("twenty concurrent requests have one effect and one answer", func(t *testing.T) {
		t.Parallel()
		c := open(t)
		before := c.patients(t)
		keyed := c.admin().with("Idempotency-Key", "k")
		answers := make([]answer, 20)
		together(len(answers), func(i int) { answers[i] = keyed.post(t, "/patients", newPatient) })
		replayed := 0
		for _, a := range answers {
			require.Equal(t, http.StatusCreated, a.status, "%s", a.raw)
			require.Equal(t, string(answers[0].raw), string(a.raw))
			require.Equal(t, answers[0].header.Get("Location"), a.header.Get("Location"))
			require.Equal(t, `"1"`, a.header.Get("ETag"))
			if a.header.Get("Idempotency-Replayed") == "true" {
				replayed++
			}
		}
		require.Equal(t, 19, replayed)
		require.Equal(t, before+1, c.patients(t))
	})
	t.Run("the order of members and white space make no difference", func(t *testing.T) {
		t.Parallel()
		c := open(t)
		keyed := c.admin().with("Idempotency-Key", "k")
		first := keyed.sendRaw(t, http.MethodPost, "/payers", strings.NewReader(`{"name":"A","rounding":"CEIL"}`))
		again := keyed.sendRaw(t, http.MethodPost, "/payers", strings.NewReader(`{ "rounding": "CEIL", "name": "A" }`))
		require.Equal(t, string(first.raw), string(again.raw))
	})
	t.Run("another body, another path and another operation are refused", func(t *testing.T) {
		t.Parallel()
		c := open(t)
		keyed := c.admin().with("Idempotency-Key", "k")
		keyed.post(t, "/patients", newPatient).created(t)
		other := body{"firstName": "Noah", "lastName": "Chen", "dateOfBirth": "2020-06-14"}
		keyed.post(t, "/patients", other).refused(t, http.StatusUnprocessableEntity, "idempotency-key-reused")
		keyed.post(t, "/payers", body{"name": "A"}).refused(t, http.StatusUnprocessableEntity, "idempotency-key-reused")
	})
	t.Run("keys belong to their user", func(t *testing.T) {
		t.Parallel()
		c := open(t)
		one := c.admin().with("Idempotency-Key", "k").post(t, "/payers", body{"name": "A"}).created(t)
		another := c.as(c.own.tokens[rbac.Biller]).with("Idempotency-Key", "k").post(t, "/payers", body{"name": "A"}).
			created(t)
		theirs := c.as(c.other.tokens[rbac.Admin]).with("Idempotency-Key", "k").post(t, "/payers", body{"name": "A"}).
			created(t)
		require.Len(t, map[uuid.UUID]bool{one: true, another: true, theirs: true}, 3)
	})
	t.Run("a refusal that depends on the state is repeated, also after the state has changed", func(t *testing.T) {
		t.Parallel()
		c := open(t)
		first := c.admin().post(t, "/patients", newPatient).created(t)
		keyed := c.admin().with("Idempotency-Key", "k")
		again := body{"firstName": "Noah", "lastName": "Chen", "dateOfBirth": "2020-06-14", "medicalRecordNumber": "MR-1"}
		keyed.post(t, "/patients", again).refused(t, http.StatusConflict, "medical-record-number-taken")
		c.admin().patch(t, "/patients/"+first.String(), body{"medicalRecordNumber": nil})
		a := keyed.post(t, "/patients", again).refused(t, http.StatusConflict, "medical-record-number-taken")
		require.Equal(t, "true", a.header.Get("Idempotency-Replayed"))
		require.Equal(t, "medicalRecordNumber", a.body["field"])
	})
	t.Run("an invalid request may be corrected with the same key", func(t *testing.T) {
		t.Parallel()
		c := open(t)
		keyed := c.admin().with("Idempotency-Key", "k")
		keyed.post(t, "/payers", body{"nam": "A"}).refused(t, http.StatusUnprocessableEntity, "validation-failed")
		keyed.post(t, "/payers", body{"name": "A"}).created(t)
	})
	t.Run("a key must be storable", func(t *testing.T) {
		t.Parallel()
		c := open(t)
		for _, key := range []string{"", strings.Repeat("k", 256), "schl\u00fcssel"} {
			a := c.admin().with("Idempotency-Key", key).post(t, "/payers", body{"name": "A"})
			if key == "" {
				continue // net/http does not send it
			}
			a.refused(t, http.StatusUnprocessableEntity, "validation-failed")
			c.admin().with("Idempotency-Key", key).post(t, "/patients/search", body{}).
				refused(t, http.StatusUnprocessableEntity, "validation-failed") // also where the header has no effect
		}
	})
	t.Run("it is removed after its time, and then it is a new request", func(t *testing.T) {
		t.Parallel()
		c := open(t)
		path := c.authorize(t, 10)
		keyed := c.admin().with("Idempotency-Key", "k")
		keyed.post(t, "/payers", body{"name": "A"}).created(t)
		keyed.post(t, path+"/reserve", body{"units": 1}).reservationID(t)
		c.clock.set(23 * time.Hour)
		c.forgetRequests(t)
		c.own.tokens[rbac.Admin] = c.signIn(t, "own", rbac.Admin)
		keyed = c.admin().with("Idempotency-Key", "k")
		require.Equal(t, "true", keyed.post(t, "/payers", body{"name": "A"}).header.Get("Idempotency-Replayed"))
		require.Equal(t, "true", keyed.post(t, path+"/reserve", body{"units": 1}).header.Get("Idempotency-Replayed"))
		c.clock.set(25 * time.Hour)
		c.forgetRequests(t)
		c.own.tokens[rbac.Admin] = c.signIn(t, "own", rbac.Admin)
		keyed = c.admin().with("Idempotency-Key", "k")
		require.Empty(t, keyed.post(t, "/payers", body{"name": "A"}).header.Get("Idempotency-Replayed"))
		require.Empty(t, keyed.post(t, path+"/reserve", body{"units": 1}).header.Get("Idempotency-Replayed"))
		c.requireClean(t)
	})
}

func TestPostWithIdempotencyKeyTakesEffectOnceWhenItsCommitIsLost(t *testing.T) {
	t.Parallel()
	for it, place := range map[string]wireproxy.Point{
		"COMMIT never reached the server":        wireproxy.BeforeServer,
		"COMMIT was executed and its reply lost": wireproxy.BeforeAnswer,
	} {
		t.Run("it takes effect once when "+it, func(t *testing.T) {
			t.Parallel()
			database := twoPractices.New(t)
			proxy := wireproxy.Start(t, database.AppURL)
			c := serve(t, database, database.Open(t, dbtest.Through(proxy.URL)))
			before := c.patients(t)
			keyed := c.admin().with("Idempotency-Key", "k")
			proxy.Break(place, "commit", 1)
			first := keyed.post(t, "/patients", newPatient)
			require.Equal(t, http.StatusCreated, first.status, "%s", first.raw)
			require.Equal(t, string(first.raw), string(keyed.post(t, "/patients", newPatient).raw))
			require.Equal(t, before+1, c.patients(t))
		})
	}
}

func (c *clinic) forgetRequests(t *testing.T) {
	t.Helper()
	_, err := c.app.ForgetRequests(t.Context())
	require.NoError(t, err)
}
