package user_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/rbactest"
	"omnirapeutic/modules/rbac/user"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/patch"
)

// TestChangedNamesReachAllInstances changes a name that both instances have read.
func TestChangedNamesReachAllInstances(t *testing.T) {
	t.Parallel()
	p := open(t)
	first := p.Practice.Run(t)
	second := first.SecondInstance(t).Run(t)
	admin := first.AddUser(t, "admin@example.test", rbac.Admin)
	u := first.AddUser(t, "ada@example.test", rbac.Scheduler)
	as := first.As(t, u)
	nameAt := func(d rbactest.Practice) string {
		me, err := d.Sessions.Me(as)
		require.NoError(t, err)
		return me.Name
	}
	before := nameAt(first)
	require.Equal(t, before, nameAt(second))
	_, err := first.Users.Change(first.As(t, admin), user.Change{ID: u.ID, Name: patch.Field[string]{Given: true, Value: "Ada Byron"}})
	require.NoError(t, err)
	require.Equal(t, "Ada Byron", nameAt(first), "immediately at the instance of the change")
	require.Eventually(t, func() bool { return nameAt(second) == "Ada Byron" }, rbactest.Soon, time.Millisecond)

	first.Exec(t, "UPDATE users SET name = 'Unannounced' WHERE id = ?", u.ID)
	require.Equal(t, "Ada Byron", nameAt(first), "it is read from memory")
	alone := first.SecondInstance(t) // it does not hear of changes
	require.Equal(t, "Unannounced", nameAt(alone))
	first.Exec(t, "UPDATE users SET name = 'Again' WHERE id = ?", u.ID)
	require.Equal(t, "Again", nameAt(alone), "without the changes of others, nothing is cached")
	elsewhere := identity.Caller{UserID: u.ID, OrganizationID: first.AddOrganization(t)}
	_, err = first.Sessions.Me(identity.With(t.Context(), elsewhere))
	require.ErrorIs(t, err, identity.ErrUnauthenticated)
}
