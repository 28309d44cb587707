package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
)

// key creates an API key of the own practice and returns its path and its text.
func (c *clinic) key(t testing.TB, permissions ...string) (path, text string) {
	t.Helper()
	a := c.admin().post(t, "/api-keys", body{"name": "Billing system", "permissions": permissions})
	a.created(t)
	path = strings.TrimPrefix(a.header.Get("Location"), "/api/v1")
	require.Equal(t, "/api-keys/"+a.text("id"), path)
	return path, a.text("key")
}

func TestAPIKeyLifecycle(t *testing.T) {
	t.Parallel()
	c := open(t)
	second := secondInstance(t, c, c.database.Open(t))
	authorization := c.authorize(t, 100)

	t.Run("an API key is its own actor", func(t *testing.T) {
		path, text := c.key(t, "authorization:read", "authorization:reserve", "audit:read", "patient:read")
		machine := c.as(text)
		id := strings.TrimPrefix(path, "/api-keys/")
		first := machine.with("Idempotency-Key", "k").post(t, authorization+"/reserve", body{"units": 5})
		first.reservationID(t)
		require.Equal(t, "true", second.as(text).with("Idempotency-Key", "k").post(t, authorization+"/reserve",
			body{"units": 5}).header.Get("Idempotency-Replayed"))
		mine := c.admin().with("Idempotency-Key", "k").post(t, authorization+"/reserve", body{"units": 5})
		require.Empty(t, mine.header.Get("Idempotency-Replayed"), "another key is another actor")
		require.NotEqual(t, first.reservationID(t), mine.reservationID(t))
		for _, raw := range [][]byte{
			machine.get(t, "/admin/audit-events?actorId="+id+"&action=authorization.reserve").ok(t).raw,
			machine.get(t, authorization+"/entries").ok(t).raw,
		} {
			require.Contains(t, string(raw), `"actorId":"`+id+`"`)
		}
		denied := machine.post(t, authorization+"/consume", body{"units": 1}).refused(t, http.StatusForbidden, "forbidden")
		require.Equal(t, "authorization:consume", denied.body["permission"])
		require.Contains(t, string(machine.get(t, "/admin/audit-events?outcome=denied").ok(t).raw), denied.request())
		machine.get(t, "/auth/me").refused(t, http.StatusForbidden, "people-only")
		machine.get(t, "/api-keys").refused(t, http.StatusForbidden, "forbidden")
		machine.get(t, "/authorizations/"+uuid.NewString()).refused(t, http.StatusNotFound, "authorization-not-found")
		machine.get(t, "/patients/"+c.own.patient.String()).ok(t)
		machine.get(t, "/patients/"+c.other.patient.String()).refused(t, http.StatusNotFound, "patient-not-found")
	})
	t.Run("a revoked key is refused by every instance, from the moment of the answer", func(t *testing.T) {
		path, text := c.key(t, "authorization:read")
		for _, instance := range []*clinic{c, second} {
			instance.as(text).get(t, authorization).ok(t)
		}
		require.Equal(t, http.StatusNoContent, c.admin().delete(t, path).status)
		for _, instance := range []*clinic{c, second} {
			refused := instance.as(text).get(t, authorization).refused(t, http.StatusUnauthorized, "unauthenticated")
			require.Equal(t, "Bearer", refused.header.Get("WWW-Authenticate"))
		}
		require.Equal(t, http.StatusNoContent, second.admin().delete(t, path).status)
		found := c.admin().get(t, path).ok(t)
		require.NotNil(t, found.body["revokedAt"])
		require.NotNil(t, found.body["revokedBy"])
	})
	t.Run("its text is shown once and not stored", func(t *testing.T) {
		keyed, wanted := c.admin().with("Idempotency-Key", "one-key"), body{
			"name":        "x",
			"permissions": []string{"authorization:read"},
		}
		first, again := keyed.post(t, "/api-keys", wanted), keyed.post(t, "/api-keys", wanted)
		require.Equal(t, first.created(t), again.created(t))
		require.Nil(t, again.body["key"])
		text := first.text("key")
		require.Zero(t, c.count(t, "SELECT count(*) FROM commands k WHERE position($1 IN k.answer::text) > 0", text))
		for _, place := range []string{"/api-keys?limit=200", "/admin/audit-events?limit=200&action=api-key.create"} {
			require.NotContains(t, string(c.admin().get(t, place).ok(t).raw), text)
		}
		require.Zero(t, c.count(t, "SELECT count(*) FROM api_keys k WHERE k::text LIKE '%' || $1 || '%'", text))
	})
	t.Run("administrators manage the keys of their own organization", func(t *testing.T) {
		path, _ := c.key(t, "authorization:read")
		for _, role := range rbac.Roles() {
			if role == rbac.Admin {
				continue
			}
			for _, from := range []practice{c.own, c.other} {
				who := c.as(from.tokens[role])
				for _, a := range []answer{
					who.get(t, "/api-keys"), who.get(t, path), who.delete(t, path), who.post(t, "/api-keys",
						body{"name": "x", "permissions": []string{"patient:read"}}),
				} {
					a.refused(t, http.StatusForbidden, "forbidden")
				}
			}
		}
		other := c.as(c.other.tokens[rbac.Admin])
		require.Empty(t, other.get(t, "/api-keys").ok(t).body["data"])
		nowhere := other.get(t, "/api-keys/"+uuid.NewString()).refused(t, http.StatusNotFound, "api-key-not-found")
		require.Equal(t, nowhere.text("detail"),
			other.get(t, path).refused(t, http.StatusNotFound, "api-key-not-found").text("detail"))
		other.delete(t, path).refused(t, http.StatusNotFound, "api-key-not-found")
		require.Nil(t, c.admin().get(t, path).ok(t).body["revokedAt"])
	})
	t.Run("callers cannot grant more than they hold", func(t *testing.T) {
		c.admin().put(t, "/permission-sets/ADMIN", without(c.admin().set(t, rbac.Admin), "payer:change")).ok(t)
		denied := c.admin().post(t, "/api-keys", body{"name": "x", "permissions": []string{"payer:change"}}).
			refused(t, http.StatusForbidden, "beyond-own-permissions")
		require.Equal(t, "payer:change", denied.body["exceeds"])
		require.Equal(t, http.StatusNoContent, c.admin().delete(t, "/permission-sets/ADMIN").status)
		for _, invalid := range []body{
			{"permissions": []string{"patient:read"}},
			{"name": " ", "permissions": []string{"patient:read"}},
			{"name": "x", "permissions": []string{}},
			{"name": "x", "permissions": []string{"api-key:manage"}},
			{"name": "x", "permissions": []string{"patient:read"}, "expiresAt": c.clock.now().Add(-time.Second).UTC()},
			{"name": "x", "permissions": []string{"patient:read"}, "organizationId": c.other.id},
		} {
			c.admin().post(t, "/api-keys", invalid).refused(t, http.StatusUnprocessableEntity, "validation-failed")
		}
	})
	t.Run("pages continue after the previous one", func(t *testing.T) {
		first := c.admin().get(t, "/api-keys?limit=1").ok(t)
		require.Len(t, first.body["data"], 1)
		rest := c.admin().get(t, "/api-keys?limit=200&cursor="+first.text("nextCursor")).ok(t)
		require.NotEmpty(t, rest.body["data"])
		require.NotContains(t, string(rest.raw), first.body["data"].([]any)[0].(map[string]any)["id"])
	})
	c.requireClean(t)
}

