package datadir_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/datadir"
)

func TestSpaceOfAFolderThatDoesNotExistIsThatOfItsParent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	existing, err := datadir.SpaceOf(dir)
	require.NoError(t, err)
	require.Positive(t, existing.Size)
	require.LessOrEqual(t, existing.Free, existing.Size)
	missing, err := datadir.SpaceOf(filepath.Join(dir, "not", "yet"))
	require.NoError(t, err)
	require.Equal(t, existing.Size, missing.Size)
}
