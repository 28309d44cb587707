package httpx

import (
	"encoding/csv"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestCellsThatASpreadsheetCouldReadAsAFormulaAreQuoted(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"=1+1":            "'=1+1",
		";=1+1":           `";'=1+1"`,
		"a;-1":            `"a;'-1"`,
		`a; "=1+1`:        `"a; ""'=1+1"`,
		"a\t@x":           "\"a\t'@x\"",
		"a\n=1":           "\"a\n'=1\"",
		"a|+1":            `"a|'+1"`,
		" =1":             " '=1",
		"\ufeff=1":        "\ufeff'=1",
		"＝1":              "'＝1",
		"＠x;－1":           `"'＠x;'－1"`,
		"\t=1":            "\"'\t'=1\"",
		"a=b":             "a=b",
		"well-known; etc": `"well-known; etc"`,
		"a, =1":           `"a, =1"`, // quotes keep it in one cell if commas separate cells
	} {
		cell, err := cellOf(reflect.ValueOf(text))
		require.NoError(t, err)
		require.Equal(t, want, cell, "%q", text)
	}
}

// TestNoPartOfACellIsAFormulaInAnyLocale reads cells like a spreadsheet with another separator, for
// which quotes in the middle of a cell have no meaning.
func TestNoPartOfACellIsAFormulaInAnyLocale(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.SampledFrom([]rune("a1=+-@＝;|,\t\r\n \"'"))).Draw(t, "text")
		cell, err := cellOf(reflect.ValueOf(text))
		require.NoError(t, err)
		isSeparator := func(r rune) bool { return strings.ContainsRune(";|\t\r\n", r) }
		for _, part := range strings.FieldsFunc("x,"+cell, isSeparator) {
			part = strings.TrimLeft(part, "\" ")
			require.False(t, part != "" && strings.ContainsRune("=+-@＝", []rune(part)[0]), "%q of %q", part, cell)
		}
		read, err := csv.NewReader(strings.NewReader(cell + ",x\r\n")).Read()
		require.NoError(t, err)
		require.False(t, read[0] != "" && strings.ContainsRune("=+-@＝", []rune(read[0])[0]), "%q", read[0])
	})
}

func TestJSONInACellStaysTheSameJSON(t *testing.T) {
	t.Parallel()
	type value struct {
		Note string `json:"note"`
	}
	cell, err := cellOf(reflect.ValueOf(value{"x;=1|=2"}))
	require.NoError(t, err)
	require.Equal(t, `"{""note"":""x\u003b=1\u007c=2""}"`, cell) //nolint:testifylint // a cell of CSV, not JSON
}
