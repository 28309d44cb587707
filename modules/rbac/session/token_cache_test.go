package session

import (
	"crypto/sha256"
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/db"
)

// TestCachedTokensAreCheckedForTime: a cached token's signature is not checked again, but its
// times are.
func TestCachedTokensAreCheckedForTime(t *testing.T) {
	t.Parallel()
	tokens, now := testTokens(testSecret)
	issued := *now
	token, err := tokens.issue(testUser(rbac.Scheduler), Session{}, false)
	require.NoError(t, err)
	first, err := tokens.check(token)
	require.NoError(t, err)
	require.NotNil(t, tokens.cache.Find(sha256.Sum256([]byte(token))))
	again, err := tokens.check(token)
	require.NoError(t, err)
	require.Equal(t, first, again)

	*now = issued.Add(-time.Minute)
	require.Contains(t, requireRefused(t, tokens, token).Error(), "invalid", "it is of the future now")
	*now = issued.Add(15*time.Minute + clockSkew)
	require.Contains(t, requireRefused(t, tokens, token).Error(), "expired")

	spoilt := token[:len(token)-2] + "xx"
	require.Contains(t, requireRefused(t, tokens, spoilt).Error(), "invalid")
	require.Nil(t, tokens.cache.Find(sha256.Sum256([]byte(spoilt))), "only valid tokens are cached")
}

func TestTokenCacheIsBounded(t *testing.T) {
	t.Parallel()
	var c TokenCache[int]
	used := db.Hash{}
	c.Keep(used, new(int))
	for n := uint64(1); n <= 5*maxCached; n++ {
		var d db.Hash
		binary.BigEndian.PutUint64(d[:], n)
		c.Keep(d, new(int))
		require.NotNil(t, c.Find(d))
		require.LessOrEqual(t, len(c.current)+len(c.old), 2*maxCached)
		require.NotNil(t, c.Find(used), "tokens in use stay")
	}
	var forgotten db.Hash
	binary.BigEndian.PutUint64(forgotten[:], 1)
	require.Nil(t, c.Find(forgotten))
}
