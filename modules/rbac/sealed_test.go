package rbac

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestWhatIsSealed(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text, about := rapid.SliceOf(rapid.Byte()).Draw(t, "text"), rapid.SliceOf(rapid.Byte()).Draw(t, "about")
		s := newSealer([]byte("one secret"), "one purpose")
		sealed := s.seal(text, about)
		opened, err := s.open(sealed, about)
		require.NoError(t, err)
		require.Equal(t, string(text), string(opened))
		require.NotEqual(t, sealed, s.seal(text, about), "nobody can tell that two are the same")

		at, bit := rapid.IntRange(0, len(sealed)-1).Draw(t, "byte"), rapid.IntRange(0, 7).Draw(t, "bit")
		changed := append([]byte{}, sealed...)
		changed[at] ^= 1 << bit
		for _, test := range []struct {
			s      sealer
			sealed []byte
			about  []byte
		}{
			{s, changed, about}, {s, sealed[:at], about}, {s, sealed, append([]byte{1}, about...)},
			{newSealer([]byte("another secret"), "one purpose"), sealed, about}, {newSealer([]byte("one secret"), "another purpose"), sealed, about},
		} {
			_, err := test.s.open(test.sealed, test.about)
			require.ErrorIs(t, err, errSeal)
		}
	})
}
