package password_test

import (
	"testing"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/password"
	"omnirapeutic/modules/rbac/rbactest"
	"omnirapeutic/modules/rbac/session"
	"omnirapeutic/modules/rbac/signin"
	"omnirapeutic/modules/rbac/throttle"
	"omnirapeutic/platform/identity"
)

func TestAChangeOfThePasswordEndsAllOtherSignIns(t *testing.T) {
	t.Parallel()
	first := open(t).Run(t)
	second := first.SecondInstance(t).Run(t)
	u := first.AddUser(t, "ada@example.test", rbac.Scheduler)
	other, mine := second.SignIn(t, u.Email), first.SignIn(t, u.Email)
	caller, err := first.Authenticate(t.Context(), mine.Token)
	require.NoError(t, err)
	me := identity.With(t.Context(), caller)
	const another = "a-meadow-of-red-clover"

	for _, c := range []struct{ current, next, field string }{
		{"not the password", another, "currentPassword"},
		{rbactest.Password, "short", "newPassword"},
		{rbactest.Password, "password12345678", "newPassword"},
	} {
		_, err := first.Passwords.Change(me, password.Change{Current: c.current, New: c.next})
		require.Equal(t, []string{c.field}, rbactest.InvalidFields(t, err), c.next)
	}
	first.RequireValid(t, mine.Token)

	changed, err := first.Passwords.Change(me, password.Change{Current: rbactest.Password, New: another})
	require.NoError(t, err)
	first.RequireInvalid(t, mine.Token)
	first.RequireInvalid(t, other.Token)
	first.RequireValid(t, changed.Token)
	require.Eventually(t, func() bool {
		_, err := second.Authenticate(t.Context(), other.Token)
		return err != nil
	}, rbactest.Soon, time.Millisecond)
	second.RequireInvalid(t, mine.Token)
	second.RequireValid(t, changed.Token)
	_, err = second.Sessions.Refresh(t.Context(), other.Refresh)
	require.ErrorIs(t, err, session.ErrRefreshRefused)
	next, err := second.Sessions.Refresh(t.Context(), mine.Refresh)
	require.NoError(t, err)
	second.RequireValid(t, next.Token)

	_, err = first.SignIns.SignIn(t.Context(), signin.Request{Email: u.Email, Password: rbactest.Password})
	require.ErrorIs(t, err, signin.ErrWrongCredentials)
	_, err = second.SignIns.SignIn(t.Context(), signin.Request{Email: u.Email, Password: another})
	require.NoError(t, err)
	require.NotContains(t, first.Log.String(), another)
	_, err = first.Passwords.Change(t.Context(), password.Change{Current: rbactest.Password, New: another})
	require.ErrorIs(t, err, identity.ErrUnauthenticated)
}

// TestAStolenTokenCannotGuessThePassword: attempts to change the password are counted too.
func TestAStolenTokenCannotGuessThePassword(t *testing.T) {
	t.Parallel()
	d := open(t)
	u := d.AddUser(t, "ada@example.test", rbac.Scheduler)
	caller, err := d.Authenticate(t.Context(), d.SignIn(t, u.Email).Token)
	require.NoError(t, err)
	me := identity.With(t.Context(), caller)
	change := password.Change{Current: "a guess", New: "a-meadow-of-red-clover"}
	for range 10 {
		_, err := d.Passwords.Change(me, change)
		require.Equal(t, []string{"currentPassword"}, rbactest.InvalidFields(t, err))
	}
	change.Current = rbactest.Password
	_, err = d.Passwords.Change(me, change)
	require.ErrorIs(t, err, throttle.ErrSignInDelayed)
	d.Clock.Advance(time.Second)
	_, err = d.Passwords.Change(me, change)
	require.NoError(t, err)
}

// TestShortPasswordsOfEarlierVersionsStillWork: the rules for new passwords do not apply to
// existing ones until they are changed.
func TestShortPasswordsOfEarlierVersionsStillWork(t *testing.T) {
	t.Parallel()
	d := open(t)
	d.AddUser(t, "ada@example.test", rbac.Scheduler)
	const old = "twelve chars"
	hash, err := argon2id.CreateHash(old, &argon2id.Params{Memory: 8, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32})
	require.NoError(t, err)
	d.Exec(t, "UPDATE users SET password_hash = ? WHERE email = 'ada@example.test'", hash)
	signed, err := d.SignIns.SignIn(t.Context(), signin.Request{Email: "ada@example.test", Password: old})
	require.NoError(t, err)
	caller, err := d.Authenticate(t.Context(), signed.Token)
	require.NoError(t, err)
	_, err = d.Passwords.Change(identity.With(t.Context(), caller), password.Change{Current: old, New: "thirteen char"})
	require.Equal(t, []string{"newPassword"}, rbactest.InvalidFields(t, err))
}
