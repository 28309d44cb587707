package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const folder = "../../../deploy/kubernetes"

func TestManifestsAreValid(t *testing.T) {
	if err := check(folder); err != nil {
		t.Error(err)
	}
}

// TestAnOverlayReplacesTheImage builds the overlay that docs/operations.md shows.
func TestAnOverlayReplacesTheImage(t *testing.T) {
	text, err := os.ReadFile("../../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```yaml\n# kustomization.yaml\n")
	overlay, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("the documentation has no overlay")
	}
	dir := t.TempDir()
	base := filepath.Join(dir, "omnirapeutic/deploy/kubernetes")
	if err := os.CopyFS(base, os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	clinic := filepath.Join(dir, "clinic")
	if err := os.Mkdir(clinic, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(clinic, kustomization), []byte(overlay), 0o600); err != nil {
		t.Fatal(err)
	}
	objects, err := build(clinic)
	if err != nil {
		t.Fatal(err)
	}
	images := 0
	for _, o := range objects {
		images += strings.Count(string(o), "image: registry.clinic.example/omnirapeutic:1.2.3")
	}
	if images != 2 { // the server's and the migration's
		t.Errorf("%d images are replaced", images)
	}
}

func TestFaultsAreFound(t *testing.T) {
	for name, c := range map[string]struct{ file, from, to, says string }{
		"a misspelled field":      {"deployment.yaml", "replicas: 2", "replica: 2", `unknown field "spec.replica"`},
		"a field of another type": {"service.yaml", "port: 80", "port: http", "port"},
		"a misplaced field":       {"migration.yaml", "backoffLimit: 3", "restartPolicy: Never", `"spec.restartPolicy"`},
		"an unknown version":      {"disruption-budget.yaml", "policy/v1", "policy/v1beta1", "no kind"},
		"a file that is not named": {
			"kustomization.yaml", "  - network-policy.yaml\n", "", "does not name network-policy.yaml",
		},
		"a pod that may run as root": {"deployment.yaml", "runAsNonRoot: true", "runAsNonRoot: false", "root"},
		"a secret that all can read": {"migration.yaml", "0440", "0444", "every user can read secrets"},
		"a writable root": {
			"deployment.yaml", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "privileges",
		},
		"a probe that would restart": {
			"deployment.yaml", "livenessProbe:\n            httpGet: {path: /healthz",
			"livenessProbe:\n            httpGet: {path: /readyz", "restart",
		},
		"a missing namespace": {"kustomization.yaml", "  - namespace.yaml\n", "", "Namespace"},
		"a token that is not needed": {
			"migration.yaml", "automountServiceAccountToken: false", "automountServiceAccountToken: true", "token",
		},
		"a missing memory limit": {"migration.yaml", "limits: {memory: 256Mi}", "limits: {}", "memory limit"},
		"variables of services":  {"migration.yaml", "enableServiceLinks: false", "enableServiceLinks: true", "variables"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(folder)); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, c.file)
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			changed := strings.Replace(string(text), c.from, c.to, 1)
			if changed == string(text) {
				t.Fatalf("%s has no %q", c.file, c.from)
			}
			if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := check(dir); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v", err)
			}
		})
	}
}
