package e2e

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/oidc/openid/openidtest"
)

const linkRequests = provider + "/link-requests"

// linkRequest returns the id of the open link request of a subject.
func (c *clinic) linkRequest(t testing.TB, as caller, subject string) string {
	t.Helper()
	for _, item := range as.all(t, linkRequests+"?limit=1", nil) {
		if item["subject"] == subject {
			return item["id"].(string)
		}
	}
	t.Fatalf("no link request of %s", subject)
	return ""
}

// providerSettings are an administrator's settings of a provider.
func providerSettings(p *openidtest.Provider, changes ...body) body {
	b := body{"issuer": p.Issuer, "clientId": openidtest.ClientID, "clientSecret": openidtest.ClientSecret}
	for _, change := range changes {
		maps.Copy(b, change)
	}
	return b
}

// permit gives a role of the own practice an administrator's default permissions with changes: the
// scopes of a permission, or none to remove it.
func (c *clinic) permit(t testing.TB, role rbac.Role, changes map[string][]string) {
	t.Helper()
	set := []body{}
	for _, p := range rbac.Admin.Permissions() {
		scopes, changed := changes[string(p)]
		if !changed {
			scopes = []string{"ORGANIZATION"}
		}
		if len(scopes) > 0 {
			set = append(set, body{"permission": p, "scopes": scopes})
		}
	}
	c.admin().put(t, "/permission-sets/"+string(role), body{"permissions": set}).ok(t)
}

// onlyProviders is a permission set with identity-provider:manage alone.
var onlyProviders = body{
	"permissions": []body{{"permission": "identity-provider:manage", "scopes": []string{"ORGANIZATION"}}},
}

// TestSettingAProviderNeedsThePermissionsOfItsUsers lets a scheduler with
// identity-provider:manage enter a provider that claims to authenticate the administrator.
func TestSettingAProviderNeedsThePermissionsOfItsUsers(t *testing.T) {
	t.Parallel()
	c, p := openWithProvider(t, openidtest.Person{Subject: "evil", Email: "admin@own.test", Verified: true})
	evil := openidtest.Start(t, redirectURI, openidtest.Person{Subject: "evil", Email: "admin@own.test", Verified: true})
	attacker := func() caller { return c.as(c.signIn(t, "own", rbac.Scheduler)) }
	beyond := func(a answer, permission string) {
		t.Helper()
		require.Equal(t, permission, a.refused(t, http.StatusForbidden, "beyond-own-permissions").text("exceeds"))
	}

	c.admin().put(t, "/permission-sets/SCHEDULER", onlyProviders).ok(t)
	beyond(attacker().put(t, provider, providerSettings(evil)), "organization:read")
	beyond(attacker().put(t, provider, providerSettings(p, body{"clientSecret": "theirs"})), "organization:read")
	for permission, scopes := range map[string][]string{
		"api-key:manage": nil, "session:read": {"SELF"},
		"patient:read": {"CASELOAD", "CHILD"},
	} {
		c.permit(t, rbac.Scheduler, map[string][]string{permission: scopes})
		beyond(attacker().put(t, provider, providerSettings(evil)), permission)
	}
	require.Equal(t, p.Issuer, c.admin().get(t, provider).ok(t).text("issuer"))

	c.permit(t, rbac.Scheduler, nil)
	attacker().put(t, provider, providerSettings(evil)).ok(t)
	code := codeIn(t, c.signInAs(t, evil, "evil"))
	c.exchange(t, code, verifier).refused(t, http.StatusUnauthorized, "link-confirmation-required")
	id := c.linkRequest(t, attacker(), "evil")
	attacker().post(t, linkRequests+"/"+id+"/confirm", nil).refused(t, http.StatusForbidden, "link-needs-another")
	c.permit(t, rbac.Scheduler, map[string][]string{"api-key:manage": nil})
	require.Equal(t, http.StatusNoContent, attacker().delete(t, provider).status,
		"disabling a provider needs only its permission")
	c.requireClean(t)
}

