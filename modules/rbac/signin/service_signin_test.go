package signin_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/rbactest"
	"omnirapeutic/modules/rbac/signin"
	"omnirapeutic/modules/rbac/throttle"
	"omnirapeutic/modules/rbac/user"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
)

func TestSignIn(t *testing.T) {
	t.Parallel()
	d := open(t)
	u := d.AddUser(t, "ada@example.test", rbac.Practitioner, rbac.Scheduler)
	d.AddUser(t, "gone@example.test", rbac.Admin)
	d.Exec(t, "UPDATE users SET status = 'DISABLED' WHERE email = 'gone@example.test'")

	t.Run("it returns a token for the user", func(t *testing.T) {
		signed, err := d.SignIns.SignIn(t.Context(), signin.Request{Email: " ADA@example.test", Password: rbactest.Password})
		require.NoError(t, err)
		require.Equal(t, 15*time.Minute, signed.Expires)
		require.Equal(t, u.ID, signed.User.ID)
		caller, err := d.Authenticate(t.Context(), signed.Token)
		require.NoError(t, err)
		require.Equal(t, u.ID, caller.UserID)
		require.Equal(t, d.Organization, caller.OrganizationID)
		require.Equal(t, []string{"SCHEDULER", "PRACTITIONER"}, caller.Roles)
		require.NoError(t, caller.Require("authorization:consume"))
		require.ErrorIs(t, caller.Require("authorization:verify"), identity.ErrForbidden)
	})
	t.Run("it does not reveal accounts", func(t *testing.T) {
		var refusals []string
		for _, c := range []struct{ email, password string }{
			{"ada@example.test", "not the password"},
			{"nobody@example.test", rbactest.Password},
			{"gone@example.test", rbactest.Password},
			{"gone@example.test", "not the password"},
			{"", ""},
			{"ada@example.test' OR '1'='1", rbactest.Password},
		} {
			_, err := d.SignIns.SignIn(t.Context(), signin.Request{Email: c.email, Password: c.password})
			require.ErrorIs(t, err, signin.ErrWrongCredentials)
			f, _ := fault.From(err)
			require.Nil(t, f.Details())
			refusals = append(refusals, f.Code()+f.Error())
		}
		for _, text := range refusals {
			require.Equal(t, refusals[0], text)
		}
	})
	t.Run("it refuses passwords of more than 128 bytes", func(t *testing.T) {
		_, err := d.SignIns.SignIn(t.Context(), signin.Request{Email: "ada@example.test", Password: strings.Repeat("ä", 65)})
		require.Equal(t, []string{"password"}, rbactest.InvalidFields(t, err))
		_, err = d.SignIns.SignIn(t.Context(), signin.Request{Email: "ada@example.test", Password: strings.Repeat("x", 128)})
		require.ErrorIs(t, err, signin.ErrWrongCredentials)
	})
	t.Run("it ends with the lifetime of the token", func(t *testing.T) {
		signed, err := d.SignIns.SignIn(t.Context(), signin.Request{Email: "ada@example.test", Password: rbactest.Password})
		require.NoError(t, err)
		d.Clock.Advance(16 * time.Minute)
		_, err = d.Authenticate(t.Context(), signed.Token)
		require.ErrorIs(t, err, identity.ErrUnauthenticated)
	})
	t.Run("it logs events without address and password", func(t *testing.T) {
		log := d.Log.String()
		for _, event := range []string{"signed_in", "sign_in_refused", "reason=unknown", "reason=password", "reason=disabled", u.ID.String()} {
			require.Contains(t, log, event)
		}
		for _, secret := range []string{rbactest.Password, "not the password", "@example.test", "OR '1'"} {
			require.NotContains(t, log, secret)
		}
	})
}

func TestMe(t *testing.T) {
	t.Parallel()
	d := open(t)
	u := d.AddUser(t, "ada@example.test", rbac.Biller)
	me := identity.With(t.Context(), identity.Caller{UserID: u.ID, OrganizationID: d.Organization})

	found, err := d.Sessions.Me(me)
	require.NoError(t, err)
	require.Equal(t, "ada@example.test", found.Email)
	require.Equal(t, []rbac.Role{rbac.Biller}, found.Roles)

	_, err = d.Sessions.Me(identity.With(t.Context(), identity.Caller{UserID: u.ID, OrganizationID: d.AddOrganization(t)}))
	require.ErrorIs(t, err, identity.ErrUnauthenticated, "the same id in another organization does not exist")
	_, err = d.Sessions.Me(t.Context())
	require.ErrorIs(t, err, identity.ErrUnauthenticated)
	d.Exec(t, "UPDATE users SET status = 'DISABLED' WHERE id = ?", u.ID)
	_, err = d.Sessions.Me(me)
	require.ErrorIs(t, err, identity.ErrUnauthenticated)
}

