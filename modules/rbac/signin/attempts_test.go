package signin_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/password"
	"omnirapeutic/modules/rbac/rbactest"
	"omnirapeutic/modules/rbac/session"
	"omnirapeutic/modules/rbac/signin"
	"omnirapeutic/modules/rbac/throttle"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
)

type deviceKey struct{}

// withDevice returns a context whose attempts use a device token.
func withDevice(ctx context.Context, token string) context.Context {
	return context.WithValue(ctx, deviceKey{}, token)
}

// try signs in with the device token of the context.
func (d practice) try(ctx context.Context, email, secret string) (session.SignedIn, error) {
	token, _ := ctx.Value(deviceKey{}).(string)
	return d.SignIns.SignIn(ctx, signin.Request{Email: email, Password: secret, DeviceToken: token})
}

func (d practice) fail(t testing.TB, ctx context.Context, email string, n int) {
	t.Helper()
	for range n {
		_, err := d.try(ctx, email, "not the password")
		require.ErrorIs(t, err, signin.ErrWrongCredentials)
	}
}

// requireDelayed returns the time until the next attempt is checked.
func (d practice) requireDelayed(t testing.TB, ctx context.Context, email, password string) time.Duration {
	t.Helper()
	_, err := d.try(ctx, email, password)
	require.ErrorIs(t, err, throttle.ErrSignInDelayed)
	f, ok := fault.From(err)
	require.True(t, ok)
	return f.Details().(interface{ RetryAfter() time.Duration }).RetryAfter()
}

func TestFailuresDelayTheNextAttempt(t *testing.T) {
	t.Parallel()
	d := open(t)
	d.AddUser(t, "ada@example.test", rbac.Scheduler)
	away := rbactest.From(t, "192.0.2.1")
	// Whether the address has an account makes no difference.
	for _, email := range []string{"ada@example.test", "nobody@example.test"} {
		d.fail(t, away, email, 10)
		require.Equal(t, time.Second, d.requireDelayed(t, away, " "+email, rbactest.Password), "the right password is not checked either")
	}
	d.Clock.Advance(time.Second)
	for _, email := range []string{"ada@example.test", "nobody@example.test"} {
		d.fail(t, away, email, 1)
		require.Equal(t, 2*time.Second, d.requireDelayed(t, away, email, rbactest.Password))
	}
	require.Contains(t, d.Log.String(), "reason=delayed")
	d.Clock.Advance(2 * time.Second)
	_, err := d.try(away, "ada@example.test", rbactest.Password)
	require.NoError(t, err)
	d.fail(t, away, "ada@example.test", 10)

	var kept []string
	require.NoError(t, d.Read(t, &kept, "SELECT f::text FROM sign_in_failures f"))
	require.NotEmpty(t, kept)
	for _, row := range kept {
		require.NotContains(t, row, "example.test")
	}
	d.Clock.Advance(25 * time.Hour)
	d.RunSweep(t)
	kept = nil
	require.NoError(t, d.Read(t, &kept, "SELECT f::text FROM sign_in_failures f"))
	require.Empty(t, kept)
}

// TestRefusedSignInsAreLoggedWithTheNetworkAddress: an operator can block an address from the log.
func TestRefusedSignInsAreLoggedWithTheNetworkAddress(t *testing.T) {
	t.Parallel()
	d := open(t)
	d.AddUser(t, "ada@example.test", rbac.Scheduler)
	d.fail(t, rbactest.From(t, "192.0.2.1"), "ada@example.test", 10)
	d.requireDelayed(t, rbactest.From(t, "192.0.2.1"), "ada@example.test", rbactest.Password)
	d.fail(t, rbactest.From(t, "192.0.2.2"), "nobody@example.test", 1)
	_, err := d.Sessions.Refresh(rbactest.From(t, "192.0.2.3"), "omr_nonsense")
	require.ErrorIs(t, err, session.ErrRefreshRefused)
	for _, refused := range []struct{ event, reason, address string }{
		{"sign_in_refused", "password", "192.0.2.1"},
		{"sign_in_refused", "delayed", "192.0.2.1"},
		{"sign_in_refused", "unknown", "192.0.2.2"},
		{"refresh_refused", "unknown", "192.0.2.3"},
	} {
		require.True(t, slices.ContainsFunc(strings.Split(d.Log.String(), "\n"), func(line string) bool {
			return strings.Contains(line, refused.event) && strings.Contains(line, "reason="+refused.reason) &&
				strings.Contains(line, "address="+refused.address)
		}), "%v in\n%s", refused, d.Log)
	}
}

