package rbac

import (
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/encryption"
)

func TestJudgeChecksCodes(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, time.March, 2, 15, 0, 12, 0, time.UTC)
	secret, present := totpSecret("12345678901234567890"), stepAt(now)
	fresh := factor{ConfirmedAt: &now, LastStep: present - 5}
	worn := func(wrong int) factor { return factor{ConfirmedAt: &now, WrongCodes: wrong} }
	code := func(aside int64) string { return secret.code(present+aside, codeDigits) }
	recovery := newRecoveryCodes()[0]
	hash := recoveryHash(recovery)
	for name, c := range map[string]struct {
		factor factor
		secret totpSecret
		given  string
		proof  proof
		why    verdict
	}{
		"the current code":                               {fresh, secret, code(0), proof{step: present}, codeGood},
		"written in two groups":                          {fresh, secret, " " + code(0)[:3] + " " + code(0)[3:] + " ", proof{step: present}, codeGood},
		"the previous code":                              {fresh, secret, code(-1), proof{step: present - 1}, codeGood},
		"the next code":                                  {fresh, secret, code(1), proof{step: present + 1}, codeGood},
		"an older code":                                  {fresh, secret, code(-2), proof{}, codeWrong},
		"a later code":                                   {fresh, secret, code(2), proof{}, codeWrong},
		"no code":                                        {fresh, secret, "  ", proof{}, codeMissing},
		"a used code":                                    {factor{LastStep: present}, secret, code(0), proof{}, codeUsed},
		"a code before the last used one":                {factor{LastStep: present}, secret, code(-1), proof{}, codeUsed},
		"the code after the last used one":               {factor{LastStep: present}, secret, code(1), proof{step: present + 1}, codeGood},
		"after 99 wrong codes":                           {worn(99), secret, code(0), proof{step: present}, codeGood},
		"after 100 wrong codes":                          {worn(100), secret, code(0), proof{}, codeLocked},
		"a recovery code after 100 wrong codes":          {worn(100), secret, recovery, proof{recovery: hash}, codeGood},
		"a code if the secret cannot be decrypted":       {fresh, nil, totpSecret{}.code(present, codeDigits), proof{}, codeLocked},
		"a recovery code if it cannot be decrypted":      {fresh, nil, strings.ToLower(recovery), proof{recovery: hash}, codeGood},
		"an incomplete recovery code":                    {fresh, secret, recovery[1:], proof{}, codeWrong},
		"a recovery code without its hyphens":            {fresh, secret, strings.ReplaceAll(recovery, "-", ""), proof{recovery: hash}, codeGood},
		"letters outside the alphabet of recovery codes": {fresh, secret, strings.Repeat("1", 24), proof{}, codeWrong},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proof, why := c.factor.judge(c.secret, c.given, now)
			require.Equal(t, c.why, why)
			require.Equal(t, c.proof, proof)
		})
	}
}

func TestRecoveryCodes(t *testing.T) {
	t.Parallel()
	codes, seen := newRecoveryCodes(), map[string]bool{}
	require.Len(t, codes, 10)
	for _, each := range codes {
		require.Regexp(t, `^[A-Z2-7]{6}(-[A-Z2-7]{6}){3}$`, each)
		require.False(t, seen[each])
		seen[each] = true
		sum := sha256.Sum256([]byte(strings.ReplaceAll(each, "-", "")))
		require.Equal(t, sum[:], recoveryHash(each), "the hash needs no secret")
	}
}

func TestEnrolmentsExpire(t *testing.T) {
	t.Parallel()
	begun := time.Date(2026, time.March, 2, 15, 0, 0, 0, time.UTC)
	f := factor{UserID: uuid.New(), BegunAt: begun}
	require.True(t, f.isBegun(begun.Add(enrolmentTime-time.Microsecond)))
	require.False(t, f.isBegun(begun.Add(enrolmentTime)))
	require.False(t, factor{}.isBegun(begun))
	f.ConfirmedAt = &begun
	require.False(t, f.isBegun(begun))
	require.True(t, f.isOn())
}

// TestAFactorIsBoundToItsUser: a secret cannot be decrypted for another user. A former key still
// decrypts it.
func TestAFactorIsBoundToItsUser(t *testing.T) {
	t.Parallel()
	old, mine := encryption.New("test", []byte("the first secret")), factor{OrganizationID: uuid.New(), UserID: uuid.New()}
	sealed := old.Seal([]byte("text"), mine.about())
	for _, other := range []factor{
		{OrganizationID: mine.OrganizationID, UserID: uuid.New()}, {OrganizationID: uuid.New(), UserID: mine.UserID},
	} {
		_, _, err := old.OpenStale(sealed, other.about())
		require.ErrorIs(t, err, encryption.ErrSeal)
	}
	_, stale, err := old.OpenStale(sealed, mine.about())
	require.NoError(t, err)
	require.False(t, stale)
	_, stale, err = encryption.New("test", []byte("the second secret"), []byte("the first secret")).OpenStale(sealed, mine.about())
	require.NoError(t, err)
	require.True(t, stale)
}
