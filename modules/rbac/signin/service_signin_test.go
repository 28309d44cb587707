package rbac_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
)

func TestSignIn(t *testing.T) {
	t.Parallel()
	d := open(t)
	u := d.hire(t, "ada@example.test", rbac.Practitioner, rbac.Scheduler)
	d.hire(t, "gone@example.test", rbac.Admin)
	d.exec(t, "UPDATE users SET status = 'DISABLED' WHERE email = 'gone@example.test'")

	t.Run("it returns a token for the user", func(t *testing.T) {
		signed, err := d.SignIn(t.Context(), rbac.SignInRequest{Email: " ADA@example.test", Password: password})
		require.NoError(t, err)
		require.Equal(t, 15*time.Minute, signed.Expires)
		require.Equal(t, u.ID, signed.User.ID)
		caller, err := d.Authenticate(t.Context(), signed.Token)
		require.NoError(t, err)
		require.Equal(t, u.ID, caller.UserID)
		require.Equal(t, d.organization, caller.OrganizationID)
		require.Equal(t, []string{"SCHEDULER", "PRACTITIONER"}, caller.Roles)
		require.NoError(t, caller.Require("authorization:consume"))
		require.ErrorIs(t, caller.Require("authorization:verify"), identity.ErrForbidden)
	})
	t.Run("it does not reveal accounts", func(t *testing.T) {
		var refusals []string
		for _, c := range []struct{ email, password string }{
			{"ada@example.test", "not the password"},
			{"nobody@example.test", password},
			{"gone@example.test", password},
			{"gone@example.test", "not the password"},
			{"", ""},
			{"ada@example.test' OR '1'='1", password},
		} {
			_, err := d.SignIn(t.Context(), rbac.SignInRequest{Email: c.email, Password: c.password})
			require.ErrorIs(t, err, rbac.ErrWrongCredentials)
			f, _ := fault.From(err)
			require.Nil(t, f.Details())
			refusals = append(refusals, f.Code()+f.Error())
		}
		for _, text := range refusals {
			require.Equal(t, refusals[0], text)
		}
	})
	t.Run("it refuses passwords of more than 128 bytes", func(t *testing.T) {
		_, err := d.SignIn(t.Context(), rbac.SignInRequest{Email: "ada@example.test", Password: strings.Repeat("ä", 65)})
		require.Equal(t, []string{"password"}, wrongFields(t, err))
		_, err = d.SignIn(t.Context(), rbac.SignInRequest{Email: "ada@example.test", Password: strings.Repeat("x", 128)})
		require.ErrorIs(t, err, rbac.ErrWrongCredentials)
	})
	t.Run("it ends with the lifetime of the token", func(t *testing.T) {
		signed, err := d.SignIn(t.Context(), rbac.SignInRequest{Email: "ada@example.test", Password: password})
		require.NoError(t, err)
		d.clock.advance(16 * time.Minute)
		_, err = d.Authenticate(t.Context(), signed.Token)
		require.ErrorIs(t, err, identity.ErrUnauthenticated)
	})
	t.Run("it logs events without address and password", func(t *testing.T) {
		log := d.log.String()
		for _, event := range []string{"signed_in", "sign_in_refused", "reason=unknown", "reason=password", "reason=disabled", u.ID.String()} {
			require.Contains(t, log, event)
		}
		for _, secret := range []string{password, "not the password", "@example.test", "OR '1'"} {
			require.NotContains(t, log, secret)
		}
	})
}

func TestMe(t *testing.T) {
	t.Parallel()
	d := open(t)
	u := d.hire(t, "ada@example.test", rbac.Biller)
	me := identity.With(t.Context(), identity.Caller{UserID: u.ID, OrganizationID: d.organization})

	found, err := d.Me(me)
	require.NoError(t, err)
	require.Equal(t, "ada@example.test", found.Email)
	require.Equal(t, []rbac.Role{rbac.Biller}, found.Roles)

	_, err = d.Me(identity.With(t.Context(), identity.Caller{UserID: u.ID, OrganizationID: d.found(t)}))
	require.ErrorIs(t, err, identity.ErrUnauthenticated, "the same id in another organization does not exist")
	_, err = d.Me(t.Context())
	require.ErrorIs(t, err, identity.ErrUnauthenticated)
	d.exec(t, "UPDATE users SET status = 'DISABLED' WHERE id = ?", u.ID)
	_, err = d.Me(me)
	require.ErrorIs(t, err, identity.ErrUnauthenticated)
}

