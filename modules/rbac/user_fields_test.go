package rbac

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestEmailAddressesAreComparedWithoutCase(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"admin@demo.test":       "admin@demo.test",
		"Admin@DEMO.Test":       "admin@demo.test",
		"O'Brien+aba@x-y.test":  "o'brien+aba@x-y.test",
		"a@" + long(61) + ".de": "a@" + long(61) + ".de",
	} {
		address, ok := ParseEmail(text)
		require.True(t, ok, text)
		require.Equal(t, want, address)
	}
}

func TestLookAlikesOfAnEmailAddressAreRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "admin", "admin@demo", "@demo.test", "admin@demo.test ", " admin@demo.test", "admin@demo.test\u00a0", "\u00a0admin@demo.test",
		"admin@demo.test\n", "\tadmin@demo.test", "admin@demo.test\x00", "adm\u0130n@demo.test", "adm\u0131n@demo.test", "\u212Ate@demo.test",
		"te\u017Ft@demo.test", "\uff41dmin@demo.test", "admin@d\u0435mo.test", "admin\u200b@demo.test", "admin@demo.test,other@demo.test",
		"Admin <admin@demo.test>", strings.Repeat("a", 250) + "@x.de",
	} {
		_, ok := ParseEmail(text)
		require.False(t, ok, "%q", text)
	}
}

// TestOnlyCaseDiffersBetweenAddressesThatAreTheSame draws pairs of texts from letters with the same
// case folding.
func TestOnlyCaseDiffersBetweenAddressesThatAreTheSame(t *testing.T) {
	t.Parallel()
	letters := []rune("aAiIkKsS\u0130\u0131\u212A\u017F \u00a0.")
	text := rapid.Custom(func(t *rapid.T) string {
		return string(rapid.SliceOfN(rapid.SampledFrom(letters), 1, 3).Draw(t, "letters")) + "@demo.test"
	})
	rapid.Check(t, func(t *rapid.T) {
		one, other := text.Draw(t, "one"), text.Draw(t, "other")
		a, okA := ParseEmail(one)
		b, okB := ParseEmail(other)
		if !okA || !okB || a != b {
			return
		}
		require.Len(t, other, len(one))
		for i := range len(one) {
			x, y := one[i], other[i]
			require.True(t, x == y || x^y == 'a'-'A' && x < 0x80 && y < 0x80, "%q and %q", one, other)
		}
	})
}

func long(n int) string { return strings.Repeat("x", n) }
