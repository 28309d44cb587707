package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/telemetry/logtest"
)

// TestNoPersonalDataIsPrinted enters personal data where it is likely to be printed,
// logs every statement, and checks logs and metrics. TestMain checks the output of all
// other tests.
func TestNoPersonalDataIsPrinted(t *testing.T) {
	t.Parallel()
	database := twoPractices.New(t)
	c := serve(t, database, database.Open(t, func(c *db.Config) { c.SlowQuery = time.Nanosecond }))
	before := logtest.Looked()
	admin := c.admin()
	child := body{
		"firstName":           "Marigold",
		"lastName":            "Fenwick-Abernathy",
		"dateOfBirth":         "2017-02-13",
		"medicalRecordNumber": "MRN-5550199",
	}
	path := "/patients/" + admin.post(t, "/patients", child).created(t).String()
	admin.post(t, "/patients", child).refused(t, http.StatusConflict, "medical-record-number-taken")
	admin.get(t, path).ok(t)
	admin.get(t, "/patients?search=Fenwick-Abernathy").refused(t, http.StatusBadRequest, "malformed-request")
	admin.get(t, "/patients?status=Fenwick-Abernathy").refused(t, http.StatusUnprocessableEntity, "validation-failed")
	admin.patch(t, path, body{"lastName": "Fenwick\x00Abernathy"})
	admin.patch(t, path, body{"Marigold Fenwick": 1})
	admin.get(t, "/patients/Marigold%20Fenwick").refused(t, http.StatusUnprocessableEntity, "validation-failed")
	admin.get(t, "/Marigold%20Fenwick").refused(t, http.StatusNotFound, "route-not-found")
	authorization := c.authorize(t, 20, body{"authNumber": "AUTH-5550188", "notes": "hits other children when they sing"})
	at := c.ago(2 * hour)
	visit := c.book(t, c.booking(authorization, c.employ(t), at, time.Hour, body{"notes": "meet at the blue door"}))
	admin.post(t, visit+"/start", body{"startTime": at}).ok(t)
	admin.post(t, visit+"/complete",
		body{"startTime": at, "endTime": at.Add(hour), "narrative": "sang along twice today"}).ok(t)
	c.as("").post(t, "/auth/login", body{"email": "somebody.else@own.test", "password": "not-the-right-one"}).
		refused(t, http.StatusUnauthorized, "wrong-credentials")
	c.as("not-a-token-at-all").get(t, "/auth/me").refused(t, http.StatusUnauthorized, "unauthenticated")
	c.as(c.own.tokens[rbac.Admin][:40]).get(t, "/auth/me").refused(t, http.StatusUnauthorized, "unauthenticated")
	admin.post(t, "/admin/webhooks", body{"url": "https://hooks.example.test/Marigold"})
	c.asOwner(t, "ALTER TABLE patients ADD CONSTRAINT short CHECK (length(last_name) < 20)")
	admin.post(t, "/patients",
		body{"firstName": "Marigold", "lastName": "Fenwick-Abernathy-Winterbottom", "dateOfBirth": "2017-02-13"}).
		refused(t, http.StatusInternalServerError, "internal")
	logtest.Look("metrics", []byte(c.metrics(t)))
	require.Greater(t, logtest.Looked()-before, 100, "statements and requests were logged")
	require.NoError(t, logtest.Err())
}
