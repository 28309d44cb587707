package version

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAReleaseReportsItsStamp(t *testing.T) {
	require.NotEmpty(t, Version())
	require.NotEmpty(t, Revision())
	stamped, revision = "v1.2.3", "0123abcd"
	t.Cleanup(func() { stamped, revision = "", "" })
	require.Equal(t, "v1.2.3", Version())
	require.Equal(t, "0123abcd", Revision())
}
