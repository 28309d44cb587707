package main

import (
	"strings"
	"testing"
)

func TestTheTimeAndTheToolsChecksumsAreRemoved(t *testing.T) {
	const document = `{
		"bomFormat": "CycloneDX",
		"metadata": {
			"timestamp": "2026-01-01T00:00:00Z", "component": {"hashes": [1]},
			"tools": {"components": [{"name": "tool", "hashes": [{"content": "0f"}]}]}
		},
		"components": [{"name": "b", "hashes": [2]}]
	}`
	var out strings.Builder
	if err := convert(strings.NewReader(document), &out); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	if strings.Contains(text, "2026") || strings.Contains(text, "0f") || strings.Count(text, "hashes") != 2 {
		t.Error(text)
	}
	for _, invalid := range []string{"", "{}", `{"bomFormat": "CycloneDX", "metadata": {}}`} {
		if err := convert(strings.NewReader(invalid), &out); err == nil {
			t.Errorf("%q is accepted", invalid)
		}
	}
}