// TestFailuresOfOneNetworkDelayNoOther fails for days from one network.
func TestFailuresOfOneNetworkDelayNoOther(t *testing.T) {
	t.Parallel()
	d := open(t)
	d.AddUser(t, "ada@example.test", rbac.Scheduler)
	stranger := rbactest.From(t, "2001:db8:1:2::1")
	d.fail(t, stranger, "ada@example.test", 10)
	for range 20 {
		wait := d.requireDelayed(t, rbactest.From(t, "2001:db8:1:2:3::4"), "ada@example.test", rbactest.Password) // the same /64
		_, err := d.try(rbactest.From(t, "2001:db8:1:3::1"), "ada@example.test", rbactest.Password)
		require.NoError(t, err, "from an unknown network")
		d.Clock.Advance(wait)
		d.fail(t, stranger, "ada@example.test", 1)
	}
	require.Equal(t, 15*time.Minute, d.requireDelayed(t, stranger, "ada@example.test", rbactest.Password))
}

// TestADeviceThatHasSignedInBeforeIsNotLockedOutByItsNetwork: the attacker is in the same network
// as the user.
// forged returns the token with another character in its middle. The last ones may carry no bits.
func forged(token string) string {
	at, other := len(token)/2, "A"
	if token[at] == 'A' {
		other = "B"
	}
	return token[:at] + other + token[at+1:]
}

func TestADeviceThatHasSignedInBeforeIsNotLockedOutByItsNetwork(t *testing.T) {
	t.Parallel()
	d := open(t)
	d.AddUser(t, "ada@example.test", rbac.Scheduler)
	d.AddUser(t, "bea@example.test", rbac.Scheduler)
	clinic := rbactest.From(t, "198.51.100.7")
	signed, err := d.try(clinic, "ada@example.test", rbactest.Password)
	require.NoError(t, err)
	device := withDevice(clinic, signed.Device)
	bea, err := d.try(clinic, "bea@example.test", rbactest.Password)
	require.NoError(t, err)

	d.fail(t, clinic, "ada@example.test", 10)
	d.requireDelayed(t, clinic, "ada@example.test", rbactest.Password)
	again, err := d.try(device, "ADA@example.test", rbactest.Password)
	require.NoError(t, err)
	_, err = d.try(withDevice(rbactest.From(t, "203.0.113.5"), again.Device), "ada@example.test", rbactest.Password)
	require.NoError(t, err, "the device is recognized in any network")
	d.requireDelayed(t, clinic, "ada@example.test", rbactest.Password)

	for name, token := range map[string]string{
		"another user's device": bea.Device, "a forged token": forged(again.Device), "nonsense": "omd_x",
		"another token": signed.Refresh,
	} {
		d.requireDelayed(t, withDevice(clinic, token), "ada@example.test", rbactest.Password)
		require.NotEmpty(t, token, name)
	}
	t.Run("it has its own count in every network", func(t *testing.T) {
		d.fail(t, device, "ada@example.test", 10)
		ctx := withDevice(rbactest.From(t, "203.0.113.5"), again.Device)
		require.Equal(t, time.Second, d.requireDelayed(t, ctx, "ada@example.test", rbactest.Password))
		_, err := d.try(rbactest.From(t, "203.0.113.5"), "ada@example.test", rbactest.Password)
		require.NoError(t, err)
	})
	t.Run("it is recognized after a rotation of the secret", func(t *testing.T) {
		_, err := d.WithSecrets([]byte("another secret of 32 bytes, yes!"), []byte(rbactest.Secret)).
			SignIns.SignIn(device, signin.Request{Email: "ada@example.test", Password: "not the password", DeviceToken: signed.Device})
		require.ErrorIs(t, err, signin.ErrWrongCredentials)
	})
	t.Run("until half a year has passed without a sign-in", func(t *testing.T) {
		d.Clock.Advance(180 * 24 * time.Hour)
		d.fail(t, clinic, "ada@example.test", 10)
		d.requireDelayed(t, device, "ada@example.test", rbactest.Password)
	})
}

