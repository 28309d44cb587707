package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const folder = "../../../deploy/container"

func TestTheComposeFileIsValid(t *testing.T) {
	if err := check(filepath.Join(folder, "compose.yaml")); err != nil {
		t.Error(err)
	}
}

func TestFaultsAreFound(t *testing.T) {
	for name, c := range map[string]struct{ from, to, says string }{
		"a misspelled key":        {"read_only: true", "readonly: true", "readonly"},
		"an unknown secret":       {"secrets: [database_url, token_secret]", "secrets: [database_url, token]", "token"},
		"a service that is root":  {`user: "65532:65532"`, `user: "0:0"`, "privileges"},
		"an address of all":       {"127.0.0.1:8080:8080", "8080:8080", "other machines"},
		"an unknown dependency":   {"migrate: {condition", "migration: {condition", "migration"},
		"a file that is missing":  {"create-roles.sh:/docker", "roles.sh:/docker", "roles.sh"},
		"a service that is gone":  {"image: ${OMNI_IMAGE:-localhost/omnirapeutic:latest}", "image: other", "migrates"},
		"a network that is wrong": {"networks: [inside]", "networks: [within]", "within"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(folder)); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "compose.yaml")
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			changed := strings.Replace(string(text), c.from, c.to, 1)
			if changed == string(text) {
				t.Fatalf("the file has no %q", c.from)
			}
			if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := check(path); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v", err)
			}
		})
	}
}
