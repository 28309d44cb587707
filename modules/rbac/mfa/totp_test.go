package mfa

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestCodesMatchTheStandards: RFC 4226, appendix D, and RFC 6238, appendix B (SHA-1).
func TestCodesMatchTheStandards(t *testing.T) {
	t.Parallel()
	secret := totpSecret("12345678901234567890")
	for counter, code := range []string{"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"} {
		require.Equal(t, code, secret.code(int64(counter), 6))
	}
	for seconds, code := range map[int64]string{
		59: "94287082", 1111111109: "07081804", 1111111111: "14050471", 1234567890: "89005924", 2000000000: "69279037", 20000000000: "65353130",
	} {
		require.Equal(t, code, secret.code(stepAt(time.Unix(seconds, 0)), 8))
	}
}

func TestCodesOfNearbyStepsMatch(t *testing.T) {
	t.Parallel()
	secret := newTOTPSecret()
	now := time.Date(2026, time.March, 2, 15, 0, 12, 0, time.UTC)
	present := stepAt(now)
	for aside := int64(-3); aside <= 3; aside++ {
		want := present + aside
		if aside < -1 || aside > 1 {
			want = 0
		}
		require.Equal(t, want, secret.match(secret.code(present+aside, 6), now), "%d steps aside", aside)
	}
	for _, wrong := range []string{"", "12345", "1234567", "abcdef", secret.code(present, 8)} {
		require.Zero(t, secret.match(wrong, now), "%q", wrong)
	}
}

func TestOtpauthURI(t *testing.T) {
	t.Parallel()
	secret := totpSecret("12345678901234567890")
	require.Equal(t, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", secret.text())
	u, err := url.Parse(secret.uri("ada+work@example.test"))
	require.NoError(t, err)
	require.Equal(t, []string{"otpauth", "totp", "/Omnirapeutic:ada+work@example.test"}, []string{u.Scheme, u.Host, u.Path})
	require.Equal(t, url.Values{
		"secret": {secret.text()}, "issuer": {"Omnirapeutic"}, "algorithm": {"SHA1"}, "digits": {"6"}, "period": {"30"},
	}, u.Query())
	require.Len(t, newTOTPSecret(), 20)
	one, another := newTOTPSecret(), newTOTPSecret()
	require.NotEqual(t, one, another)
	for _, verb := range []string{"%v", "%s", "%x", "%#v"} {
		require.Equal(t, "***", fmt.Sprintf(verb, secret))
	}
}