// TestSettingAProviderNeedsThePermissionsOfOpenInvitations: the provider's operator could accept the
// open invitations.
func TestSettingAProviderNeedsThePermissionsOfOpenInvitations(t *testing.T) {
	t.Parallel()
	c, p := openWithProvider(t)
	c.permit(t, rbac.Biller, nil)
	invitation, _ := c.admin().invite(t, "new@own.test", "BILLER")
	c.permit(t, rbac.Admin, map[string][]string{"payer:change": nil})
	c.run(t, `UPDATE users u SET status = 'DISABLED' WHERE EXISTS (
		SELECT FROM user_roles r WHERE r.organization_id = u.organization_id AND r.user_id = u.id AND r.role = 'BILLER')`)
	refused := c.admin().put(t, provider, providerSettings(p)).refused(t, http.StatusForbidden, "beyond-own-permissions")
	require.Equal(t, "payer:change", refused.text("exceeds"))
	require.Equal(t, http.StatusNoContent, c.admin().delete(t, invitation).status)
	c.admin().put(t, provider, providerSettings(p)).ok(t)
}

func TestTheFirstLinkOfAnAccountIsConfirmedByItsOwner(t *testing.T) {
	t.Parallel()
	biller := openidtest.Person{Subject: "b-1", Email: "biller@own.test", Verified: true}
	c, p := openWithProvider(t, scheduler, biller)
	c.live(t)
	stream := c.admin().stream(t, "?types=identity-provider.link-requested&types=identity-provider.linked")
	require.Equal(t, "ready", stream.next(t).name)
	user := strings.TrimPrefix(c.userWith(t, c.admin(), rbac.Scheduler), "/users/")

	code := codeIn(t, c.signInAs(t, p, scheduler.Subject))
	c.exchange(t, code, verifier).refused(t, http.StatusUnauthorized, "link-confirmation-required")
	c.confirm(t, code, body{"password": "not-the-password"}).refused(t, http.StatusUnauthorized, "wrong-credentials")
	c.confirm(t, code, body{"verifier": strings.Repeat("x", 50)}).refused(t, http.StatusUnauthorized, "sign-in-code")
	c.confirm(t, code).refused(t, http.StatusUnauthorized, "sign-in-code") // consumed by the wrong verifier
	first := stream.next(t)
	require.Equal(t, "identity-provider.link-requested", first.name)
	require.Equal(t, map[string]any{"userId": user, "changedBy": nil}, map[string]any(first.payload(t)))

	code = codeIn(t, c.signInAs(t, p, scheduler.Subject))
	signed := c.confirm(t, code).ok(t)
	c.as(signed.text("accessToken")).get(t, "/patients").ok(t)
	c.confirm(t, code).refused(t, http.StatusUnauthorized, "sign-in-code")
	second := stream.next(t)
	require.Equal(t, "identity-provider.linked", second.name, "the second attempt uses the same request")
	require.Equal(t, map[string]any{"userId": user, "changedBy": user}, map[string]any(second.payload(t)))
	c.exchange(t, codeIn(t, c.signInAs(t, p, scheduler.Subject)), verifier).ok(t) // one confirmation is enough
	for _, action := range []string{"user.request-provider-link", "user.link-provider"} {
		require.Len(t, c.admin().get(t, "/admin/audit-events?action="+action+"&subjectId="+user).ok(t).body["data"], 1,
			action)
	}
	denied := c.admin().get(t, "/admin/audit-events?action=user.sign-in&outcome=denied&limit=10").ok(t)
	for _, reason := range []string{"unconfirmed", "password"} {
		require.Contains(t, string(denied.raw), `"after":{"method":"oidc","reason":"`+reason+`"}`)
	}

	code = codeIn(t, c.signInAs(t, p, biller.Subject))
	for range 10 {
		c.confirm(t, code, body{"password": "not-the-password"})
	}
	c.confirm(t, code).refused(t, http.StatusTooManyRequests, "sign-in-delayed")
	c.clock.advance(10 * time.Minute)
	c.confirm(t, code).refused(t, http.StatusUnauthorized, "sign-in-code")
	require.Equal(t, 1, c.count(t, "SELECT count(*) FROM provider_subjects"))
	c.requireClean(t)
}

