// Package oasdiff compares the OpenAPI document with the last released one, and finds changes that the changelog
// does not list. See docs/decisions/0077-dated-versions.md.
package oasdiff

import (
	"slices"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/oasdiff/oasdiff/checker"
	"github.com/oasdiff/oasdiff/diff"
	"github.com/oasdiff/oasdiff/load"
)

// Version is a version of the changelog, as far as the comparison needs it.
type Version struct {
	Version  string
	Released bool
	Changes  []struct{ Operations []string }
}

// Unlisted returns the changes from the released to the current document whose operation no entry names. The
// entries belong to versions after the released one. A change outside of operations needs an entry without
// operations.
func Unlisted(released, current []byte, versions []Version, last string) ([]string, error) {
	listed := map[string]bool{}
	for _, v := range versions {
		if v.Version <= last {
			continue
		}
		for _, c := range v.Changes {
			listed[""] = listed[""] || len(c.Operations) == 0
			for _, operation := range c.Operations {
				listed[operation] = true
			}
		}
	}
	found, err := changes(released, current)
	if err != nil {
		return nil, err
	}
	var unlisted []string
	for _, c := range found {
		operation := ""
		if c.GetOperation() != "" {
			operation = c.GetOperation() + " " + c.GetPath()
		}
		if !listed[operation] {
			unlisted = append(unlisted, operation+": "+c.GetUncolorizedText(checker.NewDefaultLocalizer()))
		}
	}
	slices.Sort(unlisted)
	return slices.Compact(unlisted), nil
}

// changes returns all changes that a client can notice, the compatible ones included.
func changes(released, current []byte) (checker.Changes, error) {
	var specs []*load.SpecInfo
	for _, raw := range [][]byte{released, current} {
		spec, err := openapi3.NewLoader().LoadFromData(raw)
		if err != nil {
			return nil, err
		}
		specs = append(specs, &load.SpecInfo{Spec: spec})
	}
	report, sources, err := diff.GetWithOperationsSourcesMap(diff.NewConfig(), specs[0], specs[1])
	if err != nil {
		return nil, err
	}
	config := checker.NewConfig(checker.GetAllChecks())
	return checker.CheckBackwardCompatibilityUntilLevel(config, report, sources, checker.INFO), nil
}
