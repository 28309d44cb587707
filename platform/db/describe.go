package db

import "strings"

// describe returns the operation of an SQL statement, such as UPDATE, and the table that it mainly uses, or "".
// It never returns a value: statements have placeholders, and a table is a name after FROM, INTO, UPDATE and the
// like.
//
// The main table of WITH x AS (…) UPDATE t is t. If the main statement uses no table, it is the first table of
// the parts in parentheses.
func describe(sql string) (operation, table string) {
	d := description{rest: sql, levels: []bool{false}}
	for {
		switch t := d.token(); t.kind {
		case endToken:
			return d.operation, d.first
		case openToken:
			d.levels = append(d.levels, false)
		case closeToken:
			d.levels = d.levels[:max(1, len(d.levels)-1)]
		case wordToken:
			if d.word(strings.ToUpper(t.text)) {
				return d.operation, d.first
			}
			d.before = strings.ToUpper(t.text)
		case otherToken:
		}
	}
}

// description is the state of [describe].
type description struct {
	rest      string
	levels    []bool // parentheses, and whether they contain a query or a statement
	before    string // the previous word
	operation string
	with      []string // names of the parts of WITH
	first     string   // the first table
}

type tokenKind int

const (
	endToken tokenKind = iota
	wordToken
	openToken
	closeToken
	otherToken
)

type sqlToken struct {
	kind tokenKind
	text string
}

// word handles a keyword, and reports whether the main table was found.
func (d *description) word(word string) (found bool) {
	outside := len(d.levels) == 1
	switch word {
	case "SELECT", "INSERT", "UPDATE", "DELETE", "MERGE":
		if d.before != "FOR" && d.before != "KEY" && d.before != "DO" && d.before != "ON" {
			d.levels[len(d.levels)-1] = true
			if outside && (d.operation == "" || d.operation == "WITH") {
				d.operation = word
			}
		}
	case "AS":
		if d.operation == "WITH" && outside {
			d.with = append(d.with, d.before)
		}
	}
	if d.operation == "" {
		d.operation = word
	}
	if !d.precedesTable(word) {
		return false
	}
	name := d.tableName(word == "FROM" || word == "JOIN")
	if name == "" {
		return false
	}
	for _, part := range d.with {
		if strings.EqualFold(part, name) {
			return false
		}
	}
	isMain := d.operation != "WITH"
	if d.first == "" || isMain && outside {
		d.first = name
	}
	return isMain
}

// precedesTable reports whether a table may follow the word. It may not in FOR UPDATE, DO UPDATE SET, IS DISTINCT
// FROM, and extract(… FROM …).
func (d *description) precedesTable(word string) bool {
	switch word {
	case "FROM":
		return d.before != "DISTINCT" && d.levels[len(d.levels)-1]
	case "UPDATE":
		return d.before != "FOR" && d.before != "KEY" && d.before != "DO" && d.before != "ON"
	case "INTO", "JOIN", "TABLE":
		return true
	}
	return false
}

// tableName returns the next token, if it is the name of a table and not of a function.
func (d *description) tableName(mayCall bool) string {
	after := d.rest
	t := d.token()
	if t.kind == wordToken && strings.EqualFold(t.text, "ONLY") {
		t = d.token()
	}
	if t.kind == wordToken && strings.HasPrefix(d.rest, ".") { // a schema
		d.rest = d.rest[1:]
		t = d.token()
	}
	if t.kind != wordToken || strings.EqualFold(t.text, "LATERAL") || mayCall && strings.HasPrefix(d.rest, "(") {
		d.rest = after
		return ""
	}
	return t.text
}

// token returns the next token. It skips comments and texts in quotes.
func (d *description) token() sqlToken {
	for {
		d.rest = strings.TrimLeft(d.rest, " \t\n\r")
		switch {
		case d.rest == "":
			return sqlToken{}
		case strings.HasPrefix(d.rest, "--"):
			_, d.rest, _ = strings.Cut(d.rest, "\n")
		case d.rest[0] == '\'':
			_, d.rest, _ = strings.Cut(d.rest[1:], "'")
		case d.rest[0] == '"':
			name, rest, _ := strings.Cut(d.rest[1:], `"`)
			d.rest = rest
			return sqlToken{wordToken, name}
		case isWord(d.rest[0]):
			end := 1
			for end < len(d.rest) && isWord(d.rest[end]) {
				end++
			}
			word := d.rest[:end]
			d.rest = d.rest[end:]
			return sqlToken{wordToken, word}
		default:
			kind := otherToken
			switch d.rest[0] {
			case '(':
				kind = openToken
			case ')':
				kind = closeToken
			}
			d.rest = d.rest[1:]
			return sqlToken{kind, ""}
		}
	}
}

func isWord(c byte) bool {
	return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
