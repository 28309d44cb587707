package config

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Show renders the effective configuration as YAML, with where each value came
// from as a comment. Secrets are hidden, passwords in URLs too.
func (c Config) Show() string {
	var b strings.Builder
	group := ""
	for _, s := range c.settings {
		name, indent := s.Key, ""
		if before, after, ok := strings.Cut(s.Key, "."); ok {
			if before != group {
				fmt.Fprintf(&b, "%s:\n", before)
			}
			group, name, indent = before, after, "  "
		} else {
			group = ""
		}
		fmt.Fprintf(&b, "%s%s: %s # %s\n", indent, name, scalar(s.Value), strings.ReplaceAll(s.Source, "\n", " "))
	}
	return b.String()
}

// scalar quotes a text where YAML would read something else.
func scalar(text string) string {
	b, err := yaml.Marshal(text)
	if err != nil || strings.Count(string(b), "\n") > 1 {
		return fmt.Sprintf("%q", text)
	}
	plain := strings.TrimSpace(string(b))
	if unquoted := strings.Trim(plain, `"`); unquoted == text && text != "" && isPlain(text) {
		return unquoted // numbers, true and false stay what they are
	}
	return plain
}

func isPlain(text string) bool {
	var value any
	if yaml.Unmarshal([]byte(text), &value) != nil {
		return false
	}
	switch value.(type) {
	case int, float64, bool, string:
		return true
	}
	return false
}
