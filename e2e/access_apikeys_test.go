package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
)

func TestAPIKeyLifecycle(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	second := harness.SecondInstance(t, c, c.Database.Open(t))
	authorization := c.Authorize(t, 100)

	t.Run("an API key is its own actor", func(t *testing.T) {
		path, text := c.AddAPIKey(t, "authorization:read", "authorization:reserve", "audit:read", "patient:read")
		machine := c.As(text)
		id := strings.TrimPrefix(path, "/api-keys/")
		first := machine.WithHeader("Idempotency-Key", "k").Post(t, authorization+"/reserve", harness.Body{"units": 5})
		first.ReservationID(t)
		require.Equal(t, "true", second.As(text).WithHeader("Idempotency-Key", "k").Post(t, authorization+"/reserve",
			harness.Body{"units": 5}).Header.Get("Idempotency-Replayed"))
		mine := c.Admin().WithHeader("Idempotency-Key", "k").Post(t, authorization+"/reserve", harness.Body{"units": 5})
		require.Empty(t, mine.Header.Get("Idempotency-Replayed"), "another key is another actor")
		require.NotEqual(t, first.ReservationID(t), mine.ReservationID(t))
		for _, raw := range [][]byte{
			machine.Get(t, "/admin/audit-events?actorId="+id+"&action=authorization.reserve").OK(t).Raw,
			machine.Get(t, authorization+"/entries").OK(t).Raw,
		} {
			require.Contains(t, string(raw), `"actorId":"`+id+`"`)
		}
		denied := machine.Post(t, authorization+"/consume", harness.Body{"units": 1}).
			Refused(t, http.StatusForbidden, "forbidden")
		require.Equal(t, "authorization:consume", denied.Body["permission"])
		require.Contains(t, string(machine.Get(t, "/admin/audit-events?outcome=denied").OK(t).Raw), denied.RequestID())
		machine.Get(t, "/auth/me").Refused(t, http.StatusForbidden, "people-only")
		machine.Get(t, "/api-keys").Refused(t, http.StatusForbidden, "forbidden")
		machine.Get(t, "/authorizations/"+uuid.NewString()).Refused(t, http.StatusNotFound, "authorization-not-found")
		machine.Get(t, "/patients/"+c.Own.Patient.String()).OK(t)
		machine.Get(t, "/patients/"+c.Other.Patient.String()).Refused(t, http.StatusNotFound, "patient-not-found")
	})
	t.Run("a revoked key is refused by every instance, from the moment of the answer", func(t *testing.T) {
		path, text := c.AddAPIKey(t, "authorization:read")
		for _, instance := range []*harness.Clinic{c, second} {
			instance.As(text).Get(t, authorization).OK(t)
		}
		require.Equal(t, http.StatusNoContent, c.Admin().Delete(t, path).Status)
		for _, instance := range []*harness.Clinic{c, second} {
			refused := instance.As(text).Get(t, authorization).Refused(t, http.StatusUnauthorized, "unauthenticated")
			require.Equal(t, "Bearer", refused.Header.Get("WWW-Authenticate"))
		}
		require.Equal(t, http.StatusNoContent, second.Admin().Delete(t, path).Status)
		found := c.Admin().Get(t, path).OK(t)
		require.NotNil(t, found.Body["revokedAt"])
		require.NotNil(t, found.Body["revokedBy"])
	})
	t.Run("its text is shown once and not stored", func(t *testing.T) {
		keyed, wanted := c.Admin().WithHeader("Idempotency-Key", "one-key"), harness.Body{
			"name":        "x",
			"permissions": []string{"authorization:read"},
		}
		first, again := keyed.Post(t, "/api-keys", wanted), keyed.Post(t, "/api-keys", wanted)
		require.Equal(t, first.Created(t), again.Created(t))
		require.Nil(t, again.Body["key"])
		text := first.Text("key")
		require.Zero(t, c.Count(t, "SELECT count(*) FROM commands k WHERE position($1 IN k.answer::text) > 0", text))
		for _, path := range []string{"/api-keys?limit=200", "/admin/audit-events?limit=200&action=api-key.create"} {
			require.NotContains(t, string(c.Admin().Get(t, path).OK(t).Raw), text)
		}
		require.Zero(t, c.Count(t, "SELECT count(*) FROM api_keys k WHERE k::text LIKE '%' || $1 || '%'", text))
	})
	t.Run("administrators manage the keys of their own organization", func(t *testing.T) {
		path, _ := c.AddAPIKey(t, "authorization:read")
		for _, role := range rbac.Roles() {
			if role == rbac.Admin {
				continue
			}
			for _, from := range []harness.Practice{c.Own, c.Other} {
				who := c.As(from.Tokens[role])
				for _, a := range []harness.Answer{
					who.Get(t, "/api-keys"), who.Get(t, path), who.Delete(t, path), who.Post(t, "/api-keys",
						harness.Body{"name": "x", "permissions": []string{"patient:read"}}),
				} {
					a.Refused(t, http.StatusForbidden, "forbidden")
				}
			}
		}
		other := c.As(c.Other.Tokens[rbac.Admin])
		require.Empty(t, other.Get(t, "/api-keys").OK(t).Body["data"])
		nowhere := other.Get(t, "/api-keys/"+uuid.NewString()).Refused(t, http.StatusNotFound, "api-key-not-found")
		require.Equal(t, nowhere.Text("detail"),
			other.Get(t, path).Refused(t, http.StatusNotFound, "api-key-not-found").Text("detail"))
		other.Delete(t, path).Refused(t, http.StatusNotFound, "api-key-not-found")
		require.Nil(t, c.Admin().Get(t, path).OK(t).Body["revokedAt"])
	})
	t.Run("callers cannot grant more than they hold", func(t *testing.T) {
		c.Admin().Put(t, "/permission-sets/ADMIN", withoutPermission(c.Admin().PermissionSet(t, rbac.Admin), "payer:change")).
			OK(t)
		denied := c.Admin().Post(t, "/api-keys", harness.Body{"name": "x", "permissions": []string{"payer:change"}}).
			Refused(t, http.StatusForbidden, "beyond-own-permissions")
		require.Equal(t, "payer:change", denied.Body["exceeds"])
		require.Equal(t, http.StatusNoContent, c.Admin().Delete(t, "/permission-sets/ADMIN").Status)
		for _, invalid := range []harness.Body{
			{"permissions": []string{"patient:read"}},
			{"name": " ", "permissions": []string{"patient:read"}},
			{"name": "x", "permissions": []string{}},
			{"name": "x", "permissions": []string{"api-key:manage"}},
			{"name": "x", "permissions": []string{"patient:read"}, "expiresAt": c.Clock.Now().Add(-time.Second).UTC()},
			{"name": "x", "permissions": []string{"patient:read"}, "organizationId": c.Other.ID},
		} {
			c.Admin().Post(t, "/api-keys", invalid).Refused(t, http.StatusUnprocessableEntity, "validation-failed")
		}
	})
	t.Run("pages continue after the previous one", func(t *testing.T) {
		first := c.Admin().Get(t, "/api-keys?limit=1").OK(t)
		require.Len(t, first.Body["data"], 1)
		rest := c.Admin().Get(t, "/api-keys?limit=200&cursor="+first.Text("nextCursor")).OK(t)
		require.NotEmpty(t, rest.Body["data"])
		require.NotContains(t, string(rest.Raw), first.Body["data"].([]any)[0].(map[string]any)["id"])
	})
	c.RequireClean(t)
}

