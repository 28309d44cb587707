// Command measure prints how readable the code is, as a Markdown table with one column
// per checkout:
//
//	go run -C tools ./measure ..
//	go run -C tools ./measure /path/to/an/older/checkout ..
//
// docs/architecture.md shows the table and defines its rows.
package main

import (
	"fmt"
	"os"
	"strings"
)

// row is one line of the table.
type row struct{ name, value string }

func main() {
	roots := os.Args[1:]
	if len(roots) == 0 {
		roots = []string{".."}
	}
	var columns [][]row
	for _, root := range roots {
		rows, err := measure(root)
		if err != nil {
			fmt.Fprintf(os.Stderr, "measure: %s: %v\n", root, err)
			os.Exit(1)
		}
		columns = append(columns, rows)
	}
	fmt.Print(table(roots, columns))
}

// measure returns the rows of one checkout.
func measure(root string) ([]row, error) {
	var rows []row
	for _, part := range []func(root string) ([]row, error){textRows, documentRows, structureRows, lineRows} {
		more, err := part(root)
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	return rows, nil
}

// table writes the columns next to each other. All have the same rows.
func table(heads []string, columns [][]row) string {
	var b strings.Builder
	b.WriteString("| | " + strings.Join(heads, " | ") + " |\n|" + strings.Repeat(" --- |", len(heads)+1) + "\n")
	for i, first := range columns[0] {
		b.WriteString("| " + first.name + " |")
		for _, column := range columns {
			b.WriteString(" " + column[i].value + " |")
		}
		b.WriteByte('\n')
	}
	return b.String()
}
