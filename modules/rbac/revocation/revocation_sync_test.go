package revocation_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/rbactest"
	"omnirapeutic/modules/rbac/signin"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
)

// TestRevocationsReachAllInstances changes a user's roles, status and tokens at one instance and
// checks both.
func TestRevocationsReachAllInstances(t *testing.T) {
	t.Parallel()
	first := rbactest.Open(t).Run(t)
	second := first.SecondInstance(t).Run(t)
	u := first.AddUser(t, "ada@example.test", rbac.Scheduler)
	other := first.AddUser(t, "bo@example.test", rbac.Scheduler)
	others := second.SignIn(t, other.Email).Token
	for name, change := range map[string]func(token string){
		"after a change of roles": func(string) {
			require.NoError(t, first.ChangeAndRevoke(t, u, "UPDATE user_roles SET role = 'BILLER' WHERE user_id = ?", false))
		},
		"after a sign-out everywhere": func(token string) {
			caller, err := first.Authenticate(t.Context(), token)
			require.NoError(t, err)
			require.NoError(t, first.Sessions.SignOutEverywhere(identity.With(t.Context(), caller)))
		},
	} {
		one, other := first.SignIn(t, u.Email).Token, second.SignIn(t, u.Email).Token
		for _, d := range []rbactest.Practice{first, second} {
			d.RequireValid(t, one)
			d.RequireValid(t, other)
		}
		change(other)
		first.RequireInvalid(t, one)
		first.RequireInvalid(t, other)
		require.Eventually(t, func() bool {
			_, err := second.Authenticate(t.Context(), one)
			return err != nil
		}, rbactest.Soon, time.Millisecond, name)
		second.RequireInvalid(t, one)
		second.RequireInvalid(t, other)
		first.RequireValid(t, others)
		second.RequireValid(t, others)
	}
	caller, err := second.Authenticate(t.Context(), second.SignIn(t, u.Email).Token)
	require.NoError(t, err)
	require.Equal(t, []string{"BILLER"}, caller.Roles, "the next token has the current roles")

	token := second.SignIn(t, u.Email).Token
	require.NoError(t, first.ChangeAndRevoke(t, u, "UPDATE users SET status = 'DISABLED' WHERE id = ?", false))
	first.RequireInvalid(t, token)
	_, err = first.SignIns.SignIn(t.Context(), signin.Request{Email: u.Email, Password: rbactest.Password})
	require.ErrorIs(t, err, signin.ErrWrongCredentials)
}

func TestRolledBackChangesRevokeNothing(t *testing.T) {
	t.Parallel()
	d := rbactest.Open(t).Run(t)
	u := d.AddUser(t, "ada@example.test", rbac.Scheduler)
	token := d.SignIn(t, u.Email).Token
	require.ErrorIs(t, d.ChangeAndRevoke(t, u, "UPDATE users SET status = 'DISABLED' WHERE id = ?", true), identity.ErrForbidden)
	require.NoError(t, d.Revocations.LoadRevocations(t.Context()))
	d.RequireValid(t, token)
}

// TestPollFindsMissedRevocations has instances that receive no notifications.
func TestPollFindsMissedRevocations(t *testing.T) {
	t.Parallel()
	first := rbactest.Open(t)
	second := first.SecondInstance(t)
	u := first.AddUser(t, "ada@example.test", rbac.Scheduler)
	token := first.SignIn(t, u.Email).Token
	require.NoError(t, second.Revocations.LoadRevocations(t.Context()))
	require.NoError(t, first.ChangeAndRevoke(t, u, "UPDATE user_roles SET role = 'BILLER' WHERE user_id = ?", false))
	second.RequireValid(t, token)
	require.NoError(t, second.Revocations.LoadRevocations(t.Context()))
	second.RequireInvalid(t, token)

	third := first.SecondInstance(t)
	require.NoError(t, third.Revocations.LoadRevocations(t.Context()))
	third.RequireInvalid(t, token)
	third.RequireValid(t, third.SignIn(t, u.Email).Token)
}

// TestPollFindsLateCommits has a transaction that began before a poll commit after a later
// transaction was loaded.
func TestPollFindsLateCommits(t *testing.T) {
	t.Parallel()
	d := rbactest.Open(t)
	looker, second := d.SecondInstance(t), d.SecondInstance(t)
	slow, quick := d.AddUser(t, "ada@example.test", rbac.Scheduler), d.AddUser(t, "bo@example.test", rbac.Scheduler)
	slows, quicks := d.SignIn(t, slow.Email).Token, d.SignIn(t, quick.Email).Token
	_, err := db.Serializable(t.Context(), d.Database, "test", func(ctx context.Context) (struct{}, error) {
		if _, err := d.Revocations.RevokeUser(ctx, slow.OrganizationID, slow.ID); err != nil {
			return struct{}{}, err
		}
		alone := context.Background() // not in the test's transaction
		_, err := db.Serializable(alone, second.Database, "test", func(ctx context.Context) (struct{}, error) {
			_, err := second.Revocations.RevokeUser(ctx, quick.OrganizationID, quick.ID)
			return struct{}{}, err
		}, db.AllOrganizations())
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, looker.Revocations.LoadRevocations(alone)
	}, db.AllOrganizations())
	require.NoError(t, err)
	looker.RequireInvalid(t, quicks)
	looker.RequireValid(t, slows)
	require.NoError(t, looker.Revocations.LoadRevocations(t.Context()))
	looker.RequireInvalid(t, slows)
}

func TestOldChangesAreRemoved(t *testing.T) {
	t.Parallel()
	d := rbactest.Open(t)
	u := d.AddUser(t, "ada@example.test", rbac.Scheduler)
	count := func() (n int) {
		require.NoError(t, d.Read(t, &n, "SELECT count(*) FROM access_changes"))
		return n
	}
	require.NoError(t, d.ChangeAndRevoke(t, u, "UPDATE users SET name = 'Ada' WHERE id = ?", false))
	d.Clock.Advance(24 * time.Hour)
	d.RunSweep(t)
	require.Equal(t, 1, count())
	d.Clock.Advance(2 * time.Hour)
	d.RunSweep(t)
	require.Zero(t, count())
}

func TestFailedPollsAreLogged(t *testing.T) {
	t.Parallel()
	d := rbactest.Open(t)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, d.Revocations.LoadRevocations(gone), context.Canceled)
	d.RequireValid(t, d.SignIn(t, d.AddUser(t, "ada@example.test", rbac.Scheduler).Email).Token)
}
