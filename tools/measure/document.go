package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// cutOff are first words of descriptions that begin in the middle of a sentence: a verb
// without its subject, a preposition or an adverb without its noun, a value without the
// statement about it.
var cutOff = strings.Fields(`
	are is has have holds says lists puts counts reports grants names chooses decides identifies replaces confirms leads
	works limits of in on at as by for from to until since after before within with without only not never and or nil
	null empty default latest where what which who why how that cannot set made also`)

type schema struct {
	Description string
	Const       any
	Properties  map[string]schema
	AllOf       []schema
}

// documentRows examines the descriptions of all schemas in the OpenAPI document.
func documentRows(root string) ([]row, error) {
	text, err := os.ReadFile(filepath.Join(root, "app", "openapi.json"))
	if err != nil {
		return nil, err
	}
	var document struct {
		Components struct{ Schemas map[string]schema }
	}
	if err := json.Unmarshal(text, &document); err != nil {
		return nil, err
	}
	schemas := document.Components.Schemas
	cut, properties, without, constants, unclear := 0, 0, 0, 0, 0
	var examine func(s schema)
	examine = func(s schema) {
		if isCutOff(s.Description) {
			cut++
		}
		for name, p := range s.Properties {
			properties++
			if p.Description == "" {
				without++
				switch {
				case p.Const != nil:
					constants++
				case !isIDOfSchema(name, schemas):
					unclear++
				}
			}
			examine(p)
		}
		for _, part := range s.AllOf {
			examine(part)
		}
	}
	for _, s := range schemas {
		examine(s)
	}
	return []row{
		{"OpenAPI descriptions that begin in the middle of a sentence", fmt.Sprint(cut)},
		{"OpenAPI properties", fmt.Sprint(properties)},
		{"OpenAPI properties without a description", fmt.Sprint(without)},
		{"constants among them, such as the `status` and `code` of a problem", fmt.Sprint(constants)},
		{"neither constants nor ids of a schema among them", fmt.Sprint(unclear)},
		{"OpenAPI document, kilobytes", fmt.Sprint(len(text) / 1000)},
	}, nil
}

func isCutOff(description string) bool {
	first, _, _ := strings.Cut(description, " ")
	return slices.Contains(cutOff, strings.ToLower(strings.TrimRight(first, ",:;")))
}

// isIDOfSchema reports whether the property is the id of the record, or of a record that has
// a schema. The generator of the document uses the same rule.
func isIDOfSchema(name string, schemas map[string]schema) bool {
	for _, suffix := range []string{"Id", "Ids"} {
		if noun, ok := strings.CutSuffix(name, suffix); ok && noun != "" {
			_, exists := schemas[strings.ToUpper(noun[:1])+noun[1:]]
			return exists
		}
	}
	return name == "id"
}
