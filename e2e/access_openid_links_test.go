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

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/oidc/openid/openidtest"
)

// providerSettings are an administrator's settings of a provider.
func providerSettings(p *openidtest.Provider, changes ...harness.Body) harness.Body {
	b := harness.Body{"issuer": p.Issuer, "clientId": openidtest.ClientID, "clientSecret": openidtest.ClientSecret}
	for _, change := range changes {
		maps.Copy(b, change)
	}
	return b
}

// permit gives a role of the clinic's own practice an administrator's default permissions with changes: the
// scopes of a permission, or none to remove it.
func permit(t testing.TB, c *harness.Clinic, role rbac.Role, changes map[string][]string) {
	t.Helper()
	set := []harness.Body{}
	for _, p := range rbac.Admin.Permissions() {
		scopes, changed := changes[string(p)]
		if !changed {
			scopes = []string{"ORGANIZATION"}
		}
		if len(scopes) > 0 {
			set = append(set, harness.Body{"permission": p, "scopes": scopes})
		}
	}
	c.Admin().Put(t, "/permission-sets/"+string(role), harness.Body{"permissions": set}).OK(t)
}

// onlyProviders is a permission set with identity-provider:manage alone.
var onlyProviders = harness.Body{
	"permissions": []harness.Body{{"permission": "identity-provider:manage", "scopes": []string{"ORGANIZATION"}}},
}

// TestSettingAProviderNeedsThePermissionsOfItsUsers lets a scheduler with
// identity-provider:manage enter a provider that claims to authenticate the administrator.
func TestSettingAProviderNeedsThePermissionsOfItsUsers(t *testing.T) {
	t.Parallel()
	c, p := harness.OpenWithProvider(t, openidtest.Person{Subject: "evil", Email: "admin@own.test", Verified: true})
	evil := openidtest.Start(t, harness.RedirectURI, openidtest.Person{
		Subject: "evil", Email: "admin@own.test", Verified: true,
	})
	attacker := func() harness.Caller { return c.As(c.SignIn(t, "own", rbac.Scheduler)) }
	beyond := func(a harness.Answer, permission string) {
		t.Helper()
		require.Equal(t, permission, a.Refused(t, http.StatusForbidden, "beyond-own-permissions").Text("exceeds"))
	}

	c.Admin().Put(t, "/permission-sets/SCHEDULER", onlyProviders).OK(t)
	beyond(attacker().Put(t, harness.ProviderPath, providerSettings(evil)), "organization:read")
	beyond(attacker().Put(t, harness.ProviderPath, providerSettings(p, harness.Body{"clientSecret": "theirs"})),
		"organization:read")
	for permission, scopes := range map[string][]string{
		"api-key:manage": nil, "session:read": {"SELF"},
		"patient:read": {"CASELOAD", "CHILD"},
	} {
		permit(t, c, rbac.Scheduler, map[string][]string{permission: scopes})
		beyond(attacker().Put(t, harness.ProviderPath, providerSettings(evil)), permission)
	}
	require.Equal(t, p.Issuer, c.Admin().Get(t, harness.ProviderPath).OK(t).Text("issuer"))

	permit(t, c, rbac.Scheduler, nil)
	attacker().Put(t, harness.ProviderPath, providerSettings(evil)).OK(t)
	code := harness.SignInCode(t, c.SignInWithProvider(t, evil, "evil"))
	c.ExchangeCode(t, code, harness.Verifier).Refused(t, http.StatusUnauthorized, "link-confirmation-required")
	id := c.LinkRequest(t, attacker(), "evil")
	attacker().Post(t, harness.LinkRequestsPath+"/"+id+"/confirm", nil).
		Refused(t, http.StatusForbidden, "link-needs-another")
	permit(t, c, rbac.Scheduler, map[string][]string{"api-key:manage": nil})
	require.Equal(t, http.StatusNoContent, attacker().Delete(t, harness.ProviderPath).Status,
		"disabling a provider needs only its permission")
	c.RequireClean(t)
}