// TestAnAdministratorLiftsALock: in their own organization, recorded in the trail, and only for
// users who hold no more permissions than they do.
func TestAnAdministratorLiftsALock(t *testing.T) {
	t.Parallel()
	d := open(t)
	ada, boss := d.AddUser(t, "ada@example.test", rbac.Scheduler), d.AddUser(t, "boss@example.test", rbac.Admin)
	office := rbactest.From(t, "198.51.100.7")
	d.fail(t, office, "ada@example.test", 10)
	d.requireDelayed(t, office, "ada@example.test", rbactest.Password)
	d.fail(t, office, "nobody@example.test", 10)

	require.ErrorIs(t, d.SignIns.Unlock(d.As(t, ada), boss.ID), identity.ErrForbidden)
	require.ErrorIs(t, d.SignIns.Unlock(d.As(t, boss), rbactest.NewID()), rbac.ErrUserNotFound)
	elsewhere := identity.With(t.Context(), identity.Caller{UserID: boss.ID, OrganizationID: d.AddOrganization(t)})
	require.ErrorIs(t, d.SignIns.Unlock(elsewhere, ada.ID), identity.ErrUnauthenticated)
	d.requireDelayed(t, office, "ada@example.test", rbactest.Password)

	require.NoError(t, d.SignIns.Unlock(d.As(t, boss), ada.ID))
	d.requireDelayed(t, office, "nobody@example.test", rbactest.Password)
	d.fail(t, office, "ada@example.test", 9)
	_, err := d.try(office, "ada@example.test", rbactest.Password)
	require.NoError(t, err)
	d.fail(t, office, "ada@example.test", 10)
	d.requireDelayed(t, office, "ada@example.test", rbactest.Password)
}

// TestAnswersDoNotRevealWhichAccountsExist makes the same attempts at an address with an account and
// at one without, from several networks and devices, while the account's user signs in on their own
// device. Each answer is the same for both addresses.
func TestAnswersDoNotRevealWhichAccountsExist(t *testing.T) {
	t.Parallel()
	d := open(t)
	d.AddUser(t, "known0@example.test", rbac.Scheduler)
	d.AddUser(t, "eve@example.test", rbac.Scheduler)
	evesDevice := d.signed(t, t.Context(), "eve@example.test").Device
	run := 0
	rapid.Check(t, func(r *rapid.T) {
		run++
		known, unknown := fmt.Sprintf("known%d@example.test", run), fmt.Sprintf("unknown%d@example.test", run)
		d.AddUser(t, known, rbac.Scheduler)
		home := withDevice(rbactest.From(t, "198.51.100.1"), d.signed(t, rbactest.From(t, "198.51.100.1"), known).Device)
		networks := []string{"192.0.2.1", "198.51.100.1", "2001:db8:1:2::1", "2001:db8:1:2::2", ""}
		devices := []string{"", evesDevice, "omd_AAAA"}
		answer := func(ctx context.Context, email string) string {
			_, err := d.try(ctx, email, "not the password")
			f, ok := fault.From(err)
			require.True(t, ok, "%v", err)
			return fmt.Sprintf("%s %s %v", f.Code(), f.Error(), f.Details())
		}
		for range rapid.IntRange(1, 4).Draw(r, "rounds") {
			network, device := rapid.SampledFrom(networks).Draw(r, "network"), rapid.SampledFrom(devices).Draw(r, "device")
			ctx := withDevice(rbactest.From(t, network), device)
			for range rapid.SampledFrom([]int{1, 3, 9, 11}).Draw(r, "attempts") {
				require.Equal(t, answer(ctx, unknown), answer(ctx, known))
			}
			switch rapid.IntRange(0, 2).Draw(r, "then") {
			case 0:
				d.Clock.Advance(time.Duration(rapid.IntRange(1, 3000).Draw(r, "milliseconds")) * time.Millisecond)
			case 1:
				d.signed(t, home, known)
			}
		}
	})
}

// TestGuessesWithAStolenTokenDelayThatSignInAlone: the user's other devices keep working.
func TestGuessesWithAStolenTokenDelayThatSignInAlone(t *testing.T) {
	t.Parallel()
	d := open(t)
	ada := d.AddUser(t, "ada@example.test", rbac.Scheduler)
	stolen, mine := d.As(t, ada), d.As(t, ada)
	for range 10 {
		_, err := d.Passwords.Change(stolen, password.Change{Current: "a guess", New: "a-meadow-of-red-clover"})
		require.Equal(t, []string{"currentPassword"}, rbactest.InvalidFields(t, err))
	}
	_, err := d.Passwords.Change(stolen, password.Change{Current: rbactest.Password, New: "a-meadow-of-red-clover"})
	require.ErrorIs(t, err, throttle.ErrSignInDelayed)
	_, err = d.Passwords.Change(mine, password.Change{Current: rbactest.Password, New: "a-meadow-of-red-clover"})
	require.NoError(t, err)
}

