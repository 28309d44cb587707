package app_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDocumentsNameTestsThatExist checks the test names in the documents.
func TestDocumentsNameTestsThatExist(t *testing.T) {
	t.Parallel()
	defined := map[string]bool{}
	function := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == ".git"):
			return fs.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		for _, found := range function.FindAllSubmatch(text, -1) {
			defined[string(found[1])] = true
		}
		return err
	})
	require.NoError(t, err)
	for _, document := range []string{"../docs/threats.md", "../docs/safeguards.md"} {
		text, err := os.ReadFile(document)
		require.NoError(t, err)
		named := regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(string(text), -1)
		require.Greater(t, len(named), 15, document)
		for _, name := range named {
			require.True(t, defined[name[1]], "%s names %s, which does not exist", document, name[1])
		}
	}
	t.Run("every row of the threats names one", func(t *testing.T) {
		t.Parallel()
		text, err := os.ReadFile("../docs/threats.md")
		require.NoError(t, err)
		rows := 0
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| tries") && !strings.HasPrefix(line, "| ---") {
				rows++
				require.Contains(t, line, "`Test", line)
			}
		}
		require.Greater(t, rows, 20)
	})
}
