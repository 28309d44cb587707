package apiversion_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/apiversion"
)

func TestVersionsAreDatesFromTheNewestToTheOldest(t *testing.T) {
	t.Parallel()
	known := apiversion.Known()
	for i, v := range apiversion.Versions() {
		_, err := time.Parse(time.DateOnly, v.Version)
		require.NoError(t, err)
		require.True(t, v.Released || i == 0, "only the newest version is unreleased")
		require.NotEmpty(t, v.Changes)
		for _, c := range v.Changes {
			require.Contains(t, []string{"added", "changed", "deprecated", "removed"}, c.Kind)
			require.NotEmpty(t, c.Description)
		}
	}
	slices.Reverse(known)
	require.True(t, slices.IsSorted(known))
	require.Equal(t, known[0], apiversion.Default())
	require.True(t, apiversion.IsKnown(known[0]))
	require.False(t, apiversion.IsKnown("2000-01-01"))
}

func TestTheDefaultIsReadWithoutAllocations(t *testing.T) {
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if !apiversion.IsKnown(apiversion.Default()) {
			t.Error("the default is a known version")
		}
	}))
}