// TestDisablingAUserListsAndEndsTheirAPIKeys checks two instances.
func TestDisablingAUserListsAndEndsTheirAPIKeys(t *testing.T) {
	t.Parallel()
	c := harness.Open(t).FollowRevocations(t)
	second := harness.SecondInstance(t, c, c.Database.Open(t)).FollowRevocations(t)
	make := func(email string) (user, key, text string) {
		user = c.AddUser(t, c.Own, email, rbac.Admin)
		created := c.SignInByEmail(t, email).Post(t, "/api-keys",
			harness.Body{"name": "Billing system", "permissions": []string{"payer:read"}})
		return user, created.Created(t).String(), created.Text("key")
	}
	requireOut := func(text string) {
		t.Helper()
		c.As(text).Get(t, "/payers").Refused(t, http.StatusUnauthorized, "unauthenticated")
		require.Eventually(t, func() bool { return second.As(text).Get(t, "/payers").Status == http.StatusUnauthorized },
			10*time.Second, time.Millisecond)
	}
	listed := func(a harness.Answer) map[string]any {
		t.Helper()
		keys := a.OK(t).Body["apiKeys"].([]any)
		require.Len(t, keys, 1)
		return keys[0].(map[string]any)
	}
	boss := harness.IDOf(c.UserWithRole(t, c.Admin(), rbac.Admin))

	leaver, key, text := make("leaver@own.test")
	for _, instance := range []*harness.Clinic{c, second} {
		instance.As(text).Get(t, "/payers").OK(t)
	}
	require.Len(t, c.Admin().Get(t, "/api-keys?ownedBy="+harness.IDOf(leaver)).OK(t).Body["data"], 1)
	require.Empty(t, c.Admin().Patch(t, leaver, harness.Body{"name": "Leaver"}).OK(t).Body["apiKeys"])
	ended := listed(c.Admin().Patch(t, leaver, harness.Body{"disabled": true}))
	require.Equal(t, []any{key, boss}, []any{ended["id"], ended["revokedBy"]})
	require.NotNil(t, ended["revokedAt"])
	requireOut(text)

	leaver, key, text = make("second@own.test")
	c.Admin().Patch(t, leaver, harness.Body{"disabled": true, "apiKeyOwnerId": uuid.NewString()}).
		Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	kept := listed(c.Admin().Patch(t, leaver, harness.Body{"disabled": true, "apiKeyOwnerId": boss}))
	require.Equal(t, []any{key, boss, nil}, []any{kept["id"], kept["ownedBy"], kept["revokedAt"]})
	for _, instance := range []*harness.Clinic{c, second} {
		instance.As(text).Get(t, "/payers").OK(t)
	}
	require.Len(t, c.Admin().Get(t, "/admin/audit-events?action=api-key.transfer").OK(t).Body["data"], 1)

	leaver, _, text = make("third@own.test")
	demoted := listed(c.Admin().Put(t, leaver+"/roles", harness.Body{"roles": []string{"TECHNICIAN"}}))
	require.NotNil(t, demoted["revokedAt"], "a technician may not read payers")
	requireOut(text)
	c.RequireClean(t)
}