// TestSettingAProviderNeedsThePermissionsOfOpenInvitations: the provider's operator could accept the
// open invitations.
func TestSettingAProviderNeedsThePermissionsOfOpenInvitations(t *testing.T) {
	t.Parallel()
	c, p := harness.OpenWithProvider(t)
	permit(t, c, rbac.Biller, nil)
	invitation, _ := c.Admin().Invite(t, "new@own.test", "BILLER")
	permit(t, c, rbac.Admin, map[string][]string{"payer:change": nil})
	c.Exec(t, `UPDATE users u SET status = 'DISABLED' WHERE EXISTS (
		SELECT FROM user_roles r WHERE r.organization_id = u.organization_id AND r.user_id = u.id AND r.role = 'BILLER')`)
	refused := c.Admin().Put(t, harness.ProviderPath, providerSettings(p)).
		Refused(t, http.StatusForbidden, "beyond-own-permissions")
	require.Equal(t, "payer:change", refused.Text("exceeds"))
	require.Equal(t, http.StatusNoContent, c.Admin().Delete(t, invitation).Status)
	c.Admin().Put(t, harness.ProviderPath, providerSettings(p)).OK(t)
}

func TestTheFirstLinkOfAnAccountIsConfirmedByItsOwner(t *testing.T) {
	t.Parallel()
	biller := openidtest.Person{Subject: "b-1", Email: "biller@own.test", Verified: true}
	c, p := harness.OpenWithProvider(t, scheduler, biller)
	c.StartEvents(t)
	stream := c.Admin().Stream(t, "?types=identity-provider.link-requested&types=identity-provider.linked")
	require.Equal(t, "ready", stream.Next(t).Name)
	user := strings.TrimPrefix(c.UserWithRole(t, c.Admin(), rbac.Scheduler), "/users/")

	code := harness.SignInCode(t, c.SignInWithProvider(t, p, scheduler.Subject))
	c.ExchangeCode(t, code, harness.Verifier).Refused(t, http.StatusUnauthorized, "link-confirmation-required")
	c.ConfirmLink(t, code, harness.Body{"password": "not-the-password"}).
		Refused(t, http.StatusUnauthorized, "wrong-credentials")
	c.ConfirmLink(t, code, harness.Body{"verifier": strings.Repeat("x", 50)}).
		Refused(t, http.StatusUnauthorized, "sign-in-code")
	c.ConfirmLink(t, code).Refused(t, http.StatusUnauthorized, "sign-in-code") // consumed by the wrong verifier
	first := stream.Next(t)
	require.Equal(t, "identity-provider.link-requested", first.Name)
	require.Equal(t, map[string]any{"userId": user, "changedBy": nil}, map[string]any(first.Payload(t)))

	code = harness.SignInCode(t, c.SignInWithProvider(t, p, scheduler.Subject))
	signed := c.ConfirmLink(t, code).OK(t)
	c.As(signed.Text("accessToken")).Get(t, "/patients").OK(t)
	c.ConfirmLink(t, code).Refused(t, http.StatusUnauthorized, "sign-in-code")
	second := stream.Next(t)
	require.Equal(t, "identity-provider.linked", second.Name, "the second attempt uses the same request")
	require.Equal(t, map[string]any{"userId": user, "changedBy": user}, map[string]any(second.Payload(t)))
	c.ExchangeCode(t, harness.SignInCode(t, c.SignInWithProvider(t, p, scheduler.Subject)), harness.Verifier).
		OK(t) // one confirmation is enough
	for _, action := range []string{"user.request-provider-link", "user.link-provider"} {
		require.Len(t, c.Admin().Get(t, "/admin/audit-events?action="+action+"&subjectId="+user).OK(t).Body["data"], 1,
			action)
	}
	denied := c.Admin().Get(t, "/admin/audit-events?action=user.sign-in&outcome=denied&limit=10").OK(t)
	for _, reason := range []string{"unconfirmed", "password"} {
		require.Contains(t, string(denied.Raw), `"after":{"method":"oidc","reason":"`+reason+`"}`)
	}

	code = harness.SignInCode(t, c.SignInWithProvider(t, p, biller.Subject))
	for range 10 {
		c.ConfirmLink(t, code, harness.Body{"password": "not-the-password"})
	}
	c.ConfirmLink(t, code).Refused(t, http.StatusTooManyRequests, "sign-in-delayed")
	c.Clock.Advance(10 * time.Minute)
	c.ConfirmLink(t, code).Refused(t, http.StatusUnauthorized, "sign-in-code")
	require.Equal(t, 1, c.Count(t, "SELECT count(*) FROM provider_subjects"))
	c.RequireClean(t)
}