func TestTheOwnerConfirmsALinkWithTheSecondFactorToo(t *testing.T) {
	t.Parallel()
	c, p := openWithProvider(t, scheduler)
	phone, codes, _ := c.enrol(t, c.as(c.own.tokens[rbac.Scheduler]))
	code := codeIn(t, c.signInAs(t, p, scheduler.Subject))
	c.confirm(t, code).refused(t, http.StatusUnauthorized, "second-factor-required")
	c.confirm(t, code, body{"password": "wrong", "secondFactorCode": codes[0]}).
		refused(t, http.StatusUnauthorized, "wrong-credentials")
	c.confirm(t, code, body{"secondFactorCode": phone.wrong()}).refused(t, http.StatusUnauthorized, "second-factor-wrong")
	c.run(t, "UPDATE second_factors SET wrong_codes = 100")
	c.confirm(t, code, body{"secondFactorCode": phone.code(0)}).
		refused(t, http.StatusUnauthorized, "recovery-code-required")
	c.confirm(t, code, body{"secondFactorCode": codes[0]}).ok(t)
	require.Equal(t, 1, c.count(t, "SELECT count(*) FROM recovery_codes WHERE used_at IS NOT NULL"))
	require.Equal(t, 1, c.count(t, "SELECT count(*) FROM provider_subjects"))
}

func TestTheFirstLinkOfAnAccountIsConfirmedByASecondAdministrator(t *testing.T) {
	t.Parallel()
	auditor := openidtest.Person{Subject: "a-1", Email: "auditor@own.test", Verified: true}
	boss := openidtest.Person{Subject: "boss", Email: "second@own.test", Verified: true}
	c, p := openWithProvider(t, scheduler, auditor, boss)
	c.hire(t, c.own, "second@own.test", rbac.Admin)
	second := c.enter(t, "second@own.test")
	delegate := func() caller { return c.as(c.signIn(t, "own", rbac.Biller)) }
	c.admin().put(t, "/permission-sets/BILLER", onlyProviders).ok(t)
	for _, subject := range []string{scheduler.Subject, auditor.Subject, boss.Subject} {
		codeIn(t, c.signInAs(t, p, subject))
	}
	path := func(subject string) string { return linkRequests + "/" + c.linkRequest(t, second, subject) }
	require.Len(t, second.all(t, linkRequests, nil), 3)

	of := path(scheduler.Subject)
	c.admin().post(t, of+"/confirm", nil).refused(t, http.StatusForbidden, "link-needs-another")
	second.post(t, path(boss.Subject)+"/confirm", nil).refused(t, http.StatusForbidden, "link-needs-another")
	delegate().post(t, of+"/confirm", nil).refused(t, http.StatusForbidden, "beyond-own-permissions")
	c.as(c.own.tokens[rbac.Scheduler]).post(t, of+"/confirm", nil).refused(t, http.StatusForbidden, "forbidden")
	stranger := c.as(c.other.tokens[rbac.Admin])
	stranger.post(t, of+"/confirm", nil).refused(t, http.StatusNotFound, "link-request-not-found")
	stranger.delete(t, of).refused(t, http.StatusNotFound, "link-request-not-found")
	require.Empty(t, stranger.get(t, linkRequests).ok(t).body["data"])
	second.post(t, linkRequests+"/"+uuid.NewString()+"/confirm", nil).
		refused(t, http.StatusNotFound, "link-request-not-found")

	require.Equal(t, http.StatusNoContent, second.post(t, of+"/confirm", nil).status)
	signed := c.exchange(t, codeIn(t, c.signInAs(t, p, scheduler.Subject)), verifier).ok(t)
	require.Equal(t, "scheduler@own.test", signed.body["user"].(map[string]any)["email"])
	second.post(t, of+"/confirm", nil).refused(t, http.StatusNotFound, "link-request-not-found")

	declined := path(auditor.Subject)
	require.Equal(t, http.StatusNoContent, second.delete(t, declined).status)
	second.delete(t, declined).refused(t, http.StatusNotFound, "link-request-not-found")
	code := codeIn(t, c.signInAs(t, p, auditor.Subject))
	c.exchange(t, code, verifier).refused(t, http.StatusUnauthorized, "link-confirmation-required")
	again := path(auditor.Subject)
	require.NotEqual(t, declined, again)
	c.run(t, "UPDATE provider_link_requests SET expires_at = now()")
	second.post(t, again+"/confirm", nil).refused(t, http.StatusNotFound, "link-request-not-found")
	require.Empty(t, second.get(t, linkRequests).ok(t).body["data"])
	_, err := c.app.Access.Sweep(t.Context())
	require.NoError(t, err)
	require.Zero(t, c.count(t, "SELECT count(*) FROM provider_link_requests"))
	c.requireClean(t)
}

