package rbac_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/db/wireproxy"
	"omnirapeutic/platform/identity"
)

// signedIn returns the context of a user who signs in at the service.
func (d desk) signedIn(t testing.TB, at *rbac.Service, email, code string) context.Context {
	t.Helper()
	signed, err := at.SignIn(t.Context(), rbac.SignInRequest{Email: email, Password: password, Code: code})
	require.NoError(t, err)
	caller, err := at.Authenticate(t.Context(), signed.Token)
	require.NoError(t, err)
	return identity.With(t.Context(), caller)
}

// enrol turns a second factor on at the service.
func (d desk) enrol(t testing.TB, at *rbac.Service, email string) (secret string, codes []string) {
	t.Helper()
	me := d.signedIn(t, at, email, "")
	begun, err := at.BeginSecondFactor(me, password)
	require.NoError(t, err)
	codes, _, err = at.ConfirmSecondFactor(me, rbac.CodeAt(begun.Secret, d.clock.now()))
	require.NoError(t, err)
	d.clock.advance(30 * time.Second)
	return begun.Secret, codes
}

// TestSecondFactorsSurviveSecretRotation: sign-ins with a second factor re-encrypt its secret.
// Users who did not sign in need a recovery code once the former secret is removed.
func TestSecondFactorsSurviveSecretRotation(t *testing.T) {
	t.Parallel()
	d := open(t)
	d.hire(t, "ada@example.test", rbac.Admin)
	d.hire(t, "bea@example.test", rbac.Biller)
	next := []byte("another secret of 32 bytes, okay")
	during, after := d.with(next, secret), d.with(next)
	ada, _ := d.enrol(t, d.Service, "ada@example.test")
	bea, codes := d.enrol(t, d.Service, "bea@example.test")
	d.clock.advance(30 * time.Second)

	d.signedIn(t, during, "ada@example.test", rbac.CodeAt(ada, d.clock.now()))
	d.clock.advance(30 * time.Second)
	d.signedIn(t, after, "ada@example.test", rbac.CodeAt(ada, d.clock.now()))

	_, err := after.SignIn(t.Context(), rbac.SignInRequest{
		Email: "bea@example.test", Password: password,
		Code: rbac.CodeAt(bea, d.clock.now()),
	})
	require.ErrorIs(t, err, rbac.ErrRecoveryCodeRequired)
	require.Contains(t, d.log.String(), "second_factor_sealed")
	me := d.signedIn(t, after, "bea@example.test", codes[0])
	require.NoError(t, after.TurnOffSecondFactor(me, rbac.BothFactors{Password: password, Code: codes[1]}))
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
			d.hire(t, "ada@example.test", rbac.Admin)
			proxy := wireproxy.Start(t, d.place.AppURL)
			far := d.instance(d.place.Open(t, dbtest.Through(proxy.URL)))
			me := d.signedIn(t, far, "ada@example.test", "")
			begun, err := far.BeginSecondFactor(me, password)
			require.NoError(t, err)
			cut := proxy.BreakAfter(place, "delete from sign_in_failures", "commit", 1)
			codes, _, err := far.ConfirmSecondFactor(me, rbac.CodeAt(begun.Secret, d.clock.now()))
			require.NoError(t, err)
			require.True(t, cut.Spent(), "the COMMIT of the confirmation was interrupted")
			d.signedIn(t, far, "ada@example.test", codes[0])
		})
	}
}