func TestTheOwnerConfirmsALinkWithTheSecondFactorToo(t *testing.T) {
	t.Parallel()
	c, p := harness.OpenWithProvider(t, scheduler)
	phone, codes, _ := c.Enrol(t, c.As(c.Own.Tokens[rbac.Scheduler]))
	code := harness.SignInCode(t, c.SignInWithProvider(t, p, scheduler.Subject))
	c.ConfirmLink(t, code).Refused(t, http.StatusUnauthorized, "second-factor-required")
	c.ConfirmLink(t, code, harness.Body{"password": "wrong", "secondFactorCode": codes[0]}).
		Refused(t, http.StatusUnauthorized, "wrong-credentials")
	c.ConfirmLink(t, code, harness.Body{"secondFactorCode": phone.WrongCode()}).
		Refused(t, http.StatusUnauthorized, "second-factor-wrong")
	c.Exec(t, "UPDATE second_factors SET wrong_codes = 100")
	c.ConfirmLink(t, code, harness.Body{"secondFactorCode": phone.Code(0)}).
		Refused(t, http.StatusUnauthorized, "recovery-code-required")
	c.ConfirmLink(t, code, harness.Body{"secondFactorCode": codes[0]}).OK(t)
	require.Equal(t, 1, c.Count(t, "SELECT count(*) FROM recovery_codes WHERE used_at IS NOT NULL"))
	require.Equal(t, 1, c.Count(t, "SELECT count(*) FROM provider_subjects"))
}

func TestTheFirstLinkOfAnAccountIsConfirmedByASecondAdministrator(t *testing.T) {
	t.Parallel()
	auditor := openidtest.Person{Subject: "a-1", Email: "auditor@own.test", Verified: true}
	boss := openidtest.Person{Subject: "boss", Email: "second@own.test", Verified: true}
	c, p := harness.OpenWithProvider(t, scheduler, auditor, boss)
	c.AddUser(t, c.Own, "second@own.test", rbac.Admin)
	second := c.SignInByEmail(t, "second@own.test")
	delegate := func() harness.Caller { return c.As(c.SignIn(t, "own", rbac.Biller)) }
	c.Admin().Put(t, "/permission-sets/BILLER", onlyProviders).OK(t)
	for _, subject := range []string{scheduler.Subject, auditor.Subject, boss.Subject} {
		harness.SignInCode(t, c.SignInWithProvider(t, p, subject))
	}
	path := func(subject string) string { return harness.LinkRequestsPath + "/" + c.LinkRequest(t, second, subject) }
	require.Len(t, second.All(t, harness.LinkRequestsPath, nil), 3)

	of := path(scheduler.Subject)
	c.Admin().Post(t, of+"/confirm", nil).Refused(t, http.StatusForbidden, "link-needs-another")
	second.Post(t, path(boss.Subject)+"/confirm", nil).Refused(t, http.StatusForbidden, "link-needs-another")
	delegate().Post(t, of+"/confirm", nil).Refused(t, http.StatusForbidden, "beyond-own-permissions")
	c.As(c.Own.Tokens[rbac.Scheduler]).Post(t, of+"/confirm", nil).Refused(t, http.StatusForbidden, "forbidden")
	stranger := c.As(c.Other.Tokens[rbac.Admin])
	stranger.Post(t, of+"/confirm", nil).Refused(t, http.StatusNotFound, "link-request-not-found")
	stranger.Delete(t, of).Refused(t, http.StatusNotFound, "link-request-not-found")
	require.Empty(t, stranger.Get(t, harness.LinkRequestsPath).OK(t).Body["data"])
	second.Post(t, harness.LinkRequestsPath+"/"+uuid.NewString()+"/confirm", nil).
		Refused(t, http.StatusNotFound, "link-request-not-found")

	require.Equal(t, http.StatusNoContent, second.Post(t, of+"/confirm", nil).Status)
	signed := c.ExchangeCode(t, harness.SignInCode(t, c.SignInWithProvider(t, p, scheduler.Subject)), harness.Verifier).
		OK(t)
	require.Equal(t, "scheduler@own.test", signed.Body["user"].(map[string]any)["email"])
	second.Post(t, of+"/confirm", nil).Refused(t, http.StatusNotFound, "link-request-not-found")

	declined := path(auditor.Subject)
	require.Equal(t, http.StatusNoContent, second.Delete(t, declined).Status)
	second.Delete(t, declined).Refused(t, http.StatusNotFound, "link-request-not-found")
	code := harness.SignInCode(t, c.SignInWithProvider(t, p, auditor.Subject))
	c.ExchangeCode(t, code, harness.Verifier).Refused(t, http.StatusUnauthorized, "link-confirmation-required")
	again := path(auditor.Subject)
	require.NotEqual(t, declined, again)
	c.Exec(t, "UPDATE provider_link_requests SET expires_at = now()")
	second.Post(t, again+"/confirm", nil).Refused(t, http.StatusNotFound, "link-request-not-found")
	require.Empty(t, second.Get(t, harness.LinkRequestsPath).OK(t).Body["data"])
	_, err := c.App.Access.Sweep(t.Context())
	require.NoError(t, err)
	require.Zero(t, c.Count(t, "SELECT count(*) FROM provider_link_requests"))
	c.RequireClean(t)
}

