package session_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/rbactest"
	"omnirapeutic/modules/rbac/session"
	"omnirapeutic/modules/rbac/signin"
	"omnirapeutic/platform/identity"
)

func (d practice) refresh(t testing.TB, token string) session.SignedIn {
	t.Helper()
	signed, err := d.Sessions.Refresh(t.Context(), token)
	require.NoError(t, err)
	return signed
}

func (d practice) requireNoRefresh(t testing.TB, token string) {
	t.Helper()
	signed, err := d.Sessions.Refresh(t.Context(), token)
	require.ErrorIs(t, err, session.ErrRefreshRefused)
	require.Equal(t, "The refresh token is invalid or expired. Sign in again.", err.Error())
	require.Zero(t, signed)
}

func TestRefreshTokensWorkOnce(t *testing.T) {
	t.Parallel()
	d := open(t)
	u := d.AddUser(t, "ada@example.test", rbac.Scheduler)
	first := d.SignIn(t, u.Email)
	require.Regexp(t, `^omr_[A-Za-z0-9_-]{43}$`, first.Refresh)
	require.Equal(t, time.Hour, first.RefreshExpires)
	require.Equal(t, d.Clock.Now().Add(24*time.Hour), first.Ends)

	d.Clock.Advance(20 * time.Minute)
	d.RequireInvalid(t, first.Token)
	second := d.refresh(t, first.Refresh)
	require.NotEqual(t, first.Refresh, second.Refresh)
	require.Equal(t, u.ID, second.User.ID)
	require.Equal(t, first.Ends, second.Ends.UTC())
	d.RequireValid(t, second.Token)
	other := d.SignIn(t, u.Email)

	d.Clock.Advance(time.Minute)
	d.requireNoRefresh(t, first.Refresh) // it was used a minute ago, so two clients have it
	d.RequireInvalid(t, second.Token)
	d.requireNoRefresh(t, second.Refresh)
	d.RequireValid(t, other.Token)
	d.refresh(t, other.Refresh)
	require.Contains(t, d.Log.String(), "reason=reused")
}

// TestALostAnswerCanBeRequestedAgain repeats a refresh with the used token within the grace
// period.
func TestALostAnswerCanBeRequestedAgain(t *testing.T) {
	t.Parallel()
	d := open(t)
	u := d.AddUser(t, "ada@example.test", rbac.Scheduler)
	first := d.SignIn(t, u.Email)
	second := d.refresh(t, first.Refresh)
	d.Clock.Advance(30 * time.Second)
	again := d.refresh(t, first.Refresh)
	require.Equal(t, second.Refresh, again.Refresh)
	d.RequireValid(t, again.Token)

	third := d.refresh(t, second.Refresh)
	d.requireNoRefresh(t, first.Refresh) // its successor was used, so the answer had arrived
	d.requireNoRefresh(t, third.Refresh)
	d.RequireInvalid(t, third.Token)
}

