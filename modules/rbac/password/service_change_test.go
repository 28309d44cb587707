package rbac_test

import (
	"testing"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/identity"
)

func TestAChangeOfThePasswordEndsAllOtherSignIns(t *testing.T) {
	t.Parallel()
	first := open(t).run(t)
	second := first.secondInstance(t).run(t)
	u := first.hire(t, "ada@example.test", rbac.Scheduler)
	other, mine := second.enter(t, u.Email), first.enter(t, u.Email)
	caller, err := first.Authenticate(t.Context(), mine.Token)
	require.NoError(t, err)
	me := identity.With(t.Context(), caller)
	const another = "a-meadow-of-red-clover"

	for _, c := range []struct{ current, next, field string }{
		{"not the password", another, "currentPassword"},
		{password, "short", "newPassword"},
		{password, "password12345678", "newPassword"},
	} {
		_, err := first.ChangePassword(me, rbac.PasswordChange{Current: c.current, New: c.next})
		require.Equal(t, []string{c.field}, wrongFields(t, err), c.next)
	}
	first.requireIn(t, mine.Token)

	changed, err := first.ChangePassword(me, rbac.PasswordChange{Current: password, New: another})
	require.NoError(t, err)
	first.requireOut(t, mine.Token)
	first.requireOut(t, other.Token)
	first.requireIn(t, changed.Token)
	require.Eventually(t, func() bool {
		_, err := second.Authenticate(t.Context(), other.Token)
		return err != nil
	}, soon, time.Millisecond)
	second.requireOut(t, mine.Token)
	second.requireIn(t, changed.Token)
	second.requireNoRefresh(t, other.Refresh)
	next := second.refresh(t, mine.Refresh)
	second.requireIn(t, next.Token)

	_, err = first.SignIn(t.Context(), rbac.SignInRequest{Email: u.Email, Password: password})
	require.ErrorIs(t, err, rbac.ErrWrongCredentials)
	_, err = second.SignIn(t.Context(), rbac.SignInRequest{Email: u.Email, Password: another})
	require.NoError(t, err)
	require.NotContains(t, first.log.String(), another)
	_, err = first.ChangePassword(t.Context(), rbac.PasswordChange{Current: password, New: another})
	require.ErrorIs(t, err, identity.ErrUnauthenticated)
}

// TestAStolenTokenCannotGuessThePassword: attempts to change the password are counted too.
func TestAStolenTokenCannotGuessThePassword(t *testing.T) {
	t.Parallel()
	d := open(t)
	u := d.hire(t, "ada@example.test", rbac.Scheduler)
	caller, err := d.Authenticate(t.Context(), d.signIn(t, u.Email))
	require.NoError(t, err)
	me := identity.With(t.Context(), caller)
	change := rbac.PasswordChange{Current: "a guess", New: "a-meadow-of-red-clover"}
	for range 10 {
		_, err := d.ChangePassword(me, change)
		require.Equal(t, []string{"currentPassword"}, wrongFields(t, err))
	}
	change.Current = password
	_, err = d.ChangePassword(me, change)
	require.ErrorIs(t, err, rbac.ErrSignInDelayed)
	d.clock.advance(time.Second)
	_, err = d.ChangePassword(me, change)
	require.NoError(t, err)
}

// TestShortPasswordsOfEarlierVersionsStillWork: the rules for new passwords do not apply to
// existing ones until they are changed.
func TestShortPasswordsOfEarlierVersionsStillWork(t *testing.T) {
	t.Parallel()
	d := open(t)
	d.hire(t, "ada@example.test", rbac.Scheduler)
	const old = "twelve chars"
	hash, err := argon2id.CreateHash(old, &argon2id.Params{Memory: 8, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32})
	require.NoError(t, err)
	d.exec(t, "UPDATE users SET password_hash = ? WHERE email = 'ada@example.test'", hash)
	signed, err := d.SignIn(t.Context(), rbac.SignInRequest{Email: "ada@example.test", Password: old})
	require.NoError(t, err)
	caller, err := d.Authenticate(t.Context(), signed.Token)
	require.NoError(t, err)
	_, err = d.ChangePassword(identity.With(t.Context(), caller), rbac.PasswordChange{Current: old, New: "thirteen char"})
	require.Equal(t, []string{"newPassword"}, wrongFields(t, err))
}