// TestLinksAndSignInsEndWithTheirProvider changes the provider at one instance, and checks two.
func TestLinksAndSignInsEndWithTheirProvider(t *testing.T) {
	t.Parallel()
	biller := openidtest.Person{Subject: "b-1", Email: "biller@own.test", Verified: true}
	c, p := harness.OpenWithProvider(t, scheduler, biller)
	c.FollowRevocations(t).StartEvents(t)
	second := harness.SecondInstance(t, c, c.Database.Open(t), "OMNI_PUBLIC_URL="+harness.PublicURL,
		"OMNI_FRONTEND_URL="+harness.FrontendURL).
		FollowRevocations(t)
	elsewhere := openidtest.Start(t, harness.RedirectURI, scheduler)
	require.Eventually(t, func() bool { return c.Count(t, "SELECT count(*) FROM outbox") == 0 },
		harness.Soon, time.Millisecond, "earlier changes are published")
	changes := c.Admin().Stream(t, "?types=identity-provider.changed")
	require.Equal(t, "ready", changes.Next(t).Name)

	signed := c.LinkProvider(t, p, scheduler.Subject)
	c.Admin().Put(t, harness.ProviderPath, providerSettings(p)).OK(t) // as after a new client secret
	require.Equal(t, float64(0), changes.Next(t).Payload(t)["endedLinks"])
	c.As("").Post(t, "/auth/refresh", harness.Body{"refreshToken": signed.Text("refreshToken")}).OK(t)
	require.Equal(t, 1, c.Count(t, "SELECT count(*) FROM provider_subjects"))
	require.Equal(t, http.StatusNoContent, c.Admin().Delete(t, harness.ProviderPath).Status)
	changes.Next(t)

	settings := map[string]harness.Body{
		"issuer": providerSettings(elsewhere), "client": providerSettings(p,
			harness.Body{"clientId": "another"}), "removal": nil,
	}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		t.Run(name, func(t *testing.T) {
			c.Admin().Put(t, harness.ProviderPath, providerSettings(p)).OK(t)
			changes.Next(t)
			byPassword := c.As("").Post(t, "/auth/login", harness.Body{
				"email": "scheduler@own.test", "password": harness.Password,
			}).OK(t)
			signed := c.LinkProvider(t, p, scheduler.Subject)
			code := harness.SignInCode(t, c.SignInWithProvider(t, p, scheduler.Subject))
			pending := harness.SignInCode(t, c.SignInWithProvider(t, p, biller.Subject))
			token := signed.Text("accessToken")
			stream := second.As(token).Stream(t, "")
			require.Equal(t, "ready", stream.Next(t).Name)

			if settings[name] == nil {
				require.Equal(t, http.StatusNoContent, c.Admin().Delete(t, harness.ProviderPath).Status)
			} else {
				c.Admin().Put(t, harness.ProviderPath, settings[name]).OK(t)
			}
			c.As(token).Get(t, "/patients").Refused(t, http.StatusUnauthorized, "unauthenticated")
			stream.RequireEnd(t)
			second.As(token).Get(t, "/patients").Refused(t, http.StatusUnauthorized, "unauthenticated")
			second.As("").Post(t, "/auth/refresh", harness.Body{"refreshToken": signed.Text("refreshToken")}).
				Refused(t, http.StatusUnauthorized, "refresh-refused")
			second.ExchangeCode(t, code, harness.Verifier).Refused(t, http.StatusUnauthorized, "sign-in-code")
			second.ConfirmLink(t, pending).Refused(t, http.StatusUnauthorized, "sign-in-code")
			require.Zero(t,
				c.Count(t, "SELECT (SELECT count(*) FROM provider_subjects) + (SELECT count(*) FROM provider_link_requests)"))
			second.As("").Post(t, "/auth/refresh", harness.Body{"refreshToken": byPassword.Text("refreshToken")}).OK(t)
			change := changes.Next(t).Payload(t)
			require.Equal(t, []any{settings[name] == nil, float64(1), float64(1)},
				[]any{change["removed"], change["endedLinks"], change["endedSignIns"]})
		})
	}
	c.Admin().Put(t, harness.ProviderPath, providerSettings(p)).OK(t)
	code := harness.SignInCode(t, c.SignInWithProvider(t, p, scheduler.Subject))
	// Also after it returns.
	c.ExchangeCode(t, code, harness.Verifier).Refused(t, http.StatusUnauthorized, "link-confirmation-required")
	c.RequireClean(t)
}

