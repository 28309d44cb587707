package app_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
)

// TestUnknownRefreshTokensDoNotGrowTheAuditTrail: they are counted, for super administrators.
func TestUnknownRefreshTokensDoNotGrowTheAuditTrail(t *testing.T) {
	t.Parallel()
	c := open(t)
	const each = 40
	together(each, func(int) {
		for _, token := range []string{"omr_" + strings.Repeat("A", 43), "nonsense"} {
			c.as("").post(t, "/auth/refresh", body{"refreshToken": token}).refused(t, http.StatusUnauthorized, "refresh-refused")
		}
	})
	require.Zero(t, c.count(t, "SELECT count(*) FROM audit_events WHERE organization_id = $1", uuid.Nil))
	require.LessOrEqual(t, c.count(t, "SELECT count(*) FROM anonymous_attempts"), 2, "a row a minute")
	counted := 0
	for _, row := range c.as(c.own.tokens[rbac.SuperAdmin]).all(t, "/admin/anonymous-attempts?limit=1&source=127.0.0.1", nil) {
		require.Equal(t, "sign-in.refresh", row["action"])
		require.Equal(t, "unknown", row["reason"])
		counted += int(row["attempts"].(float64))
	}
	require.Equal(t, 2*each, counted)
	c.admin().get(t, "/admin/anonymous-attempts").refused(t, http.StatusForbidden, "forbidden")
	c.requireClean(t)
}
