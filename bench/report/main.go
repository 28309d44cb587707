// Command report writes the results of load tests as HTML pages with plots. Its arguments are files
// that omnirapeutic loadtest --json has written; the page of load.json is load.html.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"omnirapeutic/bench/loadtest"
	"omnirapeutic/bench/plots"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: go run ./bench/report RESULT.json ...")
		os.Exit(2)
	}
	for _, file := range os.Args[1:] {
		page, err := write(file)
		if err != nil {
			fmt.Fprintln(os.Stderr, "report:", err)
			os.Exit(1)
		}
		fmt.Fprintln(os.Stdout, "Wrote", page)
	}
}

// write writes the page of a result next to it, and returns its name.
func write(file string) (page string, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	var result loadtest.Result
	if err := json.Unmarshal(text, &result); err != nil {
		return "", fmt.Errorf("%s is not the result of a load test: %w", file, err)
	}
	page = strings.TrimSuffix(file, filepath.Ext(file)) + ".html"
	out, err := os.Create(page)
	if err != nil {
		return "", err
	}
	return page, errors.Join(plots.WritePage(out, result), out.Close())
}
