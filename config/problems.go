package config

import (
	"fmt"
	"slices"
	"strings"
)

// Problem is one problem of the configuration.
type Problem struct {
	Key     string // in YAML, or the variable if there is no such key
	Value   string // as given; *** for secrets, may be ""
	Source  string // default, file PATH, environment NAME
	Message string
}

// String returns the problem on one line.
func (p Problem) String() string {
	value := ""
	if p.Value != "" {
		value = fmt.Sprintf(" = %q", p.Value)
		if p.Value == hidden {
			value = " = " + hidden
		}
	}
	source := p.Source
	if source == "default" { // a default has no source, so the text must name the variable
		source += "; " + variableNamed(p.Key)
	}
	return fmt.Sprintf("%s%s (%s): %s", p.Key, value, source, p.Message)
}

// variableNamed returns the environment variable of a key.
func variableNamed(name string) string {
	return keys[slices.IndexFunc(keys, func(k key) bool { return k.name == name })].env
}

// Problems is the error of [Load]: all problems.
type Problems struct {
	List []Problem
}

// Error returns a line for each problem.
func (p *Problems) Error() string {
	var b strings.Builder
	b.WriteString("the configuration is invalid:")
	for _, problem := range p.List {
		b.WriteString("\n  " + problem.String())
	}
	return b.String()
}

func (p *Problems) add(key, value, source, message string) {
	p.List = append(p.List, Problem{Key: key, Value: value, Source: source, Message: message})
}
