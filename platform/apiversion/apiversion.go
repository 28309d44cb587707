// Package apiversion has the dated versions of the API and the changes of each.
package apiversion

import (
	_ "embed"
	"encoding/json"
	"slices"
	"sync"
)

// Header is the header by which a client chooses a version, and by which the answer names it.
const Header = "API-Version"

//go:embed changelog.json
var changelog []byte

// Version is a dated version of the API.
type Version struct {
	Version  string   `json:"version"`  // a date such as 2027-01-15
	Released bool     `json:"released"` // an unreleased version may still change
	Changes  []Change `json:"changes"`
}

// Change is a change of the API.
type Change struct {
	Kind string `json:"kind"` // added, changed, deprecated or removed
	// Operations are the affected operations, such as "POST /appointments"; none: the change concerns all.
	Operations  []string `json:"operations"`
	Description string   `json:"description"`
}

// Versions returns all versions, the newest first. The caller must not change them.
var Versions = sync.OnceValue(func() []Version {
	var all struct {
		Versions []Version `json:"versions"`
	}
	if err := json.Unmarshal(changelog, &all); err != nil || len(all.Versions) == 0 {
		panic("apiversion: the embedded changelog cannot be read") // a test reads it
	}
	return all.Versions
})

// Changelog returns the changelog as JSON.
func Changelog() []byte { return changelog }

// known are the names of all versions, the newest first. Every request reads them.
var known = sync.OnceValue(func() []string {
	names := make([]string, 0, len(Versions()))
	for _, v := range Versions() {
		names = append(names, v.Version)
	}
	return names
})

// Known returns the names of all versions, the newest first.
func Known() []string { return slices.Clone(known()) }

// IsKnown reports whether there is a version with the name.
func IsKnown(name string) bool { return slices.Contains(known(), name) }

// Default returns the version for clients that choose none: the oldest one, so that a new version changes
// nothing for them. It does not allocate.
func Default() string { return known()[len(known())-1] }
