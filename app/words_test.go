package app_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

const (
	maxSentence = 30  // words
	minText     = 3   // words: shorter literals are names and other data
	maxLine     = 140 // characters, a tab counting as one
)

// passage is a text that people read, with its place.
type passage struct{ place, text string }

// TestWords checks the language of comments, texts, documents and test names: no phrase of
// tools/measure/phrases.txt, no sentence over 30 words, no line of Go over 140 characters.
func TestWords(t *testing.T) {
	t.Parallel()
	phrases := readPhrases(t)
	for _, p := range passages(t) {
		for _, found := range wordFaults(p.text, phrases) {
			t.Errorf("%s: %s", p.place, found)
		}
	}
}

func TestWordRulesFire(t *testing.T) {
	t.Parallel()
	phrases := readPhrases(t)
	texts := []string{strings.Repeat("word ", maxSentence) + "more."}
	for _, text := range []string{
		"It shows what|is left.", "No|body knows.", "The log tell|s why.", "For those|who wait.", "What|ever it is.",
		"It stand|s there.",
	} {
		texts = append(texts, strings.NewReplacer("what|", "what ", "those|", "those ", "|", "").Replace(text))
	}
	for _, text := range texts {
		require.Len(t, wordFaults(text, phrases), 1, text)
	}
	require.Empty(t,
		wordFaults(strings.Repeat("word ", maxSentence-1)+"end. "+strings.Repeat("word ", maxSentence-1)+"end.", phrases))
}

func readPhrases(t *testing.T) map[string]*regexp.Regexp {
	t.Helper()
	text, err := os.ReadFile("../tools/measure/phrases.txt")
	require.NoError(t, err)
	all := map[string]*regexp.Regexp{}
	for line := range strings.Lines(string(text)) {
		if name, expression, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok && !strings.HasPrefix(line, "#") {
			all[name] = regexp.MustCompile("(?i)" + expression)
		}
	}
	require.NotEmpty(t, all)
	return all
}

// wordFaults returns the phrases and the long sentences of a text.
func wordFaults(text string, phrases map[string]*regexp.Regexp) []string {
	var found []string
	text = code.ReplaceAllString(text, "code ")
	for name, expression := range phrases {
		for _, match := range expression.FindAllString(text, -1) {
			found = append(found, fmt.Sprintf("%q (%s)", match, name))
		}
	}
	for _, sentence := range sentences(text) {
		if n := countWords(sentence); n > maxSentence {
			found = append(found, fmt.Sprintf("a sentence of %d words: %s", n, sentence))
		}
	}
	return found
}

var (
	sentenceEnd = regexp.MustCompile(`[.!?:;][)"'*_]*\s+|\n\s*\n|\n\s*[-*0-9]+[.]?\s|\s\|\s|\s·\s|\s→\s`)
	code        = regexp.MustCompile("(?s)```.*?```|`[^`\n]*`|\\]\\([^)]*\\)|\\S+@\\S+")
)

// sentences splits a text at the ends of sentences, paragraphs, list items and table cells.
func sentences(text string) []string {
	return sentenceEnd.Split(text, -1)
}

func countWords(sentence string) int {
	n := 0
	for word := range strings.FieldsSeq(sentence) {
		if strings.ContainsFunc(word, unicode.IsLetter) {
			n++
		}
	}
	return n
}

// passages returns everything that people read.
func passages(t *testing.T) []passage {
	t.Helper()
	var all []passage
	root := os.DirFS("..")
	err := fs.WalkDir(root, ".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() &&
			(entry.Name() == "node_modules" || path != "." && strings.HasPrefix(entry.Name(), ".")):
			return fs.SkipDir
		case entry.IsDir() || strings.HasSuffix(path, ".gen.go"):
			return nil
		}
		content, err := fs.ReadFile(root, path)
		switch filepath.Ext(path) {
		case ".md":
			all = append(all, passage{path, string(content)})
		case ".go":
			all = append(all, passagesOf(t, path, string(content))...)
		}
		return err
	})
	require.NoError(t, err)
	return all
}

// passagesOf returns the comments, texts and test names of a Go file, and its long lines.
func passagesOf(t *testing.T, path, source string) []passage {
	t.Helper()
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, path, source, parser.ParseComments)
	require.NoError(t, err)
	var all []passage
	add := func(at token.Pos, text string) {
		all = append(all, passage{fmt.Sprintf("%s:%d", path, files.Position(at).Line), text})
	}
	for _, group := range parsed.Comments {
		add(group.Pos(), prose(group.Text()))
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if strings.HasSuffix(path, "_test.go") {
				add(n.Pos(), splitName(n.Name.Name))
			}
		case ast.Expr:
			if text, ok := literal(n); ok {
				if countWords(text) >= minText {
					add(n.Pos(), text)
				}
				return false
			}
		}
		return true
	})
	for i, line := range strings.Split(source, "\n") {
		if n := utf8.RuneCountInString(line); n > maxLine {
			t.Errorf("%s:%d: the line has %d characters", path, i+1, n)
		}
	}
	return all
}

// prose returns a comment without its indented examples.
func prose(comment string) string {
	var lines []string
	for line := range strings.Lines(comment) {
		if !strings.HasPrefix(line, "\t") && !strings.HasPrefix(line, "    ") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// literal returns the text of a string literal or of a sum of them. Raw strings are SQL and
// the like.
func literal(n ast.Expr) (string, bool) {
	switch n := n.(type) {
	case *ast.BasicLit:
		if n.Kind != token.STRING || strings.HasPrefix(n.Value, "`") {
			return "", false
		}
		text, err := strconv.Unquote(n.Value)
		return text, err == nil
	case *ast.BinaryExpr:
		left, ok := literal(n.X)
		right, also := literal(n.Y)
		return left + right, ok && also && n.Op == token.ADD
	}
	return "", false
}

// splitName returns the words of a Go name.
func splitName(name string) string {
	var b strings.Builder
	for i, r := range name {
		if i > 0 && unicode.IsUpper(r) {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}
