package programname

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMessagesNameTheTypedCommand(t *testing.T) {
	installed := filepath.Join(t.TempDir(), "omnirapeutic")
	require.NoError(t, os.WriteFile(installed, nil, 0o755))
	cached := "/srv/cache/dc/" + strings.Repeat("0f", 32) + "-d/omnirapeutic"
	t.Setenv("PATH", filepath.Dir(installed))
	for typed, test := range map[string]struct{ argument, executable, want string }{
		"go run .": {
			"/tmp/go-build123/b001/exe/omnirapeutic", "/tmp/go-build123/b001/exe/omnirapeutic", "go run .",
		},
		"go run . from a cache": {cached, cached, "go run ."},
		"omnirapeutic":          {"omnirapeutic", installed, "omnirapeutic"},
		"its whole path":        {installed, installed, "omnirapeutic"},
		"./omnirapeutic":        {"./omnirapeutic", "/srv/omnirapeutic", "./omnirapeutic"},
		"another name":          {"bin/omni", "/srv/bin/omni", "bin/omni"},
	} {
		require.Equal(t, test.want, name(test.argument, test.executable), typed)
	}
}
