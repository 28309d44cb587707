package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/telemetry/logtest"
)

// TestNoPersonalDataIsPrinted enters personal data where it is likely to be printed,
// logs every statement, and checks logs and metrics. TestMain checks the output of all
// other tests.
func TestNoPersonalDataIsPrinted(t *testing.T) {
	t.Parallel()
	database := harness.TwoPractices.New(t)
	c := harness.Serve(t, database, database.Open(t, func(c *db.Config) { c.SlowQuery = time.Nanosecond }))
	before := logtest.Looked()
	admin := c.Admin()
	child := harness.Body{
		"firstName":           "Marigold",
		"lastName":            "Fenwick-Abernathy",
		"dateOfBirth":         "2017-02-13",
		"medicalRecordNumber": "MRN-5550199",
	}
	path := "/patients/" + admin.Post(t, "/patients", child).Created(t).String()
	admin.Post(t, "/patients", child).Refused(t, http.StatusConflict, "medical-record-number-taken")
	admin.Get(t, path).OK(t)
	admin.Get(t, "/patients?search=Fenwick-Abernathy").Refused(t, http.StatusBadRequest, "malformed-request")
	admin.Get(t, "/patients?status=Fenwick-Abernathy").Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	admin.Patch(t, path, harness.Body{"lastName": "Fenwick\x00Abernathy"})
	admin.Patch(t, path, harness.Body{"Marigold Fenwick": 1})
	admin.Get(t, "/patients/Marigold%20Fenwick").Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	admin.Get(t, "/Marigold%20Fenwick").Refused(t, http.StatusNotFound, "route-not-found")
	authorization := c.Authorize(t, 20, harness.Body{
		"authNumber": "AUTH-5550188", "notes": "hits other children when they sing",
	})
	at := c.Ago(2 * time.Hour)
	visit := c.Book(t, c.Booking(authorization, c.AddPractitioner(t), at, time.Hour, harness.Body{
		"notes": "meet at the blue door",
	}))
	admin.Post(t, visit+"/start", harness.Body{"startTime": at}).OK(t)
	admin.Post(t, visit+"/complete",
		harness.Body{"startTime": at, "endTime": at.Add(time.Hour), "narrative": "sang along twice today"}).OK(t)
	c.As("").Post(t, "/auth/login", harness.Body{"email": "somebody.else@own.test", "password": "not-the-right-one"}).
		Refused(t, http.StatusUnauthorized, "wrong-credentials")
	c.As("not-a-token-at-all").Get(t, "/auth/me").Refused(t, http.StatusUnauthorized, "unauthenticated")
	c.As(c.Own.Tokens[rbac.Admin][:40]).Get(t, "/auth/me").Refused(t, http.StatusUnauthorized, "unauthenticated")
	admin.Post(t, "/admin/webhooks", harness.Body{"url": "https://hooks.example.test/Marigold"})
	c.ExecAsOwner(t, "ALTER TABLE patients ADD CONSTRAINT short CHECK (length(last_name) < 20)")
	admin.Post(t, "/patients",
		harness.Body{"firstName": "Marigold", "lastName": "Fenwick-Abernathy-Winterbottom", "dateOfBirth": "2017-02-13"}).
		Refused(t, http.StatusInternalServerError, "internal")
	logtest.Look("metrics", []byte(c.Metrics(t)))
	require.Greater(t, logtest.Looked()-before, 100, "statements and requests were logged")
	require.NoError(t, logtest.Err())
}
