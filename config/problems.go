package config

import (
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with the configuration.
type Problem struct {
	Key     string // in YAML, or the variable where there is no such key
	Value   string // as given; *** for secrets, "" where there is none
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
	if source == "default" { // nobody has set it, so nothing said yet which variable does
		source += "; " + variableNamed(p.Key)
	}
	return fmt.Sprintf("%s%s (%s): %s", p.Key, value, source, p.Message)
}

// variableNamed returns the environment variable of a key.
func variableNamed(name string) string {
	return keys[slices.IndexFunc(keys, func(k key) bool { return k.name == name })].env
}

// Problems is the error of [Load]: everything that is wrong at once.
type Problems struct {
	List []Problem
}

// Error returns a line for each problem.
func (p *Problems) Error() string {
	var b strings.Builder
	b.WriteString("the configuration is not valid:")
	for _, problem := range p.List {
		b.WriteString("\n  " + problem.String())
	}
	return b.String()
}

func (p *Problems) add(key, value, source, message string) {
	p.List = append(p.List, Problem{Key: key, Value: value, Source: source, Message: message})
}
