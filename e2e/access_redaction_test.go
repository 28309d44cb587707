package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
)

// TestTextsNeedTheirOwnPermission checks that texts need their own permission, in every
// operation that shows a record.
func TestTextsNeedTheirOwnPermission(t *testing.T) {
	t.Parallel()
	c := open(t)
	who := c.employ(t)
	c.link(t, c.own, who, c.own.patient)
	path := c.authorize(t, 1000, body{"notes": "clinical-1"})
	c.admin().post(t, path+"/reserve", body{"units": 2})
	require.Equal(t, http.StatusOK, c.admin().post(t, path+"/release", body{"units": 2, "reason": "clinical-2"}).status)
	past := c.hour(t, -5, "09:00")
	done := c.book(t, c.booking(path, who, past, time.Hour, body{"notes": "desk-1"}))
	session := "/sessions/" + c.admin().post(t, done+"/complete",
		body{"narrative": "clinical-3"}).ok(t).body["session"].(map[string]any)["id"].(string)
	c.admin().post(t, session+"/addenda", body{"text": "clinical-4"}).created(t)
	cancelled := c.book(t, c.booking(path, who, past.Add(2*time.Hour), time.Hour, body{"notes": "desk-2"}))
	c.admin().post(t, cancelled+"/cancel", body{"reason": "desk-3"}).ok(t)

	reads := map[string]string{ // paths, and the visible texts
		path: "clinical-1", "/authorizations": "clinical-1", path + "/entries": "clinical-2",
		session: "clinical-3 clinical-4", "/sessions": "clinical-3 clinical-4",
		done: "desk-1", "/appointments": "desk-1 desk-2 desk-3", cancelled: "desk-2 desk-3",
	}
	shown := map[rbac.Role]string{
		rbac.Admin: "clinical-1 clinical-2 clinical-3 clinical-4 desk-1 desk-2 desk-3",
		// No clinical text for a scheduler, and for a biller only texts of payers.
		rbac.Scheduler:    "desk-1 desk-2 desk-3",
		rbac.Practitioner: "clinical-1 clinical-2 clinical-3 clinical-4 desk-1 desk-2 desk-3",
		rbac.Technician:   "clinical-3 clinical-4 desk-1 desk-2 desk-3", // an authorization's units, without its notes
		rbac.Biller:       "clinical-1 clinical-2 desk-1 desk-2 desk-3",
		rbac.Auditor:      "clinical-1 clinical-2 clinical-3 clinical-4 desk-1 desk-2 desk-3",
		rbac.Patient:      "",
	}
	for role, texts := range shown {
		t.Run(string(role), func(t *testing.T) {
			from := c.as(c.own.tokens[role])
			for read, exists := range reads {
				a := from.get(t, read)
				if a.status == http.StatusForbidden {
					require.True(t, strings.HasPrefix(read, "/sessions"), "%s", a.raw)
					continue
				}
				a.ok(t)
				for text := range strings.FieldsSeq(exists) {
					if strings.Contains(texts, text) {
						require.Contains(t, string(a.raw), text, read)
					} else {
						require.NotContains(t, string(a.raw), text, read)
					}
				}
			}
		})
	}

	t.Run("fields without permission are null, and the rest is shown", func(t *testing.T) {
		a := c.as(c.own.tokens[rbac.Technician]).get(t, path).ok(t)
		require.Contains(t, a.body, "notes")
		require.Nil(t, a.body["notes"])
		require.Equal(t, 1000, a.number(t, "totalUnits"))
		addenda := c.as(c.own.tokens[rbac.Biller]).get(t, session).ok(t).body["addenda"].([]any)
		require.Len(t, addenda, 1, "its existence may be known")
		require.Nil(t, addenda[0].(map[string]any)["text"])
	})
	t.Run("the answer to a change shows no more", func(t *testing.T) {
		scheduler := c.as(c.own.tokens[rbac.Scheduler])
		reserved := scheduler.with("Idempotency-Key", "masked").post(t, path+"/reserve", body{"units": 1})
		require.Equal(t, http.StatusCreated, reserved.status, "%s", reserved.raw)
		require.NotContains(t, string(reserved.raw), "clinical-1")
		again := scheduler.with("Idempotency-Key", "masked").post(t, path+"/reserve", body{"units": 1})
		require.NotContains(t, string(again.raw), "clinical-1", "nor does a repeated answer")
		previewed := scheduler.post(t, path+"/preview", body{"units": 1}).ok(t)
		require.NotContains(t, string(previewed.raw), "clinical-1")
		bulk := scheduler.post(t, "/units/bulk", body{"operations": []any{
			body{"operation": "reserve", "authorizationId": strings.TrimPrefix(path, "/authorizations/"), "units": 1},
		}}).ok(t)
		require.NotContains(t, string(bulk.raw), "clinical-1")
	})
}