// TestAProviderThatIsReplacedWhileItAnswers lets an administrator enter another client between
// the provider's answer and its use.
func TestAProviderThatIsReplacedWhileItAnswers(t *testing.T) {
	t.Parallel()
	c, p := harness.OpenWithProvider(t, scheduler)
	c.LinkProvider(t, p, scheduler.Subject)
	j := c.BeginProviderSignIn(t)
	back := p.SignIn(t, j.ProviderURL, scheduler.Subject)
	p.Rewrite(func(claims jwt.MapClaims) string {
		c.Admin().Put(t, harness.ProviderPath, providerSettings(p, harness.Body{"clientId": "another"})).OK(t)
		return p.Sign(t, claims)
	})
	c.ReturnFromProvider(t, j, back).RedirectedWithError(t, "not-recognized")
	last := c.Admin().Get(t, "/admin/audit-events?action=user.sign-in&outcome=denied&limit=1").OK(t)
	require.Contains(t, string(last.Raw), `"reason":"provider-changed"`)
	require.Zero(t, c.Count(t, "SELECT count(*) FROM provider_subjects"))
}

func TestAnAccountIsUnlinkedFromTheProvider(t *testing.T) {
	t.Parallel()
	boss := openidtest.Person{Subject: "boss", Email: "admin@own.test", Verified: true}
	c, p := harness.OpenWithProvider(t, scheduler, boss)
	user, root := c.UserWithRole(t, c.Admin(), rbac.Scheduler), c.UserWithRole(t, c.Admin(), rbac.SuperAdmin)
	c.Admin().Delete(t, user+"/provider-link").Refused(t, http.StatusNotFound, "provider-link-not-found")
	signed, other := c.LinkProvider(t, p, scheduler.Subject), c.LinkProvider(t, p, boss.Subject)
	c.As(c.Other.Tokens[rbac.Admin]).Delete(t, user+"/provider-link").Refused(t, http.StatusNotFound, "user-not-found")
	c.As(c.Own.Tokens[rbac.Scheduler]).Delete(t, user+"/provider-link").Refused(t, http.StatusForbidden, "forbidden")
	c.Admin().Delete(t, root+"/provider-link").Refused(t, http.StatusForbidden, "beyond-own-permissions")
	require.Equal(t, http.StatusNoContent, c.Admin().Delete(t, user+"/provider-link").Status)
	c.As(signed.Text("accessToken")).Get(t, "/patients").Refused(t, http.StatusUnauthorized, "unauthenticated")
	c.As(other.Text("accessToken")).Get(t, "/patients").OK(t)
	code := harness.SignInCode(t, c.SignInWithProvider(t, p, scheduler.Subject))
	c.ExchangeCode(t, code, harness.Verifier).Refused(t, http.StatusUnauthorized, "link-confirmation-required")
	c.RequireClean(t)
}
