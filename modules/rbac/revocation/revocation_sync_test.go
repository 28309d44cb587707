package rbac_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
)

// soon is the time limit for expected changes, longer than any of them takes.
const soon = 20 * time.Second

// secondInstance returns another instance on the same database.
func (d desk) secondInstance(t testing.TB) desk {
	t.Helper()
	d.database = d.place.Open(t)
	d.Service = d.instance(d.database)
	return d
}

// run runs the instance's background work until the test ends.
func (d desk) run(t testing.TB) desk {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	require.NoError(t, d.Learn(ctx))
	go func() { defer close(ended); d.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	return d
}

func (d desk) signIn(t testing.TB, email string) string {
	t.Helper()
	signed, err := d.SignIn(t.Context(), rbac.SignInRequest{Email: email, Password: password})
	require.NoError(t, err)
	return signed.Token
}

func (d desk) requireIn(t testing.TB, token string) {
	t.Helper()
	_, err := d.Authenticate(t.Context(), token)
	require.NoError(t, err)
}

func (d desk) requireOut(t testing.TB, token string) {
	t.Helper()
	caller, err := d.Authenticate(t.Context(), token)
	require.ErrorIs(t, err, identity.ErrUnauthenticated)
	require.Zero(t, caller)
}

// change changes a user and revokes their sign-ins, as use cases do.
func (d desk) change(t testing.TB, u rbac.User, sql string, fail bool) error {
	t.Helper()
	_, err := db.Serializable(t.Context(), d.database, "test", func(ctx context.Context) (struct{}, error) {
		tx, err := db.Handle(ctx)
		if err != nil {
			return struct{}{}, err
		}
		if err := tx.Exec(sql, u.ID).Error; err != nil {
			return struct{}{}, err
		}
		if err := rbac.Revoke(ctx, d.Service, u); err != nil || !fail {
			return struct{}{}, err
		}
		return struct{}{}, identity.ErrForbidden
	}, db.AllOrganizations())
	return err
}

// TestRevocationsReachAllInstances changes a user's roles, status and tokens at one instance and
// checks both.
func TestRevocationsReachAllInstances(t *testing.T) {
	t.Parallel()
	first := open(t).run(t)
	second := first.secondInstance(t).run(t)
	u := first.hire(t, "ada@example.test", rbac.Scheduler)
	other := first.hire(t, "bo@example.test", rbac.Scheduler)
	others := second.signIn(t, other.Email)
	for name, change := range map[string]func(token string){
		"after a change of roles": func(string) {
			require.NoError(t, first.change(t, u, "UPDATE user_roles SET role = 'BILLER' WHERE user_id = ?", false))
		},
		"after a sign-out everywhere": func(token string) {
			caller, err := first.Authenticate(t.Context(), token)
			require.NoError(t, err)
			require.NoError(t, first.SignOutEverywhere(identity.With(t.Context(), caller)))
		},
	} {
		here, there := first.signIn(t, u.Email), second.signIn(t, u.Email)
		for _, d := range []desk{first, second} {
			d.requireIn(t, here)
			d.requireIn(t, there)
		}
		change(there)
		first.requireOut(t, here)
		first.requireOut(t, there)
		require.Eventually(t, func() bool {
			_, err := second.Authenticate(t.Context(), here)
			return err != nil
		}, soon, time.Millisecond, name)
		second.requireOut(t, here)
		second.requireOut(t, there)
		first.requireIn(t, others)
		second.requireIn(t, others)
	}
	caller, err := second.Authenticate(t.Context(), second.signIn(t, u.Email))
	require.NoError(t, err)
	require.Equal(t, []string{"BILLER"}, caller.Roles, "the next token has the current roles")

	token := second.signIn(t, u.Email)
	require.NoError(t, first.change(t, u, "UPDATE users SET status = 'DISABLED' WHERE id = ?", false))
	first.requireOut(t, token)
	_, err = first.SignIn(t.Context(), rbac.SignInRequest{Email: u.Email, Password: password})
	require.ErrorIs(t, err, rbac.ErrWrongCredentials)
}

func TestRolledBackChangesRevokeNothing(t *testing.T) {
	t.Parallel()
	d := open(t).run(t)
	u := d.hire(t, "ada@example.test", rbac.Scheduler)
	token := d.signIn(t, u.Email)
	require.ErrorIs(t, d.change(t, u, "UPDATE users SET status = 'DISABLED' WHERE id = ?", true), identity.ErrForbidden)
	require.NoError(t, d.Learn(t.Context()))
	d.requireIn(t, token)
}

// TestPollFindsMissedRevocations has instances that receive no notifications.
func TestPollFindsMissedRevocations(t *testing.T) {
	t.Parallel()
	first := open(t)
	second := first.secondInstance(t)
	u := first.hire(t, "ada@example.test", rbac.Scheduler)
	token := first.signIn(t, u.Email)
	require.NoError(t, second.Learn(t.Context()))
	require.NoError(t, first.change(t, u, "UPDATE user_roles SET role = 'BILLER' WHERE user_id = ?", false))
	second.requireIn(t, token)
	require.NoError(t, second.Learn(t.Context()))
	second.requireOut(t, token)

	third := first.secondInstance(t)
	require.NoError(t, third.Learn(t.Context()))
	third.requireOut(t, token)
	third.requireIn(t, third.signIn(t, u.Email))
}

// TestPollFindsLateCommits has a transaction that began before a poll commit after a later
// transaction was loaded.
func TestPollFindsLateCommits(t *testing.T) {
	t.Parallel()
	d := open(t)
	looker, second := d.secondInstance(t), d.secondInstance(t)
	slow, quick := d.hire(t, "ada@example.test", rbac.Scheduler), d.hire(t, "bo@example.test", rbac.Scheduler)
	slows, quicks := d.signIn(t, slow.Email), d.signIn(t, quick.Email)
	_, err := db.Serializable(t.Context(), d.database, "test", func(ctx context.Context) (struct{}, error) {
		if err := rbac.Revoke(ctx, d.Service, slow); err != nil {
			return struct{}{}, err
		}
		alone := context.Background() // another transaction than the test's
		_, err := db.Serializable(alone, second.database, "test", func(ctx context.Context) (struct{}, error) {
			return struct{}{}, rbac.Revoke(ctx, second.Service, quick)
		}, db.AllOrganizations())
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, looker.Learn(alone)
	}, db.AllOrganizations())
	require.NoError(t, err)
	looker.requireOut(t, quicks)
	looker.requireIn(t, slows)
	require.NoError(t, looker.Learn(t.Context()))
	looker.requireOut(t, slows)
}

func TestOldChangesAreRemoved(t *testing.T) {
	t.Parallel()
	d := open(t)
	u := d.hire(t, "ada@example.test", rbac.Scheduler)
	count := func() (n int) {
		require.NoError(t, d.read(t, &n, "SELECT count(*) FROM access_changes"))
		return n
	}
	require.NoError(t, d.change(t, u, "UPDATE users SET name = 'Ada' WHERE id = ?", false))
	d.clock.advance(24 * time.Hour)
	d.sweep(t)
	require.Equal(t, 1, count())
	d.clock.advance(2 * time.Hour)
	d.sweep(t)
	require.Zero(t, count())
}

func TestFailedPollsAreLogged(t *testing.T) {
	t.Parallel()
	d := open(t)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, d.Learn(gone), context.Canceled)
	d.requireIn(t, d.signIn(t, d.hire(t, "ada@example.test", rbac.Scheduler).Email))
}
