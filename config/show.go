package config

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Show returns the effective configuration as YAML, with the source of each value as a
// comment. Secrets and passwords in URLs are hidden.
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

// scalar quotes a text that YAML would read as another type.
func scalar(text string) string {
	b, err := yaml.Marshal(text)
	if err != nil || strings.Count(string(b), "\n") > 1 {
		return fmt.Sprintf("%q", text)
	}
	plain := strings.TrimSpace(string(b))
	if unquoted := strings.Trim(plain, `"`); unquoted == text && text != "" && isPlain(text) {
		return unquoted // numbers, true and false stay unquoted
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
