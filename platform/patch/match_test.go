package patch_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/patch"
)

func TestMatch(t *testing.T) {
	t.Parallel()
	for _, matching := range []patch.Match{"", "*", `"7"`, `"6", "7"`, `"7","8"`} {
		require.NoError(t, matching.Check(7), "%s", matching)
	}
	for _, stale := range []patch.Match{`"6"`, `W/"7"`, `7`, `"77"`, `"6", "8"`, `nonsense`} {
		err := stale.Check(7)
		require.ErrorIs(t, err, patch.ErrStale, "%s", stale)
		refusal, _ := fault.From(err)
		require.Equal(t, patch.Current{CurrentVersion: 7}, refusal.Details())
	}
}