// TestAPIKeysWorkInTheirNetworksOnly sends requests through a proxy that reports their addresses.
func TestAPIKeysWorkInTheirNetworksOnly(t *testing.T) {
	t.Parallel()
	database := harness.TwoPractices.New(t)
	c := harness.Serve(t, database, database.Open(t), "OMNI_TRUSTED_PROXIES=127.0.0.1,::1", "OMNI_API_KEY_LIFETIME=48h",
		"OMNI_API_KEY_MAX_LIFETIME=72h")
	created := c.Admin().Post(t, "/api-keys", harness.Body{
		"name": "x", "permissions": []string{"payer:read"},
		"networks": []string{"203.0.113.9/24", "2001:db8::/48"},
	})
	created.Created(t)
	require.Equal(t, []any{"203.0.113.0/24", "2001:db8::/48"}, created.Body["networks"])
	ends, err := time.Parse(time.RFC3339, created.Text("expiresAt"))
	require.NoError(t, err)
	require.WithinDuration(t, c.Clock.Now().Add(48*time.Hour), ends, time.Minute)
	from := func(address string) harness.Answer {
		return c.As(created.Text("key")).WithHeader("X-Forwarded-For", address).Get(t, "/payers")
	}
	from("203.0.113.77").OK(t)
	from("2001:db8::1").OK(t)
	refused := from("2001:db8:1::1").Refused(t, http.StatusUnauthorized, "unauthenticated")
	unknown := c.As("omni_key_made-up").Get(t, "/payers").Refused(t, http.StatusUnauthorized, "unauthenticated")
	require.Equal(t, unknown.Text("detail"), refused.Text("detail"))
	from("203.0.114.77").Refused(t, http.StatusUnauthorized, "unauthenticated")
	denied := c.Admin().Get(t, "/admin/audit-events?action=api-key.use&outcome=denied").OK(t)
	require.Len(t, denied.Body["data"], 2)
	require.Contains(t, string(denied.Raw), `"address":"203.0.114.77"`)
	for _, invalid := range []harness.Body{
		{"networks": []string{"office"}},
		{"expiresAt": c.Clock.Now().Add(73 * time.Hour).UTC()},
	} {
		invalid["name"], invalid["permissions"] = "x", []string{"payer:read"}
		c.Admin().Post(t, "/api-keys", invalid).Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	}
	c.RequireClean(t)
}

// TestEachAPIKeyHasItsOwnRateLimit exceeds the rate of one key.
func TestEachAPIKeyHasItsOwnRateLimit(t *testing.T) {
	t.Parallel()
	database := harness.TwoPractices.New(t)
	c := harness.Serve(t, database, database.Open(t), "OMNI_RATE_LIMIT=0.01", "OMNI_RATE_BURST=100",
		"OMNI_TOKEN_RATE_LIMIT=0")
	_, one := c.AddAPIKey(t, "payer:read")
	_, two := c.AddAPIKey(t, "payer:read")
	for range 100 {
		c.As(one).Get(t, "/payers").OK(t)
	}
	c.As(one).Get(t, "/payers").Refused(t, http.StatusTooManyRequests, "rate-limited")
	c.As(two).Get(t, "/payers").OK(t)
	c.Admin().Get(t, "/payers").OK(t)
}
