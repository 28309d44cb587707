package app_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/telemetry"
)

// TestEveryFieldOfEveryLogEventIsWritten parses every log call of the source. The logger silently
// drops fields that are not on telemetry's list.
func TestEveryFieldOfEveryLogEventIsWritten(t *testing.T) {
	t.Parallel()
	fields := map[string][]string{} // positions by field
	events := map[string]bool{}
	for _, file := range sourceFiles(t) {
		positions := token.NewFileSet()
		parsed, err := parser.ParseFile(positions, filepath.Join("..", file), nil, 0)
		require.NoError(t, err)
		ast.Inspect(parsed, func(n ast.Node) bool {
			for name, value := range loggedFields(n) {
				text, err := strconv.Unquote(name)
				require.NoError(t, err, "%s: the name of a field is a literal, not %s", positions.Position(n.Pos()), name)
				fields[text] = append(fields[text], positions.Position(n.Pos()).String())
				if event, ok := value.(*ast.BasicLit); ok && text == "event" {
					events[event.Value] = true
				}
			}
			return true
		})
	}
	for name, places := range fields {
		require.True(t, telemetry.Allows(name),
			"the field %q is dropped: %s; add it to the list in platform/telemetry/log.go if it is neither health data nor a "+
				"secret",
			name, strings.Join(places, ", "))
	}
	const manyFields, manyEvents = 20, 30
	require.Greater(t, len(fields), manyFields, "the calls are found")
	require.Greater(t, len(events), manyEvents, "the calls are found")
	for _, event := range []string{`"job_ran"`, `"role_passes_row_security"`, `"listening"`} {
		require.Contains(t, events, event)
	}
}

// loggedFields returns names and values of the fields that a node passes to a logger:
// WithField(name, value) or logrus.Fields{name: value}.
func loggedFields(n ast.Node) map[string]ast.Expr {
	fields := map[string]ast.Expr{}
	name := func(e ast.Expr) string {
		if literal, ok := e.(*ast.BasicLit); ok {
			return literal.Value
		}
		return "an expression"
	}
	switch node := n.(type) {
	case *ast.CallExpr:
		method, ok := node.Fun.(*ast.SelectorExpr)
		if ok && method.Sel.Name == "WithField" && len(node.Args) == 2 {
			fields[name(node.Args[0])] = node.Args[1]
		}
	case *ast.CompositeLit:
		kind, ok := node.Type.(*ast.SelectorExpr)
		if !ok || kind.Sel.Name != "Fields" {
			break
		}
		if of, ok := kind.X.(*ast.Ident); !ok || of.Name != "logrus" {
			break
		}
		for _, element := range node.Elts {
			if pair, ok := element.(*ast.KeyValueExpr); ok {
				fields[name(pair.Key)] = pair.Value
			}
		}
	}
	return fields
}

// sourceFiles returns the program's own files, relative to the module's root.
func sourceFiles(t *testing.T) (files []string) {
	t.Helper()
	for _, dir := range []string{"app", "config", "modules", "platform"} {
		require.NoError(t, fs.WalkDir(os.DirFS(".."), dir, func(file string, _ fs.DirEntry, err error) error {
			if strings.HasSuffix(file, ".go") && !strings.HasSuffix(file, "_test.go") &&
				!strings.HasPrefix(file, "platform/telemetry/") {
				files = append(files, file)
			}
			return err
		}))
	}
	return files
}
