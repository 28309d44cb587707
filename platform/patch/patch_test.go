package patch_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/patch"
)

func TestMergePatch(t *testing.T) {
	t.Parallel()
	type document struct {
		Units patch.Field[int]        `json:"units"`
		Notes patch.Clearable[string] `json:"notes"`
	}
	read := func(t *testing.T, text string) (document, error) {
		t.Helper()
		var d document
		return d, json.Unmarshal([]byte(text), &d)
	}
	units, notes := 5, new("old")
	apply := func(d document) (int, *string) {
		u, n := units, notes
		d.Units.Apply(&u)
		d.Notes.Apply(&n)
		return u, n
	}

	t.Run("it leaves an absent field alone", func(t *testing.T) {
		t.Parallel()
		d, err := read(t, `{}`)
		require.NoError(t, err)
		u, n := apply(d)
		require.Equal(t, 5, u)
		require.Equal(t, "old", *n)
		require.Nil(t, d.Units.Checked())
		require.Nil(t, d.Notes.Checked())
	})
	t.Run("it sets what is given, zero included", func(t *testing.T) {
		t.Parallel()
		d, err := read(t, `{"units": 0, "notes": ""}`)
		require.NoError(t, err)
		u, n := apply(d)
		require.Zero(t, u)
		require.Empty(t, *n)
		require.Equal(t, 0, d.Units.Checked())
		require.Empty(t, d.Notes.Checked())
	})
	t.Run("it clears with null what can be cleared", func(t *testing.T) {
		t.Parallel()
		d, err := read(t, `{"notes": null}`)
		require.NoError(t, err)
		_, n := apply(d)
		require.Nil(t, n)
		require.Nil(t, d.Notes.Checked())
	})
	t.Run("it refuses null where there must be a value", func(t *testing.T) {
		t.Parallel()
		_, err := read(t, `{"units": null}`)
		require.ErrorIs(t, err, patch.ErrNull)
	})
}
