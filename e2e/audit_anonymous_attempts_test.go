package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
)

// TestAnonymousRequestsDoNotGrowTheAuditTrail makes many attempts of each kind that concern no
// organization. None is in any trail, and a few rows count all of them.
func TestAnonymousRequestsDoNotGrowTheAuditTrail(t *testing.T) {
	t.Parallel()
	c := open(t)
	gone, unknownKey := c.key(t, "patient:read")
	c.run(t, "DELETE FROM api_keys WHERE id = $1", strings.TrimPrefix(gone, "/api-keys/"))
	const each = 40
	before := c.count(t, "SELECT count(*) FROM audit_events")
	together(each, func(int) {
		c.as("").post(t, "/auth/login", body{"email": "nobody@own.test", "password": password})
		c.as("").post(t, "/auth/refresh", body{"refreshToken": "omr_" + strings.Repeat("A", 43)})
		c.as("").post(t, "/auth/refresh", body{"refreshToken": "nonsense"})
		c.as("").post(t, "/auth/invitations/accept", body{"token": uuid.NewString() + uuid.NewString(), "password": password})
		c.as("").post(t, "/auth/oidc/token", body{"code": strings.Repeat("x", 60), "verifier": verifier})
		c.as("nonsense").get(t, "/auth/me")
		c.as("omni_key_broken").get(t, "/auth/me")
		c.as(unknownKey).get(t, "/auth/me")
	})
	_, err := c.app.Audit.WriteAttempts(t.Context())
	require.NoError(t, err)
	require.Equal(t, before, c.count(t, "SELECT count(*) FROM audit_events"))
	require.LessOrEqual(t, c.count(t, "SELECT count(*) FROM anonymous_attempts"), 2*8, "one row per minute and kind")

	operator := c.as(c.own.tokens[rbac.SuperAdmin])
	counted := map[string]int{}
	for _, row := range operator.all(t, "/admin/anonymous-attempts?limit=3&source=127.0.0.1", nil) {
		counted[row["action"].(string)+" "+row["reason"].(string)] += int(row["attempts"].(float64))
	}
	signIns := counted["user.sign-in unknown"] + counted["user.sign-in delayed"]
	delete(counted, "user.sign-in delayed")
	require.Equal(t, 2*each, signIns, "at an unknown address, and with an unknown code")
	delete(counted, "user.sign-in unknown")
	require.Equal(t, map[string]int{
		"sign-in.refresh unknown": 2 * each, "invitation.accept unknown": each, "access-token.use invalid": each,
		"api-key.use invalid": each, "api-key.use unknown": each,
	}, counted)
	c.admin().get(t, "/admin/anonymous-attempts").refused(t, http.StatusForbidden, "forbidden")
	require.NotContains(t, string(c.admin().get(t, "/admin/audit-events?limit=200").ok(t).raw), "sign-in.refresh")
	c.requireClean(t)
}