// TestAnOutdatedHashIsRenewedAtSignIn: a sign-in replaces hashes with other parameters.
func TestAnOutdatedHashIsRenewedAtSignIn(t *testing.T) {
	t.Parallel()
	d := open(t)
	d.AddUser(t, "ada@example.test", rbac.Scheduler)
	outdated := argon2id.Params{Memory: 32, Iterations: 1, Parallelism: 4, SaltLength: 16, KeyLength: 32}
	hash, err := argon2id.CreateHash(rbactest.Password, &outdated)
	require.NoError(t, err)
	d.Exec(t, "UPDATE users SET password_hash = ?", hash)
	for range 2 {
		d.signed(t, t.Context(), "ada@example.test")
		var kept []string
		require.NoError(t, d.Read(t, &kept, "SELECT password_hash FROM users"))
		require.Contains(t, kept[0], "$m=8,t=1,p=1$")
	}
}

// signed signs a user in.
func (d practice) signed(t testing.TB, ctx context.Context, email string) session.SignedIn {
	t.Helper()
	signed, err := d.try(ctx, email, rbactest.Password)
	require.NoError(t, err)
	return signed
}

// TestManyAttemptsAtOnceAreCounted: concurrent attempts have the same limit as successive ones.
func TestManyAttemptsAtOnceAreCounted(t *testing.T) {
	t.Parallel()
	d := open(t)
	d.AddUser(t, "ada@example.test", rbac.Scheduler)
	const n = 30
	errs := make([]error, n)
	barrier, done := make(chan struct{}), make(chan struct{})
	for i := range n {
		go func() {
			<-barrier
			_, errs[i] = d.try(t.Context(), "ada@example.test", "not the password")
			done <- struct{}{}
		}()
	}
	close(barrier)
	for range n {
		<-done
	}
	looked := 0
	for _, err := range errs {
		if f, _ := fault.From(err); f != nil && f.Code() == "wrong-credentials" {
			looked++
			continue
		}
		require.ErrorIs(t, err, throttle.ErrSignInDelayed)
	}
	require.Equal(t, 10, looked)
}

// TestSignInsWithAnIDDoNotBlockItsUser fails to sign in with a user's id instead of the address.
// The user can still change the password.
func TestSignInsWithAnIDDoNotBlockItsUser(t *testing.T) {
	t.Parallel()
	d := open(t)
	u := d.AddUser(t, "ada@example.test", rbac.Scheduler)
	d.fail(t, rbactest.From(t, "192.0.2.1"), u.ID.String(), 10)
	d.requireDelayed(t, rbactest.From(t, "192.0.2.1"), u.ID.String(), rbactest.Password)

	caller, err := d.Authenticate(t.Context(), d.SignIn(t, u.Email).Token)
	require.NoError(t, err)
	_, err = d.Passwords.Change(identity.With(t.Context(), caller), password.Change{Current: rbactest.Password, New: "a-meadow-of-red-clover"})
	require.NoError(t, err)
}

// TestSignInRefusesLookAlikesOfAnAddress tries texts that lowercasing or trimming could turn into
// an address. Each gets the answer of an unknown address, and has its own count.
func TestSignInRefusesLookAlikesOfAnAddress(t *testing.T) {
	t.Parallel()
	d := open(t)
	d.AddUser(t, "kim@example.test", rbac.Scheduler)
	away := rbactest.From(t, "192.0.2.1")
	for _, text := range []string{
		"\u212aim@example.test", "\u00a0kim@example.test", "kim@example.test\n",
		"k\u0130m@example.test", "not an address",
	} {
		_, err := d.SignIns.SignIn(away, signin.Request{Email: text, Password: rbactest.Password})
		require.ErrorIs(t, err, signin.ErrWrongCredentials, "%q", text)
		d.fail(t, away, text, 9)
		require.Equal(t, time.Second, d.requireDelayed(t, away, text, rbactest.Password), "%q", text)
	}
	_, err := d.SignIns.SignIn(away, signin.Request{Email: "KIM@example.test ", Password: rbactest.Password})
	require.NoError(t, err)
}