// TestDisablingAUserListsAndEndsTheirAPIKeys checks two instances.
func TestDisablingAUserListsAndEndsTheirAPIKeys(t *testing.T) {
	t.Parallel()
	c := open(t).following(t)
	second := secondInstance(t, c, c.database.Open(t)).following(t)
	make := func(email string) (user, key, text string) {
		user = c.hire(t, c.own, email, rbac.Admin)
		created := c.enter(t, email).post(t, "/api-keys",
			body{"name": "Billing system", "permissions": []string{"payer:read"}})
		return user, created.created(t).String(), created.text("key")
	}
	requireOut := func(text string) {
		t.Helper()
		c.as(text).get(t, "/payers").refused(t, http.StatusUnauthorized, "unauthenticated")
		require.Eventually(t, func() bool { return second.as(text).get(t, "/payers").status == http.StatusUnauthorized },
			10*time.Second, time.Millisecond)
	}
	listed := func(a answer) map[string]any {
		t.Helper()
		keys := a.ok(t).body["apiKeys"].([]any)
		require.Len(t, keys, 1)
		return keys[0].(map[string]any)
	}
	boss := idOf(c.userWith(t, c.admin(), rbac.Admin))

	leaver, key, text := make("leaver@own.test")
	for _, instance := range []*clinic{c, second} {
		instance.as(text).get(t, "/payers").ok(t)
	}
	require.Len(t, c.admin().get(t, "/api-keys?ownedBy="+idOf(leaver)).ok(t).body["data"], 1)
	require.Empty(t, c.admin().patch(t, leaver, body{"name": "Leaver"}).ok(t).body["apiKeys"])
	ended := listed(c.admin().patch(t, leaver, body{"disabled": true}))
	require.Equal(t, []any{key, boss}, []any{ended["id"], ended["revokedBy"]})
	require.NotNil(t, ended["revokedAt"])
	requireOut(text)

	leaver, key, text = make("second@own.test")
	c.admin().patch(t, leaver, body{"disabled": true, "apiKeyOwnerId": uuid.NewString()}).
		refused(t, http.StatusUnprocessableEntity, "validation-failed")
	kept := listed(c.admin().patch(t, leaver, body{"disabled": true, "apiKeyOwnerId": boss}))
	require.Equal(t, []any{key, boss, nil}, []any{kept["id"], kept["ownedBy"], kept["revokedAt"]})
	for _, instance := range []*clinic{c, second} {
		instance.as(text).get(t, "/payers").ok(t)
	}
	require.Len(t, c.admin().get(t, "/admin/audit-events?action=api-key.transfer").ok(t).body["data"], 1)

	leaver, _, text = make("third@own.test")
	demoted := listed(c.admin().put(t, leaver+"/roles", body{"roles": []string{"TECHNICIAN"}}))
	require.NotNil(t, demoted["revokedAt"], "a technician may not read payers")
	requireOut(text)
	c.requireClean(t)
}

