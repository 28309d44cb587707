package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
)

// TestAnonymousRequestsDoNotGrowTheAuditTrail makes many attempts of each kind that concern no
// organization. None is in any trail, and a few rows count all of them.
func TestAnonymousRequestsDoNotGrowTheAuditTrail(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	gone, unknownKey := c.AddAPIKey(t, "patient:read")
	c.Exec(t, "DELETE FROM api_keys WHERE id = $1", strings.TrimPrefix(gone, "/api-keys/"))
	const attempts = 40
	before := c.Count(t, "SELECT count(*) FROM audit_events")
	harness.Concurrently(attempts, func(int) {
		c.As("").Post(t, "/auth/login", harness.Body{"email": "unknown@own.test", "password": harness.Password})
		c.As("").Post(t, "/auth/refresh", harness.Body{"refreshToken": "omr_" + strings.Repeat("A", 43)})
		c.As("").Post(t, "/auth/refresh", harness.Body{"refreshToken": "nonsense"})
		c.As("").Post(t, "/auth/invitations/accept", harness.Body{
			"token": uuid.NewString() + uuid.NewString(), "password": harness.Password,
		})
		c.As("").Post(t, "/auth/oidc/token", harness.Body{"code": strings.Repeat("x", 60), "verifier": harness.Verifier})
		c.As("nonsense").Get(t, "/auth/me")
		c.As("omni_key_broken").Get(t, "/auth/me")
		c.As(unknownKey).Get(t, "/auth/me")
	})
	_, err := c.App.Audit.WriteAttempts(t.Context())
	require.NoError(t, err)
	require.Equal(t, before, c.Count(t, "SELECT count(*) FROM audit_events"))
	require.LessOrEqual(t, c.Count(t, "SELECT count(*) FROM anonymous_attempts"), 2*8, "one row per minute and kind")

	operator := c.As(c.Own.Tokens[rbac.SuperAdmin])
	counted := map[string]int{}
	for _, row := range operator.All(t, "/admin/anonymous-attempts?limit=3&source=127.0.0.1", nil) {
		counted[row["action"].(string)+" "+row["reason"].(string)] += int(row["attempts"].(float64))
	}
	signIns := counted["user.sign-in unknown"] + counted["user.sign-in delayed"]
	delete(counted, "user.sign-in delayed")
	require.Equal(t, 2*attempts, signIns, "at an unknown address, and with an unknown code")
	delete(counted, "user.sign-in unknown")
	require.Equal(t, map[string]int{
		"sign-in.refresh unknown": 2 * attempts, "invitation.accept unknown": attempts, "access-token.use invalid": attempts,
		"api-key.use invalid": attempts, "api-key.use unknown": attempts,
	}, counted)
	c.Admin().Get(t, "/admin/anonymous-attempts").Refused(t, http.StatusForbidden, "forbidden")
	require.NotContains(t, string(c.Admin().Get(t, "/admin/audit-events?limit=200").OK(t).Raw), "sign-in.refresh")
	c.RequireClean(t)
}
