package mfa

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
	secret, current := totpSecret("12345678901234567890"), stepAt(now)
	fresh := Factor{ConfirmedAt: &now, LastStep: current - 5}
	worn := func(wrong int) Factor { return Factor{ConfirmedAt: &now, WrongCodes: wrong} }
	code := func(aside int64) string { return secret.code(current+aside, codeDigits) }
	recovery := newRecoveryCodes()[0]
	hash := recoveryHash(recovery)
	for name, c := range map[string]struct {
		factor Factor
		secret totpSecret
		given  string
		proof  Proof
		want   Verdict
	}{
		"the current code": {fresh, secret, code(0), Proof{step: current}, CodeAccepted},
		"written in two groups": {
			fresh, secret, " " + code(0)[:3] + " " + code(0)[3:] + " ", Proof{step: current}, CodeAccepted,
		},
		"the previous code":                         {fresh, secret, code(-1), Proof{step: current - 1}, CodeAccepted},
		"the next code":                             {fresh, secret, code(1), Proof{step: current + 1}, CodeAccepted},
		"an older code":                             {fresh, secret, code(-2), Proof{}, codeWrong},
		"a later code":                              {fresh, secret, code(2), Proof{}, codeWrong},
		"no code":                                   {fresh, secret, "  ", Proof{}, codeMissing},
		"a used code":                               {Factor{LastStep: current}, secret, code(0), Proof{}, codeUsed},
		"a code before the last used one":           {Factor{LastStep: current}, secret, code(-1), Proof{}, codeUsed},
		"the code after the last used one":          {Factor{LastStep: current}, secret, code(1), Proof{step: current + 1}, CodeAccepted},
		"after 99 wrong codes":                      {worn(99), secret, code(0), Proof{step: current}, CodeAccepted},
		"after 100 wrong codes":                     {worn(100), secret, code(0), Proof{}, codeLocked},
		"a recovery code after 100 wrong codes":     {worn(100), secret, recovery, Proof{recovery: hash}, CodeAccepted},
		"a code if the secret cannot be decrypted":  {fresh, nil, totpSecret{}.code(current, codeDigits), Proof{}, codeLocked},
		"a recovery code if it cannot be decrypted": {fresh, nil, strings.ToLower(recovery), Proof{recovery: hash}, CodeAccepted},
		"an incomplete recovery code":               {fresh, secret, recovery[1:], Proof{}, codeWrong},
		"a recovery code without its hyphens": {
			fresh, secret, strings.ReplaceAll(recovery, "-", ""), Proof{recovery: hash}, CodeAccepted,
		},
		"letters outside the alphabet of recovery codes": {fresh, secret, strings.Repeat("1", 24), Proof{}, codeWrong},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proof, verdict := c.factor.judge(c.secret, c.given, now)
			require.Equal(t, c.want, verdict)
			require.Equal(t, c.proof, proof)
		})
	}
}

func TestRecoveryCodes(t *testing.T) {
	t.Parallel()
	codes, seen := newRecoveryCodes(), map[string]bool{}
	require.Len(t, codes, 10)
	for _, code := range codes {
		require.Regexp(t, `^[A-Z2-7]{6}(-[A-Z2-7]{6}){3}$`, code)
		require.False(t, seen[code])
		seen[code] = true
		sum := sha256.Sum256([]byte(strings.ReplaceAll(code, "-", "")))
		require.Equal(t, sum[:], recoveryHash(code), "the hash needs no secret")
	}
}

func TestEnrolmentsExpire(t *testing.T) {
	t.Parallel()
	begun := time.Date(2026, time.March, 2, 15, 0, 0, 0, time.UTC)
	f := Factor{UserID: uuid.New(), StartedAt: begun}
	require.True(t, f.isStarted(begun.Add(enrolmentTime-time.Microsecond)))
	require.False(t, f.isStarted(begun.Add(enrolmentTime)))
	require.False(t, Factor{}.isStarted(begun))
	f.ConfirmedAt = &begun
	require.False(t, f.isStarted(begun))
	require.True(t, f.IsOn())
}

// TestAFactorIsBoundToItsUser: a secret cannot be decrypted for another user. A former key still
// decrypts it.
func TestAFactorIsBoundToItsUser(t *testing.T) {
	t.Parallel()
	old, mine := encryption.New("test", []byte("the first secret")), Factor{OrganizationID: uuid.New(), UserID: uuid.New()}
	sealed := old.Seal([]byte("text"), mine.subject())
	for _, other := range []Factor{
		{OrganizationID: mine.OrganizationID, UserID: uuid.New()}, {OrganizationID: uuid.New(), UserID: mine.UserID},
	} {
		_, _, err := old.OpenStale(sealed, other.subject())
		require.ErrorIs(t, err, encryption.ErrSeal)
	}
	_, stale, err := old.OpenStale(sealed, mine.subject())
	require.NoError(t, err)
	require.False(t, stale)
	_, stale, err = encryption.New("test", []byte("the second secret"), []byte("the first secret")).OpenStale(sealed, mine.subject())
	require.NoError(t, err)
	require.True(t, stale)
}
