package rbac

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/telemetry/logtest"
	"omnirapeutic/platform/trail/trailtest"
)

func TestSignInHoldsNoConnectionWhileItWaitsToHash(t *testing.T) {
	t.Parallel()
	database := dbtest.Open(t, dbtest.WithMaxConns(1))
	logger := logtest.Logger()
	s := New(Dependencies{
		Database: database, Audit: &trailtest.Book{}, Clock: time.Now, NewID: uuid.New, Logger: logger,
		Secret: []byte(testSecret), Lifetime: time.Minute, Quick: true,
	})
	require.True(t, s.passwords.threads.TryAcquire(s.passwords.size))
	done := make(chan error)
	go func() {
		_, err := s.SignIn(t.Context(), SignInRequest{Email: "nobody@example.test", Password: "correct-horse-battery"})
		done <- err
	}()
	for s.passwords.queued.Load() == 0 {
		runtime.Gosched()
	}
	_, err := db.Snapshot(t.Context(), database, "test", func(context.Context) (struct{}, error) { return struct{}{}, nil })
	require.NoError(t, err, "the only connection is free")
	s.passwords.threads.Release(s.passwords.size)
	require.ErrorIs(t, <-done, ErrWrongCredentials)
}

func TestShortSecretsAreRefused(t *testing.T) {
	t.Parallel()
	require.Panics(t, func() { New(Dependencies{Secret: make([]byte, MinSecret-1), Lifetime: time.Minute}) })
	require.Panics(t, func() { New(Dependencies{Secret: make([]byte, MinSecret)}) })
}