// TestLinksAndSignInsEndWithTheirProvider changes the provider at one instance, and checks two.
func TestLinksAndSignInsEndWithTheirProvider(t *testing.T) {
	t.Parallel()
	biller := openidtest.Person{Subject: "b-1", Email: "biller@own.test", Verified: true}
	c, p := openWithProvider(t, scheduler, biller)
	c.following(t).live(t)
	second := secondInstance(t, c, c.database.Open(t), "OMNI_PUBLIC_URL="+publicURL, "OMNI_FRONTEND_URL="+frontendURL).
		following(t)
	elsewhere := openidtest.Start(t, redirectURI, scheduler)
	require.Eventually(t, func() bool { return c.count(t, "SELECT count(*) FROM outbox") == 0 },
		soon, time.Millisecond, "earlier changes are published")
	changes := c.admin().stream(t, "?types=identity-provider.changed")
	require.Equal(t, "ready", changes.next(t).name)

	signed := c.connect(t, p, scheduler.Subject)
	c.admin().put(t, provider, providerSettings(p)).ok(t) // as after a new client secret
	require.Equal(t, float64(0), changes.next(t).payload(t)["endedLinks"])
	c.as("").post(t, "/auth/refresh", body{"refreshToken": signed.text("refreshToken")}).ok(t)
	require.Equal(t, 1, c.count(t, "SELECT count(*) FROM provider_subjects"))
	require.Equal(t, http.StatusNoContent, c.admin().delete(t, provider).status)
	changes.next(t)

	settings := map[string]body{
		"issuer": providerSettings(elsewhere), "client": providerSettings(p, body{"clientId": "another"}), "removal": nil,
	}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		t.Run(name, func(t *testing.T) {
			c.admin().put(t, provider, providerSettings(p)).ok(t)
			changes.next(t)
			byPassword := c.as("").post(t, "/auth/login", body{"email": "scheduler@own.test", "password": password}).ok(t)
			signed := c.connect(t, p, scheduler.Subject)
			code := codeIn(t, c.signInAs(t, p, scheduler.Subject))
			pending := codeIn(t, c.signInAs(t, p, biller.Subject))
			token := signed.text("accessToken")
			stream := second.as(token).stream(t, "")
			require.Equal(t, "ready", stream.next(t).name)

			if settings[name] == nil {
				require.Equal(t, http.StatusNoContent, c.admin().delete(t, provider).status)
			} else {
				c.admin().put(t, provider, settings[name]).ok(t)
			}
			c.as(token).get(t, "/patients").refused(t, http.StatusUnauthorized, "unauthenticated")
			stream.ended(t)
			second.as(token).get(t, "/patients").refused(t, http.StatusUnauthorized, "unauthenticated")
			second.as("").post(t, "/auth/refresh", body{"refreshToken": signed.text("refreshToken")}).
				refused(t, http.StatusUnauthorized, "refresh-refused")
			second.exchange(t, code, verifier).refused(t, http.StatusUnauthorized, "sign-in-code")
			second.confirm(t, pending).refused(t, http.StatusUnauthorized, "sign-in-code")
			require.Zero(t,
				c.count(t, "SELECT (SELECT count(*) FROM provider_subjects) + (SELECT count(*) FROM provider_link_requests)"))
			second.as("").post(t, "/auth/refresh", body{"refreshToken": byPassword.text("refreshToken")}).ok(t)
			change := changes.next(t).payload(t)
			require.Equal(t, []any{settings[name] == nil, float64(1), float64(1)},
				[]any{change["removed"], change["endedLinks"], change["endedSignIns"]})
		})
	}
	c.admin().put(t, provider, providerSettings(p)).ok(t)
	code := codeIn(t, c.signInAs(t, p, scheduler.Subject))
	// Also after it returns.
	c.exchange(t, code, verifier).refused(t, http.StatusUnauthorized, "link-confirmation-required")
	c.requireClean(t)
}

