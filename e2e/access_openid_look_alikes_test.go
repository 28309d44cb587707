package e2e

import (
	"net/http"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/oidc/openid/openidtest"
)

// lookAlikes are addresses that case folding, trimming or Unicode normalization turns into the
// address.
func lookAlikes(address string) []string {
	return []string{
		" " + address, address + " ", address + "\u00a0", "\u00a0" + address, address + "\n", "\u200b" + address,
		"adm\u0130n" + address[len("admin"):], "adm\u0131n" + address[len("admin"):], "\uff41dmin" + address[len("admin"):],
		"ADM\u0130N" + address[len("admin"):],
	}
}

// TestALookAlikeOfAnAddressIsNotRecognized has a provider verify look-alikes of a user's address
// and of an open invitation's address. Only the case of A to Z may differ.
func TestALookAlikeOfAnAddressIsNotRecognized(t *testing.T) {
	t.Parallel()
	const user, invited = "admin@own.test", "admin@invited.test"
	var known []openidtest.Person
	for i, email := range append(lookAlikes(user), lookAlikes(invited)...) {
		known = append(known, openidtest.Person{Subject: strconv.Itoa(i), Email: email, Verified: true})
	}
	known = append(known, openidtest.Person{Subject: "upper", Email: "ADMIN@INVITED.TEST", Verified: true})
	c, p := harness.OpenWithProvider(t, known...)
	c.Admin().Invite(t, invited, "TECHNICIAN")
	for _, item := range known[:len(known)-1] {
		c.SignInWithProvider(t, p, item.Subject).RedirectedWithError(t, "not-recognized")
		last := c.Admin().Get(t, "/admin/audit-events?action=user.sign-in&outcome=denied&limit=1").OK(t)
		require.Contains(t, string(last.Raw), `"after":{"method":"oidc","reason":"address"}`, "%q", item.Email)
	}
	require.Equal(t, map[string]string{invited: "OPEN"}, invitationStates(t, c, ""))
	require.Zero(t, c.Count(t, "SELECT count(*) FROM provider_subjects"))

	signed := c.ExchangeCode(t, harness.SignInCode(t, c.SignInWithProvider(t, p, "upper")), harness.Verifier).OK(t)
	require.Equal(t, invited, signed.Body["user"].(map[string]any)["email"])
	require.Equal(t, http.StatusOK, c.As(c.Own.Tokens[rbac.Admin]).Get(t, harness.ProviderPath).Status)
	c.RequireClean(t)
}
