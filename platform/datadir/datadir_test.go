package datadir_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/datadir"
)

func TestTheDefaultDataFolder(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		system     string
		root       bool
		home, data string
		want       string
	}{
		"it is the system's folder for root": {"linux", true, "/root", "/x", "/var/lib/omnirapeutic"},
		"it is the user's folder":            {"linux", false, "/home/ann", "", "/home/ann/.local/share/omnirapeutic"},
		"it is the user's XDG data folder":   {"linux", false, "/home/ann", "/data", "/data/omnirapeutic"},
		"it ignores a relative folder":       {"linux", false, "/home/ann", "data", "/home/ann/.local/share/omnirapeutic"},
		"it is Application Support on macOS": {
			"darwin", false, "/Users/ann", "", "/Users/ann/Library/Application Support/omnirapeutic",
		},
		"it is empty for a user without a home": {"linux", false, "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := datadir.Default(c.system, c.root, func(name string) string {
				return map[string]string{"HOME": c.home, "XDG_DATA_HOME": c.data}[name]
			})
			require.Equal(t, c.want, got)
			require.Equal(t, c.want == "", err != nil)
		})
	}
}
