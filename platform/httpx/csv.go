package httpx

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"unicode"
)

var (
	typeDisplay  = reflect.TypeFor[*Display]()
	typeExpanded = reflect.TypeFor[Expanded]()
)

// column is one member of a row.
type column struct {
	name  string
	index []int
}

// columnsOf returns the columns of a row. It panics on a member that is not a single
// value.
func columnsOf(row reflect.Type) []column {
	plans := &plans{plans: map[reflect.Type]*plan{}}
	var all []column
	for _, m := range plans.of(row).members {
		if t := row.FieldByIndex(m.index).Type; t == typeDisplay || t == typeExpanded { // have no cells
			continue
		}
		s := m.plan
		if s.kind == kindPointer {
			s = s.elem
		}
		if row.FieldByIndex(m.index).Type == typeRaw { // JSON in a cell
			all = append(all, column{m.name, m.index})
			continue
		}
		switch s.kind {
		case kindBool, kindInt, kindUint, kindFloat, kindText, kindUUID, kindInstant, kindDate, kindString, kindJSON:
			all = append(all, column{m.name, m.index})
		default:
			panic(fmt.Sprintf("httpx: %s.%s is not a single value, and cannot be a cell", row, m.goName))
		}
	}
	return all
}

// writeCSV writes a header line and one line per row (RFC 4180).
func writeCSV(b *bytes.Buffer, columns []column, rows reflect.Value) error {
	writeNames(b, columns)
	return writeRows(b, columns, rows)
}

func writeNames(b *bytes.Buffer, columns []column) {
	for i, c := range columns {
		separate(b, i)
		b.WriteString(quoted(c.name))
	}
	b.WriteString("\r\n")
}

func writeRows(b *bytes.Buffer, columns []column, rows reflect.Value) error {
	for i := range rows.Len() {
		for j, c := range columns {
			text, err := cellOf(rows.Index(i).FieldByIndex(c.index))
			if err != nil {
				return fmt.Errorf("write %s of row %d as CSV: %w", c.name, i, err)
			}
			separate(b, j)
			b.WriteString(text)
		}
		b.WriteString("\r\n")
	}
	return nil
}

func separate(b *bytes.Buffer, index int) {
	if index > 0 {
		b.WriteByte(',')
	}
}

// cellOf returns the value as in JSON, without the quotes.
func cellOf(v reflect.Value) (string, error) {
	raw, err := json.Marshal(v.Interface())
	if err != nil || string(raw) == "null" {
		return "", err
	}
	switch raw[0] {
	case '"':
		var text string
		err = json.Unmarshal(raw, &text)
		return quoted(harmless(text)), err
	case '{', '[': // escaped so that separators do not split the JSON into cells
		return quoted(strings.NewReplacer(";", `\u003b`, "|", `\u007c`).Replace(string(raw))), nil
	}
	return quoted(string(raw)), nil // a number may begin with a minus; it is not a formula
}

// Characters that begin a formula in spreadsheets (OWASP, CSV Injection), also in full width, and
// characters that separate cells in some locales, such as the semicolon in much of Europe. Quotes
// do not protect against these, because they count only at the beginning of a cell.
const (
	formulaStarts  = "=+-@\uff1d\uff0b\uff0d\uff20\u2212"
	cellSeparators = ";|\t\r\n"
)

// harmless inserts an apostrophe before each text that a spreadsheet could read as a formula: at
// the beginning of the cell, and after each character that could begin another cell.
func harmless(text string) string {
	var b strings.Builder
	if text != "" && strings.ContainsRune("\t\r\n", rune(text[0])) { // some spreadsheets ignore these
		b.WriteByte('\'')
	}
	begins := true
	for _, r := range text {
		switch {
		case strings.ContainsRune(cellSeparators, r):
			begins = true
		case begins && strings.ContainsRune(formulaStarts, r):
			b.WriteByte('\'')
			begins = false
		case r != '"' && unicode.IsGraphic(r) && !unicode.IsSpace(r):
			begins = false
		}
		b.WriteRune(r)
	}
	return b.String()
}

// quoted puts quotes around a text that needs them.
func quoted(text string) string {
	if !strings.ContainsAny(text, "\",\r\n"+cellSeparators) {
		return text
	}
	return `"` + strings.ReplaceAll(text, `"`, `""`) + `"`
}
