package rbac_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/trail"
)

func from(t testing.TB, address string) context.Context {
	t.Helper()
	return trail.WithAddress(t.Context(), address)
}

// fail tries so many wrong passwords, and requires each to be refused as one.
func (d desk) fail(t testing.TB, ctx context.Context, email string, n int) {
	t.Helper()
	for range n {
		_, err := d.SignIn(ctx, rbac.SignInRequest{Email: email, Password: "not the password"})
		require.ErrorIs(t, err, rbac.ErrWrongCredentials)
	}
}

// requireDelayed returns when the next attempt is looked at.
func (d desk) requireDelayed(t testing.TB, ctx context.Context, email, password string) time.Duration {
	t.Helper()
	_, err := d.SignIn(ctx, rbac.SignInRequest{Email: email, Password: password})
	require.ErrorIs(t, err, rbac.ErrSignInDelayed)
	f, ok := fault.From(err)
	require.True(t, ok)
	return f.Details().(interface{ RetryAfter() time.Duration }).RetryAfter()
}

func TestFailuresDelayTheNextAttempt(t *testing.T) {
	t.Parallel()
	d := open(t)
	d.hire(t, "ada@example.test", rbac.Scheduler)
	away := from(t, "192.0.2.1")
	// Whether somebody has the address makes no difference, and neither where it is tried from.
	for _, email := range []string{"ada@example.test", "nobody@example.test"} {
		d.fail(t, away, email, 10)
		require.Equal(t, time.Second, d.requireDelayed(t, from(t, "192.0.2.2"), email, password))
		require.Equal(t, time.Second, d.requireDelayed(t, away, " "+email, password), "the right password is not looked at either")
	}
	d.clock.advance(time.Second)
	for _, email := range []string{"ada@example.test", "nobody@example.test"} {
		d.fail(t, away, email, 1)
		require.Equal(t, 2*time.Second, d.requireDelayed(t, away, email, password))
	}
	require.Contains(t, d.log.String(), "reason=delayed")
	d.clock.advance(2 * time.Second)
	_, err := d.SignIn(away, rbac.SignInRequest{Email: "ada@example.test", Password: password})
	require.NoError(t, err)
	d.fail(t, away, "ada@example.test", 10)

	var kept []string
	require.NoError(t, d.read(t, &kept, "SELECT f::text FROM sign_in_failures f"))
	require.NotEmpty(t, kept)
	for _, row := range kept {
		require.NotContains(t, row, "example.test")
	}
	d.clock.advance(25 * time.Hour)
	d.sweep(t)
	kept = nil
	require.NoError(t, d.read(t, &kept, "SELECT f::text FROM sign_in_failures f"))
	require.Empty(t, kept)
}

// TestAStrangerKeepsNobodyOut fails for days elsewhere, while the user signs in at
// the usual place.
func TestAStrangerKeepsNobodyOut(t *testing.T) {
	t.Parallel()
	d := open(t)
	d.hire(t, "ada@example.test", rbac.Scheduler)
	clinic, stranger := from(t, "198.51.100.7"), from(t, "192.0.2.1")
	_, err := d.SignIn(clinic, rbac.SignInRequest{Email: "ada@example.test", Password: password})
	require.NoError(t, err)
	d.fail(t, stranger, "ada@example.test", 10)
	for range 20 {
		wait := d.requireDelayed(t, stranger, "ada@example.test", password)
		_, err := d.SignIn(clinic, rbac.SignInRequest{Email: "ada@example.test", Password: password})
		require.NoError(t, err)
		d.clock.advance(wait)
		d.fail(t, stranger, "ada@example.test", 1)
	}
	require.Equal(t, 15*time.Minute, d.requireDelayed(t, stranger, "ada@example.test", password), "and the user's sign-ins help the stranger nothing")
	d.fail(t, clinic, "ada@example.test", 10)
	require.Equal(t, time.Second, d.requireDelayed(t, clinic, "ada@example.test", password), "the usual place has a count of its own")
}

// TestManyAttemptsAtOnceAreCounted: no more are looked at than one after the other.
func TestManyAttemptsAtOnceAreCounted(t *testing.T) {
	t.Parallel()
	d := open(t)
	d.hire(t, "ada@example.test", rbac.Scheduler)
	const n = 30
	errs := make([]error, n)
	barrier, done := make(chan struct{}), make(chan struct{})
	for i := range n {
		go func() {
			<-barrier
			_, errs[i] = d.SignIn(t.Context(), rbac.SignInRequest{Email: "ada@example.test", Password: "not the password"})
			done <- struct{}{}
		}()
	}
	close(barrier)
	for range n {
		<-done
	}
	looked := 0
	for _, err := range errs {
		if f, _ := fault.From(err); f != nil && f.Code() == "wrong-credentials" {
			looked++
			continue
		}
		require.ErrorIs(t, err, rbac.ErrSignInDelayed)
	}
	require.Equal(t, 10, looked)
}

// TestSignInsWithAnIDDoNotBlockItsUser fails to sign in with a user's id in place of
// the address. The user still changes the password.
func TestSignInsWithAnIDDoNotBlockItsUser(t *testing.T) {
	t.Parallel()
	d := open(t)
	u := d.hire(t, "ada@example.test", rbac.Scheduler)
	d.fail(t, from(t, "192.0.2.1"), u.ID.String(), 10)
	d.requireDelayed(t, from(t, "192.0.2.1"), u.ID.String(), password)

	caller, err := d.Authenticate(t.Context(), d.enter(t, u.Email).Token)
	require.NoError(t, err)
	_, err = d.ChangePassword(identity.With(t.Context(), caller), rbac.PasswordChange{Current: password, New: "a-meadow-of-red-clover"})
	require.NoError(t, err)
}

// TestSignInRefusesLookAlikesOfAnAddress tries texts that an address might be lowered or
// trimmed to. Each gets the answer of an unknown address, and has a count of its own.
func TestSignInRefusesLookAlikesOfAnAddress(t *testing.T) {
	t.Parallel()
	d := open(t)
	d.hire(t, "kim@example.test", rbac.Scheduler)
	away := from(t, "192.0.2.1")
	for _, text := range []string{"\u212aim@example.test", "\u00a0kim@example.test", "kim@example.test\n", "k\u0130m@example.test", "not an address"} {
		_, err := d.SignIn(away, rbac.SignInRequest{Email: text, Password: password})
		require.ErrorIs(t, err, rbac.ErrWrongCredentials, "%q", text)
		d.fail(t, away, text, 9)
		require.Equal(t, time.Second, d.requireDelayed(t, away, text, password), "%q", text)
	}
	_, err := d.SignIn(away, rbac.SignInRequest{Email: "KIM@example.test ", Password: password})
	require.NoError(t, err)
}
