// Package version returns the version of the program.
package version

import "runtime/debug"

// stamped and revision are set by the build of a release:
//
//	go build -ldflags "-X omnirapeutic/platform/version.stamped=v1.2.3 -X omnirapeutic/platform/version.revision=…"
var stamped, revision string

const unknown = "unknown"

// Version returns the version of a release, such as v1.2.3. Otherwise it returns the version that the
// Go toolchain recorded, which is (devel) for a build without version control.
func Version() string {
	if stamped != "" {
		return stamped
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return unknown
}

// Revision returns the commit from which the program was built, or "unknown".
func Revision() string {
	if revision != "" {
		return revision
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return unknown
}