// TestAUsedRefreshTokenIsAnsweredAgainToTheSameNetworkOnly repeats a refresh within the grace
// period: from the address that used the token, from its /64, and from elsewhere.
func TestAUsedRefreshTokenIsAnsweredAgainToTheSameNetworkOnly(t *testing.T) {
	t.Parallel()
	d := open(t)
	u := d.AddUser(t, "ada@example.test", rbac.Scheduler)
	for _, c := range []struct {
		first, again string
		answered     bool
	}{
		{"192.0.2.1", "192.0.2.1", true},
		{"2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"2001:db8:1:2::1", "2001:db8:1:3::1", false},
		{"192.0.2.1", "", false},
	} {
		signed, err := d.SignIns.SignIn(rbactest.From(t, c.first), signin.Request{Email: u.Email, Password: rbactest.Password})
		require.NoError(t, err)
		caller, err := d.Authenticate(t.Context(), signed.Token)
		require.NoError(t, err)
		next, err := d.Sessions.Refresh(rbactest.From(t, c.first), signed.Refresh)
		require.NoError(t, err)
		again, err := d.Sessions.Refresh(rbactest.From(t, c.again), signed.Refresh)
		if !c.answered {
			require.ErrorIs(t, err, session.ErrRefreshRefused, "%s, then %s", c.first, c.again)
			d.requireNoRefresh(t, next.Refresh) // two networks have the token
			d.RequireInvalid(t, next.Token)
			continue
		}
		require.NoError(t, err, "%s, then %s", c.first, c.again)
		require.Equal(t, next.Refresh, again.Refresh)
		sessions, err := d.Sessions.List(identity.With(t.Context(), caller))
		require.NoError(t, err)
		require.Equal(t, d.Clock.Now(), sessions[0].RepeatedAt.UTC(), "the list of sessions shows it")
		d.Exec(t, "UPDATE sign_ins SET ended_at = now()")
	}
}

// TestManyRefreshesOfOneTokenAtOnce: all get the same token, and one token remains.
func TestManyRefreshesOfOneTokenAtOnce(t *testing.T) {
	t.Parallel()
	d := open(t)
	instances := []practice{d, {d.SecondInstance(t)}}
	first := d.SignIn(t, d.AddUser(t, "ada@example.test", rbac.Scheduler).Email)
	const n = 10
	got := make([]session.SignedIn, n)
	errs := make([]error, n)
	barrier, done := make(chan struct{}), make(chan struct{})
	for i := range n {
		go func() {
			<-barrier
			got[i], errs[i] = instances[i%2].Sessions.Refresh(t.Context(), first.Refresh)
			done <- struct{}{}
		}()
	}
	close(barrier)
	for range n {
		<-done
	}
	for i := range n {
		require.NoError(t, errs[i])
		require.Equal(t, got[0].Refresh, got[i].Refresh)
		d.RequireValid(t, got[i].Token)
	}
	var living int
	require.NoError(t, d.Read(t, &living, "SELECT count(*) FROM refresh_tokens WHERE used_at IS NULL"))
	require.Equal(t, 1, living)
	d.refresh(t, got[0].Refresh)
}

func TestSignInsEnd(t *testing.T) {
	t.Parallel()
	d := open(t)
	u := d.AddUser(t, "ada@example.test", rbac.Scheduler)

	t.Run("after the idle time", func(t *testing.T) {
		signed := d.SignIn(t, u.Email)
		d.Clock.Advance(time.Hour - time.Second)
		signed = d.refresh(t, signed.Refresh)
		d.Clock.Advance(time.Hour)
		d.requireNoRefresh(t, signed.Refresh)
	})
	t.Run("after the maximum duration", func(t *testing.T) {
		signed := d.SignIn(t, u.Email)
		for range 26 {
			d.Clock.Advance(55 * time.Minute)
			signed = d.refresh(t, signed.Refresh)
		}
		require.Equal(t, 10*time.Minute, signed.RefreshExpires, "not past its latest end")
		d.Clock.Advance(10 * time.Minute)
		d.requireNoRefresh(t, signed.Refresh)
	})
	t.Run("when the user signs out", func(t *testing.T) {
		signed, other := d.SignIn(t, u.Email), d.SignIn(t, u.Email)
		caller, err := d.Authenticate(t.Context(), signed.Token)
		require.NoError(t, err)
		me := identity.With(t.Context(), caller)
		require.NoError(t, d.Sessions.SignOut(me))
		d.RequireInvalid(t, signed.Token)
		d.requireNoRefresh(t, signed.Refresh)
		require.ErrorIs(t, d.Sessions.SignOut(me), identity.ErrUnauthenticated, "it has already ended")
		d.RequireValid(t, other.Token)
		d.refresh(t, other.Refresh)
	})
	t.Run("when the user signs out everywhere", func(t *testing.T) {
		signed, other := d.SignIn(t, u.Email), d.SignIn(t, u.Email)
		caller, err := d.Authenticate(t.Context(), signed.Token)
		require.NoError(t, err)
		require.NoError(t, d.Sessions.SignOutEverywhere(identity.With(t.Context(), caller)))
		d.requireNoRefresh(t, signed.Refresh)
		d.requireNoRefresh(t, other.Refresh)
	})
	t.Run("when the user's permissions change", func(t *testing.T) {
		signed := d.SignIn(t, u.Email)
		require.NoError(t, d.ChangeAndRevoke(t, u, "UPDATE user_roles SET role = 'BILLER' WHERE user_id = ?", false))
		d.requireNoRefresh(t, signed.Refresh)
	})
	t.Run("when the user is disabled", func(t *testing.T) {
		signed := d.SignIn(t, u.Email)
		d.Exec(t, "UPDATE users SET status = 'DISABLED' WHERE id = ?", u.ID)
		d.requireNoRefresh(t, signed.Refresh)
	})
}

func TestInvalidRefreshTokensAreRefused(t *testing.T) {
	t.Parallel()
	d := open(t)
	signed := d.SignIn(t, d.AddUser(t, "ada@example.test", rbac.Scheduler).Email)
	for _, token := range []string{
		"", "omr_", "nonsense", signed.Token, signed.Refresh[4:], signed.Refresh + "A", signed.Refresh[:len(signed.Refresh)-1],
		"omr_" + strings.Repeat("A", 43), strings.ToUpper(signed.Refresh),
	} {
		d.requireNoRefresh(t, token)
	}
	d.refresh(t, signed.Refresh)
}

func TestRefreshTokensAreNotStored(t *testing.T) {
	t.Parallel()
	d := open(t)
	signed := d.SignIn(t, d.AddUser(t, "ada@example.test", rbac.Scheduler).Email)
	next := d.refresh(t, signed.Refresh)
	var kept []string
	require.NoError(t, d.Read(t, &kept, "SELECT t::text FROM refresh_tokens t UNION ALL SELECT i::text FROM sign_ins i"))
	require.Len(t, kept, 3)
	for _, secret := range []string{signed.Refresh[4:], next.Refresh[4:], signed.Token, next.Token} {
		require.NotContains(t, fmt.Sprint(kept), secret)
		require.NotContains(t, d.Log.String(), secret)
	}
}

func TestSessions(t *testing.T) {
	t.Parallel()
	d := open(t)
	u, other := d.AddUser(t, "ada@example.test", rbac.Scheduler), d.AddUser(t, "bo@example.test", rbac.Scheduler)
	gone := d.SignIn(t, u.Email)
	d.Clock.Advance(2 * time.Hour)
	first := d.SignIn(t, u.Email)
	d.Clock.Advance(time.Minute)
	second := d.SignIn(t, u.Email)
	foreign := d.SignIn(t, other.Email)
	caller, err := d.Authenticate(t.Context(), second.Token)
	require.NoError(t, err)
	me := identity.With(t.Context(), caller)

	list, err := d.Sessions.List(me)
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, caller.SignInID, list[0].ID)
	require.Equal(t, d.Clock.Now().Add(-time.Minute), list[1].StartedAt.UTC())

	foreigner, err := d.Authenticate(t.Context(), foreign.Token)
	require.NoError(t, err)
	require.ErrorIs(t, d.Sessions.End(me, foreigner.SignInID), session.ErrNotFound)
	d.RequireValid(t, foreign.Token)
	require.NoError(t, d.Sessions.End(me, list[1].ID))
	d.RequireInvalid(t, first.Token)
	d.requireNoRefresh(t, first.Refresh)
	require.ErrorIs(t, d.Sessions.End(me, list[1].ID), session.ErrNotFound)
	d.RequireValid(t, second.Token)
	list, err = d.Sessions.List(me)
	require.NoError(t, err)
	require.Len(t, list, 1)
	d.requireNoRefresh(t, gone.Refresh)

	var n int
	d.RunSweep(t)
	require.NoError(t, d.Read(t, &n, "SELECT count(*) FROM refresh_tokens"))
	require.Equal(t, 2, n, "of active sign-ins")
	d.refresh(t, second.Refresh)
	d.Clock.Advance(31 * 24 * time.Hour)
	d.RunSweep(t)
	require.NoError(t, d.Read(t, &n, "SELECT count(*) FROM sign_ins"))
	require.Zero(t, n)
}

// TestSigningKeysRotate has an instance with a new secret accept tokens of the former one, and an
// instance without the former secret refuse them.
func TestSigningKeysRotate(t *testing.T) {
	t.Parallel()
	d := open(t)
	email := d.AddUser(t, "ada@example.test", rbac.Scheduler).Email
	old := d.SignIn(t, email)
	next, last := d, d
	fresh := []byte("the next secret has 32 bytes too")
	next.Access, last.Access = d.WithSecrets(fresh, []byte(rbactest.Secret)), d.WithSecrets(fresh)

	next.RequireValid(t, old.Token)
	last.RequireInvalid(t, old.Token)
	renewed := next.refresh(t, old.Refresh)
	next.RequireValid(t, renewed.Token)
	last.RequireValid(t, renewed.Token)
	d.RequireInvalid(t, renewed.Token)
	last.refresh(t, renewed.Refresh)
}
