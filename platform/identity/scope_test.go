package identity_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/identity"
)

func TestAScopeIsASet(t *testing.T) {
	t.Parallel()
	both := identity.Caseload | identity.Self
	require.Equal(t, "CASELOAD+SELF", both.String())
	require.Empty(t, identity.Scope(0).String())
	require.True(t, both.Has(identity.Self))
	require.False(t, both.Has(identity.Self|identity.Child))
	require.True(t, identity.Organization.Covers(both), "everything")
	require.True(t, both.Covers(identity.Caseload))
	require.False(t, both.Covers(identity.Organization))
	require.False(t, both.Covers(identity.Child))
}

func TestAScopeByItsName(t *testing.T) {
	t.Parallel()
	for _, s := range identity.Scopes() {
		parsed, err := identity.ParseScope(s.String())
		require.NoError(t, err)
		require.Equal(t, s, parsed)
	}
	for _, name := range []string{"", "organization", "CASELOAD+SELF"} {
		_, err := identity.ParseScope(name)
		require.ErrorContains(t, err, "ORGANIZATION CASELOAD SELF CHILD")
	}
}

func TestCallerHoldsPermissionsWithAnyScope(t *testing.T) {
	t.Parallel()
	c := identity.Caller{Permissions: map[identity.Permission]identity.Scope{"thing:read": identity.Self, "thing:none": 0}}
	require.NoError(t, c.Require("thing:read"), "for any scope; it determines the records")
	require.Equal(t, identity.Self, c.Scope("thing:read"))
	for _, p := range []identity.Permission{"thing:none", "thing:change"} {
		require.ErrorIs(t, c.Require(p), identity.ErrForbidden)
		require.False(t, c.Holds(p))
	}
}
