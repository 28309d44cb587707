package app_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A rule lists forbidden imports for files. Paths and the module's own imports are
// relative to the module's root.
type rule struct {
	it      string
	applies func(file string) bool
	forbids func(file, imported string) bool
}

func under(dir string) func(string) bool {
	return func(p string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }
}

func module(p string) string {
	parts := strings.SplitN(p, "/", 3)
	if len(parts) > 1 && parts[0] == "modules" {
		return parts[1]
	}
	return ""
}

// directions lists, for each module, the modules that it may import. Nothing calls back: a module
// that is imported here must not call the other one, not even through an interface.
var directions = map[string][]string{
	"appointments": {"authorization", "directory"},
	"billing":      {"appointments", "authorization", "directory"},
}

func isGorm(imported string) bool { return strings.HasPrefix(imported, "gorm.io/") }
func isEcho(imported string) bool { return strings.HasPrefix(imported, "github.com/labstack/echo") }
func isPgx(imported string) bool  { return strings.HasPrefix(imported, "github.com/jackc/pgx") }
func isDatabase(imported string) bool {
	return isGorm(imported) || isPgx(imported) || imported == "database/sql"
}

func named(file, prefix string) bool { return strings.HasPrefix(path.Base(file), prefix) }

var rules = []rule{
	{
		"lets only main import app",
		func(f string) bool { return !strings.Contains(f, "/") },
		func(_, i string) bool {
			return under("modules")(i) || under("platform")(i) || under("config")(i) || under("bench")(i)
		},
	},
	{
		"lets platform import neither modules nor app nor config",
		under("platform"),
		func(_, i string) bool { return under("modules")(i) || under("app")(i) || under("config")(i) },
	},
	{
		"lets modules import neither app nor config",
		under("modules"),
		func(_, i string) bool { return under("app")(i) || under("config")(i) },
	},
	{
		"lets modules import each other in one direction only",
		under("modules"),
		func(f, i string) bool {
			return under("modules")(i) && module(i) != module(f) && !slices.Contains(directions[module(f)], module(i))
		},
	},
	{
		"lets config import platform only",
		under("config"),
		func(_, i string) bool { return under("modules")(i) || under("app")(i) },
	},
	{
		"lets the load tool use HTTP only",
		under("bench"),
		func(_, i string) bool {
			return under("modules")(i) || under("app")(i) || under("config")(i) ||
				under("platform")(i) && i != "platform/db/portabletest"
		},
	},
	{
		"lets only e2e import its harness",
		func(f string) bool { return !under("e2e")(f) },
		func(_, i string) bool { return under("e2e")(i) },
	},
	{
		"keeps gorm in stores and platform/db",
		func(f string) bool { return !under("platform/db")(f) && !(under("modules")(f) && named(f, "store")) },
		func(_, i string) bool { return isGorm(i) },
	},
	{
		"keeps echo in app, platform/httpx and http files",
		func(f string) bool {
			return !under("app")(f) && !under("platform/httpx")(f) && !(under("modules")(f) && named(f, "http"))
		},
		func(_, i string) bool { return isEcho(i) },
	},
	{
		"keeps pgx in platform/db, platform/postgres and the benchmarks",
		func(f string) bool {
			return !under("platform/db")(f) && !under("platform/postgres")(f) && !under("bench/compare")(f) &&
				!under("bench/conformance")(f)
		},
		func(_, i string) bool { return isPgx(i) },
	},
	{
		"keeps rules free of databases and HTTP",
		func(f string) bool { return named(f, "decide") },
		func(_, i string) bool { return isDatabase(i) || isEcho(i) || i == "net/http" || i == "platform/db" },
	},
}

// vague names do not describe the content of a package or a file.
var vague = []string{"util", "utils", "helper", "helpers", "common", "manager", "misc", "base"}

// violations checks files, given as their paths with their sources.
func violations(files map[string]string) ([]string, error) {
	var found []string
	for file, source := range files {
		for part := range strings.SplitSeq(strings.TrimSuffix(file, ".go"), "/") {
			for _, name := range vague {
				if part == name || strings.HasPrefix(part, name+"_") || strings.HasSuffix(part, "_"+name) {
					found = append(found, file+": the name "+part+" does not describe its content")
				}
			}
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, source, parser.ImportsOnly)
		if err != nil {
			return nil, err
		}
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return nil, err
			}
			imported = strings.TrimPrefix(imported, "omnirapeutic/")
			for _, r := range rules {
				if r.applies(file) && r.forbids(file, imported) {
					found = append(found, fmt.Sprintf("%s imports %s: the architecture %s", file, imported, r.it))
				}
			}
		}
	}
	return found, nil
}

