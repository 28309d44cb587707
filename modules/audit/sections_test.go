package audit

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSectionsCoverEveryPositionOnce(t *testing.T) {
	t.Parallel()
	for _, last := range []int64{0, 1, sectionLength, sectionLength + 1, 7 * sectionLength} {
		var after int64
		for _, s := range sectionsOf(0, last) {
			require.Equal(t, after, s.after)
			require.Greater(t, s.last, s.after)
			after = s.last
		}
		require.EqualValues(t, math.MaxInt64, after, "later links belong to the last section")
		require.LessOrEqual(t, int64(len(sectionsOf(0, last))-1)*sectionLength, last)
	}
}