// TestAProviderThatIsReplacedWhileItAnswers lets an administrator enter another client between
// the provider's answer and its use.
func TestAProviderThatIsReplacedWhileItAnswers(t *testing.T) {
	t.Parallel()
	c, p := openWithProvider(t, scheduler)
	c.connect(t, p, scheduler.Subject)
	j := c.begin(t)
	back := p.SignIn(t, j.sentTo, scheduler.Subject)
	p.Rewrite(func(claims jwt.MapClaims) string {
		c.admin().put(t, provider, providerSettings(p, body{"clientId": "another"})).ok(t)
		return p.Sign(t, claims)
	})
	c.back(t, j, back).landed(t, "not-recognized")
	last := c.admin().get(t, "/admin/audit-events?action=user.sign-in&outcome=denied&limit=1").ok(t)
	require.Contains(t, string(last.raw), `"reason":"provider-changed"`)
	require.Zero(t, c.count(t, "SELECT count(*) FROM provider_subjects"))
}

func TestAnAccountIsUnlinkedFromTheProvider(t *testing.T) {
	t.Parallel()
	boss := openidtest.Person{Subject: "boss", Email: "admin@own.test", Verified: true}
	c, p := openWithProvider(t, scheduler, boss)
	user, root := c.userWith(t, c.admin(), rbac.Scheduler), c.userWith(t, c.admin(), rbac.SuperAdmin)
	c.admin().delete(t, user+"/provider-link").refused(t, http.StatusNotFound, "provider-link-not-found")
	signed, other := c.connect(t, p, scheduler.Subject), c.connect(t, p, boss.Subject)
	c.as(c.other.tokens[rbac.Admin]).delete(t, user+"/provider-link").refused(t, http.StatusNotFound, "user-not-found")
	c.as(c.own.tokens[rbac.Scheduler]).delete(t, user+"/provider-link").refused(t, http.StatusForbidden, "forbidden")
	c.admin().delete(t, root+"/provider-link").refused(t, http.StatusForbidden, "beyond-own-permissions")
	require.Equal(t, http.StatusNoContent, c.admin().delete(t, user+"/provider-link").status)
	c.as(signed.text("accessToken")).get(t, "/patients").refused(t, http.StatusUnauthorized, "unauthenticated")
	c.as(other.text("accessToken")).get(t, "/patients").ok(t)
	code := codeIn(t, c.signInAs(t, p, scheduler.Subject))
	c.exchange(t, code, verifier).refused(t, http.StatusUnauthorized, "link-confirmation-required")
	c.requireClean(t)
}
