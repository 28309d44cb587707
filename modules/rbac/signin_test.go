package rbac_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
)

func TestASignIn(t *testing.T) {
	t.Parallel()
	d := open(t)
	u := d.hire(t, "ada@example.test", rbac.Practitioner, rbac.Scheduler)
	d.hire(t, "gone@example.test", rbac.Admin)
	d.exec(t, "UPDATE users SET status = 'DISABLED' WHERE email = 'gone@example.test'")

	t.Run("it gives a token for the user", func(t *testing.T) {
		signed, err := d.SignIn(t.Context(), " ADA@example.test", password, "")
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
	t.Run("it does not tell who is there", func(t *testing.T) {
		var told []string
		for _, c := range []struct{ email, password string }{
			{"ada@example.test", "not the password"},
			{"nobody@example.test", password},
			{"gone@example.test", password},
			{"gone@example.test", "not the password"},
			{"", ""},
			{"ada@example.test' OR '1'='1", password},
		} {
			_, err := d.SignIn(t.Context(), c.email, c.password, "")
			require.ErrorIs(t, err, rbac.ErrWrongCredentials)
			f, _ := fault.From(err)
			require.Nil(t, f.Details())
			told = append(told, f.Code()+f.Error())
		}
		for _, text := range told {
			require.Equal(t, told[0], text)
		}
	})
	t.Run("it refuses a password that is too long to be one", func(t *testing.T) {
		_, err := d.SignIn(t.Context(), "ada@example.test", strings.Repeat("ä", 65), "")
		require.Equal(t, []string{"password"}, wrongFields(t, err))
		_, err = d.SignIn(t.Context(), "ada@example.test", strings.Repeat("x", 128), "")
		require.ErrorIs(t, err, rbac.ErrWrongCredentials)
	})
	t.Run("it ends with the lifetime of the token", func(t *testing.T) {
		signed, err := d.SignIn(t.Context(), "ada@example.test", password, "")
		require.NoError(t, err)
		d.clock.advance(16 * time.Minute)
		_, err = d.Authenticate(t.Context(), signed.Token)
		require.ErrorIs(t, err, identity.ErrUnauthenticated)
	})
	t.Run("it logs what happened, and neither address nor password", func(t *testing.T) {
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
	require.ErrorIs(t, err, identity.ErrUnauthenticated, "the same id in another organization is nobody")
	_, err = d.Me(t.Context())
	require.ErrorIs(t, err, identity.ErrUnauthenticated)
	d.exec(t, "UPDATE users SET status = 'DISABLED' WHERE id = ?", u.ID)
	_, err = d.Me(me)
	require.ErrorIs(t, err, identity.ErrUnauthenticated)
}