// sources returns the program's own files, without tests, by their paths.
func sources(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	root := os.DirFS("..")
	err := fs.WalkDir(root, ".", func(p string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(p) != ".go" || strings.HasSuffix(p, "_test.go") || under("tools")(p) {
			return err
		}
		content, err := fs.ReadFile(root, p)
		files[p] = string(content)
		return err
	})
	require.NoError(t, err)
	require.Greater(t, len(files), 50, "the whole module is checked")
	return files
}

func TestArchitecture(t *testing.T) {
	t.Parallel()
	found, err := violations(sources(t))
	require.NoError(t, err)
	require.Empty(t, found)
}

// maxFunction is the largest number of lines of a function.
const maxFunction = 60

// longFunctions returns the functions of a file that have too many lines.
func longFunctions(file, source string) ([]string, error) {
	lines := token.NewFileSet()
	parsed, err := parser.ParseFile(lines, file, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, declaration := range parsed.Decls {
		f, ok := declaration.(*ast.FuncDecl)
		if !ok {
			continue
		}
		if n := lines.Position(f.End()).Line - lines.Position(f.Pos()).Line + 1; n > maxFunction {
			found = append(found, fmt.Sprintf("%s: %s has %d lines", file, f.Name.Name, n))
		}
	}
	return found, nil
}

func TestFunctionsHaveAtMost60Lines(t *testing.T) {
	t.Parallel()
	for file, source := range sources(t) {
		found, err := longFunctions(file, source)
		require.NoError(t, err)
		require.Empty(t, found)
	}
	body := strings.Repeat("println()\n", maxFunction-2)
	found, err := longFunctions("x.go", "package x\nfunc short() {\n"+body+"}\nfunc long() {\nprintln()\n"+body+"}\n")
	require.NoError(t, err)
	require.Equal(t, []string{"x.go: long has 61 lines"}, found)
}

func TestArchitectureRulesFire(t *testing.T) {
	t.Parallel()
	for file, imported := range map[string]string{
		"main.go":                         "omnirapeutic/platform/db",
		"platform/db/x.go":                "omnirapeutic/modules/rbac",
		"platform/httpx/x.go":             "omnirapeutic/config",
		"modules/rbac/x.go":               "omnirapeutic/app",
		"modules/rbac/y.go":               "omnirapeutic/modules/directory",
		"modules/authorization/x.go":      "omnirapeutic/modules/appointments",
		"config/x.go":                     "omnirapeutic/app",
		"bench/loadtest/x.go":             "omnirapeutic/platform/db",
		"modules/rbac/service.go":         "gorm.io/gorm",
		"modules/rbac/token.go":           "github.com/labstack/echo/v4",
		"modules/rbac/store.go":           "github.com/jackc/pgx/v5",
		"modules/authorization/decide.go": "database/sql",
		"app/x.go":                        "omnirapeutic/e2e/harness",
		"modules/rbac/utils.go":           "strings",
		"platform/helpers/x.go":           "strings",
	} {
		found, err := violations(map[string]string{file: fmt.Sprintf("package x\nimport _ %q\n", imported)})
		require.NoError(t, err)
		require.NotEmpty(t, found, "%s may not import %s", file, imported)
	}
	for file, imported := range map[string]string{
		"modules/rbac/store_users.go":     "gorm.io/gorm",
		"modules/appointments/service.go": "omnirapeutic/modules/authorization",
		"modules/rbac/http.go":            "github.com/labstack/echo/v4",
		"app/app.go":                      "omnirapeutic/modules/rbac",
		"modules/rbac/service.go":         "omnirapeutic/platform/db",
		"main.go":                         "omnirapeutic/app/cli",
		"e2e/harness/clinic.go":           "omnirapeutic/app",
	} {
		found, err := violations(map[string]string{file: fmt.Sprintf("package x\nimport _ %q\n", imported)})
		require.NoError(t, err)
		require.Empty(t, found)
	}
}