// TestOwnSignInsDoNotResetGuessesAtAnotherAccount has a person guess the password of another
// organization's account with the same address as their own. Signing in to their own account
// between the guesses does not reset the count.
func TestOwnSignInsDoNotResetGuessesAtAnotherAccount(t *testing.T) {
	t.Parallel()
	d := open(t)
	const email, own = "ada@example.test", "the-guesser's-own-one"
	d.AddUser(t, email, rbac.Admin)
	elsewhere := d.AddOrganization(t)
	_, err := d.Users.Create(t.Context(), elsewhere,
		user.NewUser{Email: email, Name: "Guesser", Password: own, Roles: []rbac.Role{rbac.Biller}})
	require.NoError(t, err)
	guesser, home := rbactest.From(t, "192.0.2.1"), rbactest.From(t, "198.51.100.7")
	_, err = d.SignIns.SignIn(home, signin.Request{Email: email, Password: rbactest.Password})
	require.NoError(t, err)

	signIn := func(password string) error {
		_, err := d.SignIns.SignIn(guesser, signin.Request{Email: email, Password: password})
		return err
	}
	for range 10 {
		require.ErrorIs(t, signIn("not the password"), signin.ErrWrongCredentials)
		require.NoError(t, signIn(own))
	}
	require.ErrorIs(t, signIn(rbactest.Password), signin.ErrWrongCredentials, "the right password is refused with the same answer")
	require.Contains(t, d.Log.String(), "reason=delayed")
	_, err = d.SignIns.SignIn(home, signin.Request{Email: email, Password: rbactest.Password})
	require.NoError(t, err, "the user's usual network has its own count")
}

// TestDeviceTokensOfAnotherAccountDoNotHelpToGuess has the guesser sign in to their own account with
// the same address for a new device token before every guess.
func TestDeviceTokensOfAnotherAccountDoNotHelpToGuess(t *testing.T) {
	t.Parallel()
	d := open(t)
	const email, own = "ada@example.test", "the-guesser's-own-one"
	d.AddUser(t, email, rbac.Admin)
	elsewhere := d.AddOrganization(t)
	_, err := d.Users.Create(t.Context(), elsewhere,
		user.NewUser{Email: email, Name: "Guesser", Password: own, Roles: []rbac.Role{rbac.Biller}})
	require.NoError(t, err)
	guesser := rbactest.From(t, "192.0.2.1")
	guess := func(password string, organization *uuid.UUID) error {
		signed, err := d.SignIns.SignIn(guesser, signin.Request{Email: email, Password: own, OrganizationID: &elsewhere})
		require.NoError(t, err)
		require.NotEmpty(t, signed.Device)
		_, err = d.SignIns.SignIn(guesser, signin.Request{
			Email: email, Password: password, OrganizationID: organization, DeviceToken: signed.Device,
		})
		return err
	}
	for range 10 {
		require.ErrorIs(t, guess("not the password", &d.Organization), signin.ErrWrongCredentials)
	}
	require.ErrorIs(t, guess(rbactest.Password, &d.Organization), signin.ErrWrongCredentials, "the right password is refused too")
	require.ErrorIs(t, guess(rbactest.Password, nil), signin.ErrWrongCredentials, "also without the organization")
	require.Contains(t, d.Log.String(), "reason=delayed")
}

// TestALiftedLockDoesNotRevealTheOrganization compares the answers with and without an organization
// after an administrator has lifted the lock of one account of the address.
func TestALiftedLockDoesNotRevealTheOrganization(t *testing.T) {
	t.Parallel()
	d := open(t)
	const email = "ada@example.test"
	ada, boss := d.AddUser(t, email, rbac.Biller), d.AddUser(t, "boss@example.test", rbac.Admin)
	guesser := rbactest.From(t, "192.0.2.1")
	guess := func(organization *uuid.UUID) error {
		_, err := d.SignIns.SignIn(guesser, signin.Request{Email: email, Password: "not the password", OrganizationID: organization})
		return err
	}
	delayed := func() {
		for range 10 {
			require.ErrorIs(t, guess(nil), signin.ErrWrongCredentials)
		}
		require.ErrorIs(t, guess(nil), throttle.ErrSignInDelayed)
	}
	delayed()
	require.NoError(t, d.SignIns.Unlock(d.As(t, boss), ada.ID))
	delayed()
	for _, organization := range []*uuid.UUID{new(rbactest.NewID()), &d.Organization, nil} {
		require.ErrorIs(t, guess(organization), throttle.ErrSignInDelayed)
	}
}