// TestAPIKeysWorkInTheirNetworksOnly sends requests through a proxy that reports their addresses.
func TestAPIKeysWorkInTheirNetworksOnly(t *testing.T) {
	t.Parallel()
	database := twoPractices.New(t)
	c := serve(t, database, database.Open(t), "OMNI_TRUSTED_PROXIES=127.0.0.1,::1", "OMNI_API_KEY_LIFETIME=48h",
		"OMNI_API_KEY_MAX_LIFETIME=72h")
	created := c.admin().post(t, "/api-keys", body{
		"name": "x", "permissions": []string{"payer:read"},
		"networks": []string{"203.0.113.9/24", "2001:db8::/48"},
	})
	created.created(t)
	require.Equal(t, []any{"203.0.113.0/24", "2001:db8::/48"}, created.body["networks"])
	ends, err := time.Parse(time.RFC3339, created.text("expiresAt"))
	require.NoError(t, err)
	require.WithinDuration(t, c.clock.now().Add(48*time.Hour), ends, time.Minute)
	from := func(address string) answer {
		return c.as(created.text("key")).with("X-Forwarded-For", address).get(t, "/payers")
	}
	from("203.0.113.77").ok(t)
	from("2001:db8::1").ok(t)
	refused := from("2001:db8:1::1").refused(t, http.StatusUnauthorized, "unauthenticated")
	unknown := c.as("omni_key_made-up").get(t, "/payers").refused(t, http.StatusUnauthorized, "unauthenticated")
	require.Equal(t, unknown.text("detail"), refused.text("detail"))
	from("203.0.114.77").refused(t, http.StatusUnauthorized, "unauthenticated")
	denied := c.admin().get(t, "/admin/audit-events?action=api-key.use&outcome=denied").ok(t)
	require.Len(t, denied.body["data"], 2)
	require.Contains(t, string(denied.raw), `"address":"203.0.114.77"`)
	for _, invalid := range []body{
		{"networks": []string{"office"}},
		{"expiresAt": c.clock.now().Add(73 * time.Hour).UTC()},
	} {
		invalid["name"], invalid["permissions"] = "x", []string{"payer:read"}
		c.admin().post(t, "/api-keys", invalid).refused(t, http.StatusUnprocessableEntity, "validation-failed")
	}
	c.requireClean(t)
}

// TestEachAPIKeyHasItsOwnRateLimit exceeds the rate of one key.
func TestEachAPIKeyHasItsOwnRateLimit(t *testing.T) {
	t.Parallel()
	database := twoPractices.New(t)
	c := serve(t, database, database.Open(t), "OMNI_RATE_LIMIT=0.01", "OMNI_RATE_BURST=100", "OMNI_TOKEN_RATE_LIMIT=0")
	_, one := c.key(t, "payer:read")
	_, two := c.key(t, "payer:read")
	for range 100 {
		c.as(one).get(t, "/payers").ok(t)
	}
	c.as(one).get(t, "/payers").refused(t, http.StatusTooManyRequests, "rate-limited")
	c.as(two).get(t, "/payers").ok(t)
	c.admin().get(t, "/payers").ok(t)
}
