package password

import (
	"context"
	"runtime"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestRulesForNewPasswords(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ password, code string }{
		"it may be long":                                {strings.Repeat("ab", 63) + "cd", ""},
		"it may be of any characters":                   {"ein schönes Täßchen 茶", ""},
		"it is that of the demo practice":               {"Omni-Demo-Practice-2026", ""},
		"it is not short":                               {"fourteen chars", "min"},
		"it is counted in characters":                   {"schöne Grüße!!", "min"},
		"it is bounded in bytes":                        {strings.Repeat("ä", 65), "max"},
		"it must be valid UTF-8":                        {"broken \xff characters", "characters"},
		"it is not common":                              {"password12345678", "common"},
		"it is not common in capital letters":           {"PassWord12345678", "common"},
		"it may be of 15 characters":                    {"fifteen letters", ""},
		"it is not a word twice":                        {"mywordofchoice!mywordofchoice!", "common"},
		"it is not a word again and again":              {"Rosie7rosie7rosie7ro", "common"},
		"it is not one character":                       {strings.Repeat("x", 20), "common"},
		"it is not one character of more than one byte": {strings.Repeat("ä", 20), "common"},
		"it does not contain the service's name":        {"omnirapeutic-123", "common"},
		"it does not contain the user's name":           {"grace-is-wonderful", "guessable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fieldErrors := Check(c.password, "grace@example.test")
			if c.code == "" {
				require.Empty(t, fieldErrors)
				return
			}
			require.Len(t, fieldErrors, 1)
			require.Equal(t, c.code, fieldErrors[0].Code)
			require.NotContains(t, fieldErrors[0].Message, c.password)
		})
	}
}

func TestTheListOfCommonPasswords(t *testing.T) {
	t.Parallel()
	require.Greater(t, len(isCommon), 100)
	for password := range isCommon {
		require.Equal(t, strings.ToLower(password), password)
		require.GreaterOrEqual(t, utf8.RuneCountInString(password), minLength, "%q is already refused for its length", password)
		require.False(t, isRepeated(password), "%q is already refused as a repetition", password)
	}
}

func TestPasswordHash(t *testing.T) {
	t.Parallel()
	h := newHasher(true)
	hash, err := h.hash(t.Context(), "caf\u00e9 au lait, please", h.newSalt())
	require.NoError(t, err)
	for password, matches := range map[string]bool{
		"caf\u00e9 au lait, please":  true,
		"cafe\u0301 au lait, please": true, // the same characters, from another keyboard
		"cafe au lait, please":       false,
		"":                           false,
	} {
		got, err := h.matches(t.Context(), password, hash)
		require.NoError(t, err)
		require.Equal(t, matches, got, "%q", password)
	}
	again, err := h.hash(t.Context(), "caf\u00e9 au lait, please", h.newSalt())
	require.NoError(t, err)
	require.NotEqual(t, hash, again, "it has a salt")

	matches, err := h.matches(t.Context(), "", h.dummy)
	require.NoError(t, err, "the hash that no password has is well-formed")
	require.False(t, matches)
	_, err = h.matches(t.Context(), "x", "not a hash")
	require.Error(t, err)
}

func TestUnusableHashesTakeAsLongAsOthers(t *testing.T) {
	t.Parallel()
	h := newHasher(false)
	require.Equal(t, production, h.params)
	require.Contains(t, h.dummy, "$m=65536,t=3,p=1$")
	hash, err := h.hash(t.Context(), "the password of a user", h.newSalt())
	require.NoError(t, err)
	require.Len(t, h.dummy, len(hash))
}

func TestHashing(t *testing.T) {
	t.Parallel()
	t.Run("it uses at most half of the processors, and at least one", func(t *testing.T) {
		h := newHasher(true)
		require.Equal(t, max(int64(runtime.GOMAXPROCS(0)/2), 1), h.size)
		require.EqualValues(t, 1, production.Parallelism, "each lane is a thread")
		var mutex sync.Mutex
		running, most := 0, 0
		var done sync.WaitGroup
		for range 20 {
			done.Go(func() {
				_ = h.whenFree(t.Context(), h.params, func() error {
					mutex.Lock()
					running++
					most = max(most, running)
					mutex.Unlock()
					runtime.Gosched()
					mutex.Lock()
					running--
					mutex.Unlock()
					return nil
				})
			})
		}
		done.Wait()
		require.LessOrEqual(t, int64(most), h.size)
		require.Zero(t, h.queued.Load())
	})
	t.Run("it computes a hash of many lanes alone", func(t *testing.T) {
		h := newHasher(true)
		wide := quick
		wide.Parallelism = 255
		require.NoError(t, h.whenFree(t.Context(), wide, func() error {
			require.False(t, h.threads.TryAcquire(1))
			return nil
		}))
		require.True(t, h.threads.TryAcquire(h.size))
	})
	t.Run("it stops waiting with its context", func(t *testing.T) {
		h := newHasher(true)
		require.True(t, h.threads.TryAcquire(h.size))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := h.hash(ctx, "x", h.newSalt())
		require.ErrorIs(t, err, context.Canceled)
		require.Zero(t, h.queued.Load())
	})
	t.Run("it refuses a queue that is too long", func(t *testing.T) {
		h := newHasher(true)
		h.queued.Store(h.maxQueued)
		_, err := h.hash(t.Context(), "x", h.newSalt())
		require.ErrorIs(t, err, ErrBusy)
		require.Equal(t, h.maxQueued, h.queued.Load())
		h.queued.Store(h.maxQueued - 1)
		_, err = h.hash(t.Context(), "x", h.newSalt())
		require.NoError(t, err)
	})
}

func BenchmarkHash(b *testing.B) {
	h := newHasher(false)
	for b.Loop() {
		_, err := h.hash(b.Context(), "correct-horse-battery", h.newSalt())
		require.NoError(b, err)
	}
}
