package rbac

import (
	"crypto/sha256"
	"encoding/binary"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db"
)

// TestCachedTokensAreCheckedForTime: a cached token's signature is not checked again, but its
// times are.
func TestCachedTokensAreCheckedForTime(t *testing.T) {
	t.Parallel()
	tokens, now := turnstile(testSecret)
	issued := *now
	token, err := tokens.issue(testUser(Scheduler), uuid.Nil)
	require.NoError(t, err)
	first, err := tokens.check(token)
	require.NoError(t, err)
	require.NotNil(t, tokens.known.find(sha256.Sum256([]byte(token))))
	again, err := tokens.check(token)
	require.NoError(t, err)
	require.Equal(t, first, again)

	*now = issued.Add(-time.Minute)
	require.Contains(t, requireRefused(t, tokens, token).Error(), "invalid", "it is of the future now")
	*now = issued.Add(15*time.Minute + clockSkew)
	require.Contains(t, requireRefused(t, tokens, token).Error(), "expired")

	spoilt := token[:len(token)-2] + "xx"
	require.Contains(t, requireRefused(t, tokens, spoilt).Error(), "invalid")
	require.Nil(t, tokens.known.find(sha256.Sum256([]byte(spoilt))), "only valid tokens are cached")
}

func TestTokenCacheIsBounded(t *testing.T) {
	t.Parallel()
	var m tokenCache
	used := db.Hash{}
	m.keep(used, &verified{})
	for n := uint64(1); n <= 5*maxVerified; n++ {
		var d db.Hash
		binary.BigEndian.PutUint64(d[:], n)
		m.keep(d, &verified{})
		require.NotNil(t, m.find(d))
		require.LessOrEqual(t, len(m.recent)+len(m.old), 2*maxVerified)
		require.NotNil(t, m.find(used), "tokens in use stay")
	}
	var forgotten db.Hash
	binary.BigEndian.PutUint64(forgotten[:], 1)
	require.Nil(t, m.find(forgotten))
}
