package apikey

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/throttle"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/trail/trailtest"
)

func TestAPIKeyFormat(t *testing.T) {
	t.Parallel()
	scanner := regexp.MustCompile(`^omni_key_[0-9A-Za-z]{49}$`)
	seen := map[string]bool{}
	for range 1000 {
		key := newKey()
		require.Regexp(t, scanner, key)
		require.True(t, IsKey(key))
		require.True(t, isWhole(key))
		require.False(t, seen[key])
		seen[key] = true
	}
}

func TestMalformedAPIKeysAreDetected(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		key := newKey()
		at := rapid.IntRange(0, len(key)-1).Draw(t, "position")
		letter := base62[rapid.IntRange(0, len(base62)-1).Draw(t, "letter")]
		garbled := key[:at] + string(letter) + key[at+1:]
		require.Equal(t, garbled == key, isWhole(garbled))
	})
	key := newKey()
	for _, other := range []string{
		"", keyPrefix, key[:len(key)-1], key + "0", " " + key, strings.ToUpper(key), strings.Replace(key, "key", "kee", 1),
		keyPrefix + strings.Repeat("é", 49), keyPrefix + strings.Repeat("0", 49), keyPrefix + strings.Repeat("x", 10_000_000),
	} {
		require.False(t, isWhole(other))
	}
}

// TestMalformedAPIKeysNeedNoQuery has no database.
func TestMalformedAPIKeysNeedNoQuery(t *testing.T) {
	t.Parallel()
	core := rbac.Core{Clock: time.Now}
	s := New(Dependencies{Core: core, Throttle: throttle.New(core, &trailtest.Recorder{}, nil, nil)})
	for _, text := range []string{keyPrefix, keyPrefix + strings.Repeat("0", 49), newKey() + "0", newKey()[:20]} {
		_, err := s.Authenticate(t.Context(), text)
		require.ErrorIs(t, err, identity.ErrUnauthenticated)
	}
}
