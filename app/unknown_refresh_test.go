package app_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// TestARefreshTokenThatNobodyHasIsOnRecord tries one that was made up, and one that
// is none by its form: both are kept, in nobody's trail, and say nothing of the token.
func TestARefreshTokenThatNobodyHasIsOnRecord(t *testing.T) {
	t.Parallel()
	c := open(t)
	for name, token := range map[string]string{"made up": "omr_" + strings.Repeat("A", 43), "no token": "nonsense"} {
		request := c.as("").post(t, "/auth/refresh", body{"refreshToken": token}).refused(t, http.StatusUnauthorized, "refresh-refused").request()
		kept := texts(t, c.owner(t), `SELECT concat_ws(' ', action, outcome, after::text, actor_id, subject_type) FROM audit_events WHERE request_id = $1 AND organization_id = $2`, request, uuid.Nil)
		require.Len(t, kept, 1, name)
		require.Contains(t, kept[0], `sign-in.refresh denied {"reason":"unknown"}`, name)
		require.NotContains(t, kept[0], token)
	}
	require.NotContains(t, string(c.admin().get(t, "/admin/audit-events?limit=200").ok(t).raw), "sign-in.refresh", "nobody knows whose it would have been")
	c.requireClean(t)
}
