package password_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/password"
	"omnirapeutic/modules/rbac/rbactest"
	"omnirapeutic/modules/rbac/signin"
	"omnirapeutic/modules/rbac/user"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
)

func TestSignInHoldsNoConnectionWhileItWaitsToHash(t *testing.T) {
	t.Parallel()
	p := open(t)
	database := p.Server.Open(t, dbtest.WithMaxConns(1))
	services := p.Instance(database)
	awaitHash, release := password.OccupyThreads(services.Passwords)
	done := make(chan error)
	go func() {
		_, err := services.SignIns.SignIn(t.Context(), signin.Request{Email: "unknown@example.test", Password: rbactest.Password})
		done <- err
	}()
	awaitHash()
	_, err := db.Snapshot(t.Context(), database, "test", func(context.Context) (struct{}, error) { return struct{}{}, nil })
	require.NoError(t, err, "the only connection is free")
	release()
	require.ErrorIs(t, <-done, signin.ErrWrongCredentials)
}

// TestOnePasswordHashIsComputedForAnyNumberOfAccounts counts hash computations, which take nearly
// all of the time of a sign-in.
func TestOnePasswordHashIsComputedForAnyNumberOfAccounts(t *testing.T) {
	t.Parallel()
	d := open(t)
	organizations := []uuid.UUID{d.Organization, d.AddOrganization(t), d.AddOrganization(t)}
	for n := 1; n <= len(organizations); n++ {
		email := fmt.Sprintf("in-%d@example.test", n)
		errs := make(chan error, n)
		for i := range n { // at once, as when two invitations are accepted in the same moment
			go func() {
				_, err := d.Users.Create(t.Context(), organizations[i], user.NewUser{
					Email: email, Name: "Sam Example", Password: fmt.Sprintf("%s of organization %d", rbactest.Password, i),
					Roles: []rbac.Role{rbac.Biller},
				})
				errs <- err
			}()
		}
		for range n {
			require.NoError(t, <-errs)
		}
	}
	computed := password.CountHashes(d.Passwords)
	for _, email := range []string{"in-0@example.test", "no address", "in-1@example.test", "in-2@example.test", "in-3@example.test"} {
		for _, organization := range []*uuid.UUID{nil, &organizations[0], new(rbactest.NewID())} {
			before := computed.Load()
			_, err := d.SignIns.SignIn(t.Context(), signin.Request{Email: email, Password: "not the password", OrganizationID: organization})
			require.ErrorIs(t, err, signin.ErrWrongCredentials)
			require.Equal(t, before+1, computed.Load(), "%s in %v", email, organization)
		}
	}
	before := computed.Load()
	signed, err := d.SignIns.SignIn(t.Context(),
		signin.Request{Email: "in-3@example.test", Password: rbactest.Password + " of organization 1"})
	require.NoError(t, err)
	require.Equal(t, organizations[1], signed.User.OrganizationID)
	require.Equal(t, before+1, computed.Load())
}
