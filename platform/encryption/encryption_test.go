package encryption_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"omnirapeutic/platform/encryption"
)

func TestSealAndOpen(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text, about := rapid.SliceOf(rapid.Byte()).Draw(t, "text"), rapid.SliceOf(rapid.Byte()).Draw(t, "about")
		s := encryption.New("one purpose", []byte("one secret"))
		sealed := s.Seal(text, about)
		opened, err := s.Open(sealed, about)
		require.NoError(t, err)
		require.Equal(t, string(text), string(opened))
		require.NotEqual(t, sealed, s.Seal(text, about), "equal texts have different ciphertexts")

		rotated := encryption.New("one purpose", []byte("another secret"), []byte("one secret"))
		opened, err = rotated.Open(sealed, about)
		require.NoError(t, err, "text sealed with a former secret")
		require.Equal(t, string(text), string(opened))

		at, bit := rapid.IntRange(0, len(sealed)-1).Draw(t, "byte"), rapid.IntRange(0, 7).Draw(t, "bit")
		changed := append([]byte{}, sealed...)
		changed[at] ^= 1 << bit
		for _, test := range []struct {
			s      encryption.Sealer
			sealed []byte
			about  []byte
		}{
			{s, changed, about},
			{s, sealed[:at], about},
			{s, sealed, append([]byte{1}, about...)},
			{encryption.New("one purpose", []byte("another secret")), sealed, about},
			{encryption.New("another purpose", []byte("one secret")), sealed, about},
		} {
			_, err := test.s.Open(test.sealed, test.about)
			require.ErrorIs(t, err, encryption.ErrSeal)
		}
	})
}
