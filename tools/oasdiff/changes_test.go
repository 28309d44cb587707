package oasdiff_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/tools/oasdiff"
)

func read(t *testing.T) (document []byte, versions []oasdiff.Version) {
	t.Helper()
	document, err := os.ReadFile("../../app/openapi.json")
	require.NoError(t, err)
	raw, err := os.ReadFile("../../platform/apiversion/changelog.json")
	require.NoError(t, err)
	var changelog struct{ Versions []oasdiff.Version }
	require.NoError(t, json.Unmarshal(raw, &changelog))
	require.NotEmpty(t, changelog.Versions)
	return document, changelog.Versions
}

// TestEachChangeSinceTheReleaseIsInTheChangelog compares the document with the newest released one.
func TestEachChangeSinceTheReleaseIsInTheChangelog(t *testing.T) {
	document, versions := read(t)
	last := ""
	for _, v := range versions {
		file := filepath.Join("../../app/released", v.Version+".json")
		_, err := os.Stat(file)
		require.Equal(t, v.Released, err == nil, "%s: a released version has a document, and only a released one", file)
		if v.Released && last == "" {
			last = v.Version
		}
	}
	if last == "" {
		t.Skip("no version is released yet")
	}
	released, err := os.ReadFile(filepath.Join("../../app/released", last+".json"))
	require.NoError(t, err)
	unlisted, err := oasdiff.Unlisted(released, document, versions, last)
	require.NoError(t, err)
	require.Empty(t, unlisted, "add an entry for each to platform/apiversion/changelog.json")
}

func TestAChangeNeedsAnEntry(t *testing.T) {
	document, _ := read(t)
	renamed := bytes.ReplaceAll(document, []byte(`"deviceToken"`), []byte(`"deviceMark"`))
	require.NotEqual(t, document, renamed)
	entry := func(operations ...string) []oasdiff.Version {
		return []oasdiff.Version{{Version: "2028-01-01", Changes: []struct{ Operations []string }{{operations}}}}
	}
	for name, test := range map[string]struct {
		current  []byte
		versions []oasdiff.Version
		missing  bool
	}{
		"no change":                    {document, nil, false},
		"a change without an entry":    {renamed, nil, true},
		"entries for other operations": {renamed, entry("GET /auth/me", "POST /appointments"), true},
	} {
		unlisted, err := oasdiff.Unlisted(document, test.current, test.versions, "2027-01-15")
		require.NoError(t, err, name)
		require.Equal(t, test.missing, len(unlisted) > 0, "%s: %v", name, unlisted)
	}
	unlisted, err := oasdiff.Unlisted(document, renamed, entry("POST /auth/login"), "2027-01-15")
	require.NoError(t, err)
	for _, change := range unlisted {
		require.NotContains(t, change, "POST /auth/login: ", "its entry is there")
	}
}