// TestOnePasswordHashIsComputedForAnyNumberOfAccounts counts hash computations, which take nearly
// all of the time of a sign-in.
func TestOnePasswordHashIsComputedForAnyNumberOfAccounts(t *testing.T) {
	t.Parallel()
	d := open(t)
	organizations := []uuid.UUID{d.organization, d.found(t), d.found(t)}
	for n := 1; n <= len(organizations); n++ {
		email := fmt.Sprintf("in-%d@example.test", n)
		errs := make(chan error, n)
		for i := range n { // at once, as when two invitations are accepted in the same moment
			go func() {
				_, err := d.CreateUser(t.Context(), organizations[i], rbac.NewUser{
					Email: email, Name: "Sam Example", Password: fmt.Sprintf("%s of organization %d", password, i), Roles: []rbac.Role{rbac.Biller},
				})
				errs <- err
			}()
		}
		for range n {
			require.NoError(t, <-errs)
		}
	}
	computed := rbac.CountHashes(d.Service)
	for _, email := range []string{"in-0@example.test", "no address", "in-1@example.test", "in-2@example.test", "in-3@example.test"} {
		for _, organization := range []*uuid.UUID{nil, &organizations[0], new(newID())} {
			before := computed.Load()
			_, err := d.SignIn(t.Context(), rbac.SignInRequest{Email: email, Password: "not the password", OrganizationID: organization})
			require.ErrorIs(t, err, rbac.ErrWrongCredentials)
			require.Equal(t, before+1, computed.Load(), "%s in %v", email, organization)
		}
	}
	before := computed.Load()
	signed, err := d.SignIn(t.Context(), rbac.SignInRequest{Email: "in-3@example.test", Password: password + " of organization 1"})
	require.NoError(t, err)
	require.Equal(t, organizations[1], signed.User.OrganizationID)
	require.Equal(t, before+1, computed.Load())
}

// TestOwnSignInsDoNotResetGuessesAtAnotherAccount has a person guess the password of another
// organization's account with the same address as their own. Signing in to their own account
// between the guesses does not reset the count.
func TestOwnSignInsDoNotResetGuessesAtAnotherAccount(t *testing.T) {
	t.Parallel()
	d := open(t)
	const email, own = "ada@example.test", "the-guesser's-own-one"
	d.hire(t, email, rbac.Admin)
	elsewhere := d.found(t)
	_, err := d.CreateUser(t.Context(), elsewhere, rbac.NewUser{Email: email, Name: "Guesser", Password: own, Roles: []rbac.Role{rbac.Biller}})
	require.NoError(t, err)
	guesser, home := from(t, "192.0.2.1"), from(t, "198.51.100.7")
	_, err = d.SignIn(home, rbac.SignInRequest{Email: email, Password: password})
	require.NoError(t, err)

	signIn := func(password string) error {
		_, err := d.SignIn(guesser, rbac.SignInRequest{Email: email, Password: password})
		return err
	}
	for range 10 {
		require.ErrorIs(t, signIn("not the password"), rbac.ErrWrongCredentials)
		require.NoError(t, signIn(own))
	}
	require.ErrorIs(t, signIn(password), rbac.ErrWrongCredentials, "the right password is refused with the same answer")
	require.Contains(t, d.log.String(), "reason=delayed")
	_, err = d.SignIn(home, rbac.SignInRequest{Email: email, Password: password})
	require.NoError(t, err, "the user's usual network has its own count")
}

// TestDeviceTokensOfAnotherAccountDoNotHelpToGuess has the guesser sign in to their own account with
// the same address for a new device token before every guess.
func TestDeviceTokensOfAnotherAccountDoNotHelpToGuess(t *testing.T) {
	t.Parallel()
	d := open(t)
	const email, own = "ada@example.test", "the-guesser's-own-one"
	d.hire(t, email, rbac.Admin)
	elsewhere := d.found(t)
	_, err := d.CreateUser(t.Context(), elsewhere,
		rbac.NewUser{Email: email, Name: "Guesser", Password: own, Roles: []rbac.Role{rbac.Biller}})
	require.NoError(t, err)
	guesser := from(t, "192.0.2.1")
	guess := func(password string, organization *uuid.UUID) error {
		signed, err := d.SignIn(guesser, rbac.SignInRequest{Email: email, Password: own, OrganizationID: &elsewhere})
		require.NoError(t, err)
		require.NotEmpty(t, signed.Device)
		_, err = d.SignIn(guesser, rbac.SignInRequest{
			Email: email, Password: password, OrganizationID: organization, DeviceToken: signed.Device,
		})
		return err
	}
	for range 10 {
		require.ErrorIs(t, guess("not the password", &d.organization), rbac.ErrWrongCredentials)
	}
	require.ErrorIs(t, guess(password, &d.organization), rbac.ErrWrongCredentials, "the right password is refused too")
	require.ErrorIs(t, guess(password, nil), rbac.ErrWrongCredentials, "also without the organization")
	require.Contains(t, d.log.String(), "reason=delayed")
}

// TestALiftedLockDoesNotRevealTheOrganization compares the answers with and without an organization
// after an administrator has lifted the lock of one account of the address.
func TestALiftedLockDoesNotRevealTheOrganization(t *testing.T) {
	t.Parallel()
	d := open(t)
	const email = "ada@example.test"
	ada, boss := d.hire(t, email, rbac.Biller), d.hire(t, "boss@example.test", rbac.Admin)
	guesser := from(t, "192.0.2.1")
	guess := func(organization *uuid.UUID) error {
		_, err := d.SignIn(guesser, rbac.SignInRequest{Email: email, Password: "not the password", OrganizationID: organization})
		return err
	}
	delayed := func() {
		for range 10 {
			require.ErrorIs(t, guess(nil), rbac.ErrWrongCredentials)
		}
		require.ErrorIs(t, guess(nil), rbac.ErrSignInDelayed)
	}
	delayed()
	require.NoError(t, d.UnlockUser(d.as(t, boss), ada.ID))
	delayed()
	for _, organization := range []*uuid.UUID{new(newID()), &d.organization, nil} {
		require.ErrorIs(t, guess(organization), rbac.ErrSignInDelayed)
	}
}
