package revocation

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/identity"
)

// holder returns a caller whose token has the epoch.
func holder(epoch int64) identity.Caller {
	return identity.Caller{UserID: uuid.New(), OrganizationID: uuid.New(), SignInID: uuid.New(), Epoch: epoch}
}

func TestLevelsOnlyRise(t *testing.T) {
	t.Parallel()
	var s revocations
	c := holder(3)
	require.NoError(t, s.check(c), "no changes are known")
	user := subject{ofUser, c.UserID}
	s.apply(change{user, 3, time.Now()})
	require.NoError(t, s.check(c), "it is the lowest valid epoch")
	s.apply(change{user, 5, time.Now()}, change{user, 4, time.Now()})
	require.ErrorIs(t, s.check(c), identity.ErrUnauthenticated)
	c.Epoch = 4
	require.ErrorIs(t, s.check(c), identity.ErrUnauthenticated, "a change with a lower level has no effect")
	c.Epoch = 5
	require.NoError(t, s.check(c))
	require.NoError(t, s.check(holder(0)), "another user")

	s.apply(change{subject{ofSignIn, c.SignInID}, 1, time.Now()})
	require.ErrorIs(t, s.check(c), identity.ErrUnauthenticated)
	c.SignInID = uuid.New()
	require.NoError(t, s.check(c), "another sign-in of the same user")
}

func TestTokensAreRefusedWhenRevocationsAreOutdated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s revocations
		c := holder(0)
		time.Sleep(time.Hour)
		require.NoError(t, s.check(c), "revocations are not being loaded")
		s.loaded(time.Now(), 1)
		stream, stop := s.contextUntilRevoked(t.Context(), c)
		defer stop()
		time.Sleep(maxLoadAge)
		require.NoError(t, s.check(c))
		s.tidy(time.Time{})
		require.NoError(t, stream.Err())
		time.Sleep(time.Nanosecond)
		require.ErrorIs(t, s.check(c), ErrTokenNotChecked)
		s.tidy(time.Time{})
		require.ErrorIs(t, stream.Err(), context.Canceled, "its token may be revoked")
		s.loaded(time.Now(), 1)
		require.NoError(t, s.check(c), "revocations are up to date again")
	})
}

func TestStreamsEndWithTheirToken(t *testing.T) {
	t.Parallel()
	var s revocations
	signedOut, disabled, other := holder(0), holder(0), holder(0)
	begin := func(c identity.Caller) context.Context {
		ctx, stop := s.contextUntilRevoked(t.Context(), c)
		t.Cleanup(stop)
		return ctx
	}
	first, second, third := begin(signedOut), begin(disabled), begin(other)
	s.apply(change{subject{ofSignIn, signedOut.SignInID}, 1, time.Now()})
	require.Error(t, first.Err())
	require.NoError(t, second.Err())
	s.apply(change{subject{ofUser, disabled.UserID}, 1, time.Now()})
	require.Error(t, second.Err())
	require.NoError(t, third.Err())
	require.Error(t, begin(disabled).Err(), "the token is already revoked")

	ctx, stop := s.contextUntilRevoked(t.Context(), other)
	require.Len(t, s.streams, 5)
	stop()
	require.Error(t, ctx.Err())
	require.Len(t, s.streams, 4, "ended streams are removed")
}

func TestListenersAreCalledForChangedPermissions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s revocations
		var notified []uuid.UUID
		s.listeners = append(s.listeners, func(id uuid.UUID) { notified = append(notified, id) })
		id := uuid.New()
		s.apply(change{subject{ofPermissions, id}, 1, time.Now()}, change{subject{ofUser, uuid.New()}, 1, time.Now()})
		require.Equal(t, []uuid.UUID{id}, notified)
		s.loaded(time.Now(), 1)
		time.Sleep(Keep)
		s.loaded(time.Now(), 2)
		require.Len(t, notified, 1)
		time.Sleep(Keep + 1)
		s.loaded(time.Now(), 3)
		require.Equal(t, []uuid.UUID{id, uuid.Nil}, notified, "any organization may have changed meanwhile")
	})
}

func TestChangesOlderThanAnyTokenAreRemoved(t *testing.T) {
	t.Parallel()
	var s revocations
	now := time.Now()
	s.apply(change{subject{ofUser, uuid.New()}, 1, now.Add(-Keep)}, change{subject{ofUser, uuid.New()}, 1, now})
	s.tidy(now.Add(-Keep + 1))
	require.Len(t, s.levels, 1)
}
