package patch_test

import (
	"fmt"
	"math"
	"strings"
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

// TestMatchReportsInvalidHeaders checks that an invalid header is not reported as a
// concurrent change.
func TestMatchReportsInvalidHeaders(t *testing.T) {
	t.Parallel()
	for _, wrong := range []patch.Match{`7`, `nonsense`, `W/"7"`, `W/"7", W/"8"`, `'7'`, `"`} {
		require.EqualError(t, wrong.Check(7),
			`If-Match has no valid version: send the ETag of an answer, in quotes and without W/. The current version is "7".`,
			"%s", wrong)
	}
	for _, stale := range []patch.Match{`"6"`, `W/"7", "6"`, `"6", nonsense`} {
		require.EqualError(t, stale.Check(7),
			"This record was changed by another user in the meantime. Its current version is 7.", "%s", stale)
	}
}

// FuzzMatch compares If-Match with the grammar of entity tags. It must match exactly if
// it is for any version or contains the strong tag of the version.
func FuzzMatch(f *testing.F) {
	for _, seed := range []string{
		"", "*", `"7"`, `"6", "7"`, `W/"7"`, `"7`, ",", `"7",`, "\"7\"\t, \"8\"", `"07"`, `"-7"`, "\xff",
	} {
		f.Add(seed, 7)
	}
	f.Add(`"-9223372036854775808"`, math.MinInt)
	f.Fuzz(func(t *testing.T, header string, version int) {
		meant := header == "" || header == "*"
		for _, tag := range strings.Split(header, ",") {
			meant = meant || strings.TrimSpace(tag) == fmt.Sprintf(`"%d"`, version)
		}
		err := patch.Match(header).Check(version)
		if meant {
			require.NoError(t, err)
			return
		}
		require.ErrorIs(t, err, patch.ErrStale)
		refusal, _ := fault.From(err)
		require.Equal(t, patch.Current{CurrentVersion: version}, refusal.Details())
	})
}
