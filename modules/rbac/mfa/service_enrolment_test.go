package mfa_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/access"
	"omnirapeutic/modules/rbac/mfa"
	"omnirapeutic/modules/rbac/rbactest"
	"omnirapeutic/modules/rbac/signin"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/db/wireproxy"
	"omnirapeutic/platform/identity"
)

// signedIn returns the context of a user who signs in at the service.
func (d practice) signedIn(t testing.TB, at *access.Access, email, code string) context.Context {
	t.Helper()
	signed, err := at.SignIns.SignIn(t.Context(), signin.Request{Email: email, Password: rbactest.Password, Code: code})
	require.NoError(t, err)
	caller, err := at.Authenticate(t.Context(), signed.Token)
	require.NoError(t, err)
	return identity.With(t.Context(), caller)
}

// enrol turns a second factor on at the service.
func (d practice) enrol(t testing.TB, at *access.Access, email string) (secret string, codes []string) {
	t.Helper()
	me := d.signedIn(t, at, email, "")
	begun, err := at.SecondFactors.Start(me, rbactest.Password)
	require.NoError(t, err)
	codes, _, err = at.SecondFactors.Confirm(me, mfa.CodeAt(begun.Secret, d.Clock.Now()))
	require.NoError(t, err)
	d.Clock.Advance(30 * time.Second)
	return begun.Secret, codes
}

// TestSecondFactorsSurviveSecretRotation: sign-ins with a second factor re-encrypt its secret.
// Users who did not sign in need a recovery code once the former secret is removed.
func TestSecondFactorsSurviveSecretRotation(t *testing.T) {
	t.Parallel()
	d := open(t)
	d.AddUser(t, "ada@example.test", rbac.Admin)
	d.AddUser(t, "bea@example.test", rbac.Biller)
	next := []byte("another secret of 32 bytes, okay")
	during, after := d.WithSecrets(next, []byte(rbactest.Secret)), d.WithSecrets(next)
	ada, _ := d.enrol(t, d.Access, "ada@example.test")
	bea, codes := d.enrol(t, d.Access, "bea@example.test")
	d.Clock.Advance(30 * time.Second)

	d.signedIn(t, during, "ada@example.test", mfa.CodeAt(ada, d.Clock.Now()))
	d.Clock.Advance(30 * time.Second)
	d.signedIn(t, after, "ada@example.test", mfa.CodeAt(ada, d.Clock.Now()))

	_, err := after.SignIns.SignIn(t.Context(), signin.Request{
		Email: "bea@example.test", Password: rbactest.Password,
		Code: mfa.CodeAt(bea, d.Clock.Now()),
	})
	require.ErrorIs(t, err, mfa.ErrRecoveryCodeRequired)
	require.Contains(t, d.Log.String(), "second_factor_sealed")
	me := d.signedIn(t, after, "bea@example.test", codes[0])
	require.NoError(t, after.SecondFactors.TurnOff(me, rbactest.Password, codes[1]))
	d.enrol(t, after, "bea@example.test")
}

// TestAConfirmationWhoseAnswerIsLost interrupts the COMMIT. The returned recovery codes are the
// valid ones.
func TestAConfirmationWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	for it, place := range map[string]wireproxy.Point{
		"it was not executed": wireproxy.BeforeServer, "it was executed": wireproxy.BeforeAnswer,
	} {
		t.Run(it, func(t *testing.T) {
			t.Parallel()
			d := open(t)
			d.AddUser(t, "ada@example.test", rbac.Admin)
			proxy := wireproxy.Start(t, d.Server.AppURL)
			far := d.Instance(d.Server.Open(t, dbtest.Through(proxy.URL)))
			me := d.signedIn(t, far, "ada@example.test", "")
			begun, err := far.SecondFactors.Start(me, rbactest.Password)
			require.NoError(t, err)
			cut := proxy.BreakAfter(place, "delete from sign_in_failures", "commit", 1)
			codes, _, err := far.SecondFactors.Confirm(me, mfa.CodeAt(begun.Secret, d.Clock.Now()))
			require.NoError(t, err)
			require.True(t, cut.Spent(), "the COMMIT of the confirmation was interrupted")
			d.signedIn(t, far, "ada@example.test", codes[0])
		})
	}
}
