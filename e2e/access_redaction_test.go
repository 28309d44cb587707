package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
)

// TestTextsNeedTheirOwnPermission checks that texts need their own permission, in every
// operation that shows a record.
func TestTextsNeedTheirOwnPermission(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	practitioner := c.AddPractitioner(t)
	c.LinkUsers(t, c.Own, practitioner, c.Own.Patient)
	path := c.Authorize(t, 1000, harness.Body{"notes": "clinical-1"})
	c.Admin().Post(t, path+"/reserve", harness.Body{"units": 2})
	require.Equal(t, http.StatusOK, c.Admin().Post(t, path+"/release", harness.Body{
		"units": 2, "reason": "clinical-2",
	}).Status)
	past := c.At(t, -5, "09:00")
	done := c.Book(t, c.Booking(path, practitioner, past, time.Hour, harness.Body{"notes": "desk-1"}))
	session := "/sessions/" + c.Admin().Post(t, done+"/complete",
		harness.Body{"narrative": "clinical-3"}).OK(t).Body["session"].(map[string]any)["id"].(string)
	c.Admin().Post(t, session+"/addenda", harness.Body{"text": "clinical-4"}).Created(t)
	cancelled := c.Book(t, c.Booking(path, practitioner, past.Add(2*time.Hour), time.Hour,
		harness.Body{"notes": "desk-2"}))
	c.Admin().Post(t, cancelled+"/cancel", harness.Body{"reason": "desk-3"}).OK(t)

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
			from := c.As(c.Own.Tokens[role])
			for read, exists := range reads {
				a := from.Get(t, read)
				if a.Status == http.StatusForbidden {
					require.True(t, strings.HasPrefix(read, "/sessions"), "%s", a.Raw)
					continue
				}
				a.OK(t)
				for text := range strings.FieldsSeq(exists) {
					if strings.Contains(texts, text) {
						require.Contains(t, string(a.Raw), text, read)
					} else {
						require.NotContains(t, string(a.Raw), text, read)
					}
				}
			}
		})
	}

	t.Run("fields without permission are null, and the rest is shown", func(t *testing.T) {
		a := c.As(c.Own.Tokens[rbac.Technician]).Get(t, path).OK(t)
		require.Contains(t, a.Body, "notes")
		require.Nil(t, a.Body["notes"])
		require.Equal(t, 1000, a.Number(t, "totalUnits"))
		addenda := c.As(c.Own.Tokens[rbac.Biller]).Get(t, session).OK(t).Body["addenda"].([]any)
		require.Len(t, addenda, 1, "its existence may be known")
		require.Nil(t, addenda[0].(map[string]any)["text"])
	})
	t.Run("the answer to a change shows no more", func(t *testing.T) {
		scheduler := c.As(c.Own.Tokens[rbac.Scheduler])
		reserved := scheduler.WithHeader("Idempotency-Key", "masked").Post(t, path+"/reserve", harness.Body{"units": 1})
		require.Equal(t, http.StatusCreated, reserved.Status, "%s", reserved.Raw)
		require.NotContains(t, string(reserved.Raw), "clinical-1")
		again := scheduler.WithHeader("Idempotency-Key", "masked").Post(t, path+"/reserve", harness.Body{"units": 1})
		require.NotContains(t, string(again.Raw), "clinical-1", "nor does a repeated answer")
		previewed := scheduler.Post(t, path+"/preview", harness.Body{"units": 1}).OK(t)
		require.NotContains(t, string(previewed.Raw), "clinical-1")
		bulk := scheduler.Post(t, "/units/bulk", harness.Body{"operations": []any{
			harness.Body{"operation": "reserve", "authorizationId": strings.TrimPrefix(path, "/authorizations/"), "units": 1},
		}}).OK(t)
		require.NotContains(t, string(bulk.Raw), "clinical-1")
	})
}
