package e2e

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
)

func TestAnOrganizationHasALimitedNumberOfWebhooks(t *testing.T) {
	t.Parallel()
	c := openPolling(t, "OMNI_WEBHOOKS_PER_ORGANIZATION=3")
	hook := body{"url": "https://example.com/hook"}
	var path string
	for range 3 {
		path = webhooks + "/" + c.admin().post(t, webhooks, hook).created(t).String()
	}
	refused := c.admin().post(t, webhooks, hook).refused(t, http.StatusConflict, "too-many-webhooks")
	require.Equal(t, 3, refused.number(t, "limit"))
	require.Equal(t, "An organization can have at most 3 webhooks. "+
		"Delete one that is no longer needed, or ask your operator to raise the limit.", refused.text("detail"))
	require.Len(t, c.admin().get(t, webhooks).ok(t).body["data"], 3)
	c.as(c.other.tokens[rbac.Admin]).post(t, webhooks, hook).created(t)

	c.admin().patch(t, path, body{"active": false}).ok(t)
	c.admin().post(t, webhooks, hook).refused(t, http.StatusConflict, "too-many-webhooks")
	require.Equal(t, http.StatusNoContent, c.admin().delete(t, path).status)
	c.admin().post(t, webhooks, hook).created(t)
}

func TestConcurrentCreationsOfWebhooksStayWithinTheLimit(t *testing.T) {
	t.Parallel()
	const limit, many = 5, 24
	c := openPolling(t, fmt.Sprint("OMNI_WEBHOOKS_PER_ORGANIZATION=", limit))
	second := secondInstance(t, c, c.database.Open(t), c.settings...)
	var created atomic.Int64
	together(many, func(i int) {
		for {
			a := []*clinic{c, second}[i%2].admin().post(t, webhooks, body{"url": "https://example.com/hook"})
			switch {
			case a.status == http.StatusCreated:
				created.Add(1)
				return
			case a.body["code"] == "too-many-webhooks":
				return
			case a.body["code"] != "contention":
				t.Errorf("%d %s", a.status, a.raw)
				return
			}
		}
	})
	require.EqualValues(t, limit, created.Load())
	require.Len(t, c.admin().get(t, webhooks).ok(t).body["data"], limit)
}

// TestHangingReceiversOfOneOrganizationDelayNoOther has one practice with 100 webhooks whose
// receivers do not answer during the test, and another whose receiver does.
func TestHangingReceiversOfOneOrganizationDelayNoOther(t *testing.T) {
	t.Parallel()
	const many, events = 100, 20
	c := openPolling(t, fmt.Sprint("OMNI_WEBHOOKS_PER_ORGANIZATION=", many))
	url, arrived, _ := hang(t)
	other := c.as(c.other.tokens[rbac.Admin])
	for i := range many {
		other.post(t, webhooks, body{"url": fmt.Sprint(url, "/", i), "types": []string{"authorization.balance"}}).created(t)
	}
	healthy := receive(t)
	path, _ := c.hook(t, healthy.URL)
	c.live(t)

	today := c.clock.now()
	theirs := other.post(t, "/authorizations", body{
		"patientId": c.other.patient, "serviceCodeId": c.other.serviceCode, "totalUnits": 10,
		"startDate": today.AddDate(0, -1, 0).Format(time.DateOnly), "endDate": today.AddDate(0, 6, 0).Format(time.DateOnly),
	}).created(t)
	other.post(t, fmt.Sprint("/authorizations/", theirs, "/reserve"), body{"units": 1}).reservationID(t)
	const usable = 6 // slots of an organization, while no receiver is known to be slow
	for range usable {
		select {
		case <-arrived:
		case <-time.After(soon):
			t.Fatal("the hanging receivers are not called")
		}
	}

	authorization := c.authorize(t, 100)
	for range events {
		c.admin().post(t, authorization+"/reserve", body{"units": 1}).reservationID(t)
	}
	healthy.await(t, events)
	require.Eventually(t, func() bool {
		return len(c.admin().get(t, path+"/deliveries?state=DELIVERED").ok(t).body["data"].([]any)) == events
	}, soon, 5*time.Millisecond)
	require.Zero(t,
		c.count(t, "SELECT count(*) FROM webhook_deliveries WHERE organization_id = $1 AND state = 'DELIVERED'", c.other.id))
}
