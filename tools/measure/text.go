package main

import (
	_ "embed"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"unicode/utf8"
)

//go:embed phrases.txt
var phrases string

// goFile is one Go file of a checkout.
type goFile struct {
	path   string // relative to the root, with slashes
	source []byte
	syntax *ast.File
}

// isTest reports whether the file serves tests only, as the harness of e2e does.
func (f goFile) isTest() bool { return strings.HasSuffix(f.path, "_test.go") || f.under("e2e") }

// under reports whether the file is in the directory.
func (f goFile) under(dir string) bool { return strings.HasPrefix(f.path, dir+"/") }

// goFiles parses all Go files of a checkout that are part of its repository.
func goFiles(root string) ([]goFile, error) {
	var files []goFile
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (entry.Name() == "node_modules" || path != root && strings.HasPrefix(entry.Name(), ".") &&
			entry.Name() != "..") {
			return filepath.SkipDir
		}
		if entry.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, ".gen.go") {
			return nil
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		syntax, err := parser.ParseFile(token.NewFileSet(), path, source, parser.ParseComments)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		files = append(files, goFile{filepath.ToSlash(relative), source, syntax})
		return err
	})
	return files, err
}

// textRows counts the phrases per 10,000 words of all comments, tests included.
func textRows(root string) ([]row, error) {
	files, err := goFiles(root)
	if err != nil {
		return nil, err
	}
	var text strings.Builder
	for _, f := range files {
		for _, group := range f.syntax.Comments {
			text.WriteString(strings.Join(strings.Fields(group.Text()), " ") + "\n")
		}
	}
	words := len(strings.Fields(text.String()))
	rows := []row{{"words in comments", fmt.Sprint(words)}}
	for line := range strings.Lines(phrases) {
		name, expression, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		n := len(regexp.MustCompile("(?i)"+expression).FindAllString(text.String(), -1))
		rows = append(rows, row{name + ", per 10,000 of them", fmt.Sprintf("%.1f", float64(n)*10000/float64(words))})
	}
	return rows, nil
}

// lineRows counts the lines of Go: of the program, of the load tools and of tests,
// and how many are long. A tab counts as one character.
func lineRows(root string) ([]row, error) {
	files, err := goFiles(root)
	if err != nil {
		return nil, err
	}
	var program, tools, tests, all, over120, over140 int
	for _, f := range files {
		lines := strings.Split(strings.TrimSuffix(string(f.source), "\n"), "\n")
		switch {
		case f.isTest():
			tests += len(lines)
		case f.under("bench") || f.under("tools"):
			tools += len(lines)
		default:
			program += len(lines)
		}
		all += len(lines)
		for _, line := range lines {
			if n := utf8.RuneCountInString(line); n > 140 {
				over140++
				over120++
			} else if n > 120 {
				over120++
			}
		}
	}
	per1000 := func(n int) string { return fmt.Sprintf("%.1f", float64(n)*1000/float64(all)) }
	return []row{
		{"lines over 120 characters, per 1,000", per1000(over120)},
		{"lines over 140 characters, per 1,000", per1000(over140)},
		{"lines of Go without tests, bench and tools", fmt.Sprint(program)},
		{"lines of Go in bench and tools, without tests", fmt.Sprint(tools)},
		{"lines of Go in tests", fmt.Sprint(tests)},
	}, nil
}
