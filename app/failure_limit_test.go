package app

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/config"
)

// oneFailure is a limit that refuses every attempt after the first.
func oneFailure(t *testing.T) *failureLimit {
	t.Helper()
	l := newFailureLimit(time.Now, config.Rate{PerSecond: 0.001, Burst: 1}, 0)
	require.NoError(t, l.Take(t.Context(), "sign-in", "192.0.2.1"))
	return l
}

func TestRefusalsBeyondTheFailureLimitAreHeldBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := oneFailure(t)
		began := time.Now()
		require.ErrorIs(t, l.Take(t.Context(), "sign-in", "192.0.2.1"), errRateLimited)
		require.Equal(t, holdTime, time.Since(began))

		began = time.Now()
		require.NoError(t, l.Take(t.Context(), "sign-in", "192.0.2.2"))
		require.Zero(t, time.Since(began), "another source does not wait")

		gone, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began = time.Now()
		require.ErrorIs(t, l.Take(gone, "sign-in", "192.0.2.1"), errRateLimited)
		require.Equal(t, time.Second, time.Since(began), "the wait ends when the client disconnects")
	})
}

func TestTheNumberOfHeldRefusalsIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := oneFailure(t)
		var held sync.WaitGroup
		for range maxHeld {
			held.Go(func() { _ = l.Take(t.Context(), "sign-in", "192.0.2.1") })
		}
		synctest.Wait()
		began := time.Now()
		require.ErrorIs(t, l.Take(t.Context(), "sign-in", "192.0.2.1"), errRateLimited)
		require.Zero(t, time.Since(began), "it is refused immediately")
		held.Wait()
	})
}
