package e2e

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
)

func TestAnOrganizationHasALimitedNumberOfWebhooks(t *testing.T) {
	t.Parallel()
	c := openPolling(t, "OMNI_WEBHOOKS_PER_ORGANIZATION=3")
	hook := harness.Body{"url": "https://example.com/hook"}
	var path string
	for range 3 {
		path = harness.WebhooksPath + "/" + c.Admin().Post(t, harness.WebhooksPath, hook).Created(t).String()
	}
	refused := c.Admin().Post(t, harness.WebhooksPath, hook).Refused(t, http.StatusConflict, "too-many-webhooks")
	require.Equal(t, 3, refused.Number(t, "limit"))
	require.Equal(t, "An organization can have at most 3 webhooks. "+
		"Delete one that is no longer needed, or ask your operator to raise the limit.", refused.Text("detail"))
	require.Len(t, c.Admin().Get(t, harness.WebhooksPath).OK(t).Body["data"], 3)
	c.As(c.Other.Tokens[rbac.Admin]).Post(t, harness.WebhooksPath, hook).Created(t)

	c.Admin().Patch(t, path, harness.Body{"active": false}).OK(t)
	c.Admin().Post(t, harness.WebhooksPath, hook).Refused(t, http.StatusConflict, "too-many-webhooks")
	require.Equal(t, http.StatusNoContent, c.Admin().Delete(t, path).Status)
	c.Admin().Post(t, harness.WebhooksPath, hook).Created(t)
}

func TestConcurrentCreationsOfWebhooksStayWithinTheLimit(t *testing.T) {
	t.Parallel()
	const limit, many = 5, 24
	c := openPolling(t, fmt.Sprint("OMNI_WEBHOOKS_PER_ORGANIZATION=", limit))
	second := harness.SecondInstance(t, c, c.Database.Open(t), c.Settings...)
	var created atomic.Int64
	harness.Concurrently(many, func(i int) {
		for {
			a := []*harness.Clinic{c, second}[i%2].Admin().Post(t, harness.WebhooksPath, harness.Body{
				"url": "https://example.com/hook",
			})
			switch {
			case a.Status == http.StatusCreated:
				created.Add(1)
				return
			case a.Body["code"] == "too-many-webhooks":
				return
			case a.Body["code"] != "contention":
				t.Errorf("%d %s", a.Status, a.Raw)
				return
			}
		}
	})
	require.EqualValues(t, limit, created.Load())
	require.Len(t, c.Admin().Get(t, harness.WebhooksPath).OK(t).Body["data"], limit)
}

// TestHangingReceiversOfOneOrganizationDelayNoOther has one practice with 100 webhooks whose
// receivers do not answer during the test, and another whose receiver does.
func TestHangingReceiversOfOneOrganizationDelayNoOther(t *testing.T) {
	t.Parallel()
	const many, events = 100, 20
	c := openPolling(t, fmt.Sprint("OMNI_WEBHOOKS_PER_ORGANIZATION=", many))
	url, arrived, _ := startHangingReceiver(t)
	other := c.As(c.Other.Tokens[rbac.Admin])
	for i := range many {
		other.Post(t, harness.WebhooksPath, harness.Body{
			"url": fmt.Sprint(url, "/", i), "types": []string{"authorization.balance"},
		}).Created(t)
	}
	healthy := harness.ReceiveWebhooks(t)
	path, _ := c.AddWebhook(t, healthy.URL)
	c.StartEvents(t)

	today := c.Clock.Now()
	theirs := other.Post(t, "/authorizations", harness.Body{
		"patientId": c.Other.Patient, "serviceCodeId": c.Other.ServiceCode, "totalUnits": 10,
		"startDate": today.AddDate(0, -1, 0).Format(time.DateOnly), "endDate": today.AddDate(0, 6, 0).Format(time.DateOnly),
	}).Created(t)
	other.Post(t, fmt.Sprint("/authorizations/", theirs, "/reserve"), harness.Body{"units": 1}).ReservationID(t)
	const usable = 6 // slots of an organization, while no receiver is known to be slow
	for range usable {
		select {
		case <-arrived:
		case <-time.After(harness.Soon):
			t.Fatal("the hanging receivers are not called")
		}
	}

	authorization := c.Authorize(t, 100)
	for range events {
		c.Admin().Post(t, authorization+"/reserve", harness.Body{"units": 1}).ReservationID(t)
	}
	healthy.Await(t, events)
	require.Eventually(t, func() bool {
		return len(c.Admin().Get(t, path+"/deliveries?state=DELIVERED").OK(t).Body["data"].([]any)) == events
	}, harness.Soon, 5*time.Millisecond)
	require.Zero(t,
		c.Count(t, "SELECT count(*) FROM webhook_deliveries WHERE organization_id = $1 AND state = 'DELIVERED'", c.Other.ID))
}
