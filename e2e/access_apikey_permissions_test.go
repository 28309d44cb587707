package e2e

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/identity"
)

// keysHold lists every permission, and whether an API key can hold it. A new permission
// fails the test until that is decided: could a stolen key extend its permissions, or
// keep access after it is revoked? Does the operation represent a personal decision?
var keysHold = map[identity.Permission]bool{
	"organization:read":          true,
	"organization:read-all":      false,
	"organization:create":        false,
	"organization:disable":       false,
	"organization:change":        false, // rules for all users, such as how long a session can be changed
	"patient:read":               true,
	"patient:create":             true,
	"patient:change":             true,
	"practitioner:read":          true,
	"practitioner:create":        true,
	"practitioner:change":        true,
	"payer:read":                 true,
	"payer:create":               true,
	"payer:change":               true,
	"insurance:read":             true,
	"insurance:create":           true,
	"insurance:change":           true,
	"diagnosis:read":             true,
	"diagnosis:create":           true,
	"diagnosis:change":           true,
	"service-code:read":          true,
	"service-code:create":        true,
	"service-code:change":        true,
	"location:read":              true,
	"location:create":            true,
	"location:change":            true,
	"cancellation-reason:read":   true,
	"cancellation-reason:create": true,
	"cancellation-reason:change": true,
	"authorization:read":         true,
	"authorization:create":       true,
	"authorization:change":       true,
	"authorization:delete":       true,
	"authorization:adjust":       true, // changes reported by a payer's system
	"authorization:reserve":      true,
	"authorization:release":      true,
	"authorization:consume":      true,
	"authorization:preview":      true,
	"authorization:verify":       true,
	"authorization:read-notes":   true,
	"appointment:read":           true,
	"appointment:book":           true,
	"appointment:preview":        true,
	"appointment:reschedule":     true,
	"appointment:cancel":         true,
	"appointment:start":          true,
	"appointment:complete":       true,
	"appointment:no-show":        true,
	"appointment:read-notes":     true,
	"availability:read":          true,
	"availability:change":        true,
	"calendar:manage":            false, // calendar links work without a key
	"session:read":               true,
	"session:change":             true,
	"session:read-narrative":     true,
	"session:correct":            true,
	"session:void":               true,
	"billing:read":               true,
	"billing:export":             true,
	"session:accept-overlap":     true,
	"report:read":                true,
	"alert:acknowledge":          true,
	"emergency:take":             false,
	"emergency:review":           false,
	"emergency:read":             true,
	"emergency:revoke":           true,  // monitoring systems may end access
	"webhook:manage":             false, // a webhook sends events to any address
	"user:read":                  true,
	"user:change":                false,
	"user:grant":                 false,
	"user:invite":                false,
	"permission-set:read":        true,
	"permission-set:change":      false,
	"api-key:manage":             false,
	"identity-provider:manage":   false,
	"sign-in-policy:manage":      false,
	"caseload:read":              true,
	"caseload:change":            false,
	"guardian:read":              true,
	"guardian:change":            false,
	"audit:read":                 true,
	"audit:export":               true,  // for external archives of the trail
	"anonymous-attempt:read":     false, // for operators
	"admin:metrics":              true,
	"admin:config":               true,
}

// TestPermissionsOfAPIKeys creates a key with each permission, as a user who holds all
// of them.
func TestPermissionsOfAPIKeys(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	c.AddUser(t, c.Own, "all@own.test", rbac.Admin, rbac.SuperAdmin)
	all := c.SignInByEmail(t, "all@own.test")
	require.Len(t, keysHold, len(rbac.Permissions()))
	for _, p := range rbac.Permissions() {
		can, decided := keysHold[p]
		require.True(t, decided, "%s: decide whether an API key can hold it", p)
		a := all.Post(t, "/api-keys", harness.Body{"name": "Another system", "permissions": []any{p}})
		if can {
			a.Created(t)
			continue
		}
		a.Refused(t, http.StatusUnprocessableEntity, "validation-failed")
		invalid := a.Body["errors"].([]any)[0].(map[string]any)
		require.Equal(t, "permissions[0]", invalid["field"])
		require.Equal(t, "personal", invalid["code"], p)
		require.Contains(t, invalid["message"], "cannot be held by an API key, because ", p)
	}
}

// TestOlderAPIKeyLosesPermissionsForUsersOnly has a key created when keys could hold
// more permissions.
func TestOlderAPIKeyLosesPermissionsForUsersOnly(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path, text := c.AddAPIKey(t, "authorization:read")
	c.Exec(t, "UPDATE api_keys SET permissions = '{authorization:read,webhook:manage}' WHERE id = $1",
		path[len("/api-keys/"):])
	c.As(text).Get(t, "/authorizations").OK(t)
	c.As(text).Get(t, harness.WebhooksPath).Refused(t, http.StatusForbidden, "forbidden")
}
