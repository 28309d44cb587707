package patch

import (
	"strconv"
	"strings"

	"omnirapeutic/platform/fault"
)

// ErrStale is returned if a record has changed since the client read it. Its details
// are [Current].
var ErrStale = fault.Define(fault.Stale, "stale-version",
	"This record was changed by another user in the meantime.").Carrying(Current{}).
	Advising("Read the record again (`currentVersion` is its current version), show the changes, and let the user decide.")

// Current are the details of [ErrStale].
type Current struct {
	CurrentVersion int `json:"currentVersion"` // The version that the record has now.
}

// Match is the If-Match header of a change (RFC 9110, section 13.1.1): the versions of
// the record to which the change applies. The zero value matches any version.
type Match string

// Check returns [ErrStale] unless the change applies to this version. The text
// distinguishes a header without any valid version, such as 7 without quotes or the
// weak W/"7" of a proxy, from an outdated version.
func (m Match) Check(version int) error {
	if m == "" || m == "*" {
		return nil
	}
	tag, named := Tag(version), false
	for each := range strings.SplitSeq(string(m), ",") {
		switch each = strings.TrimSpace(each); {
		case each == tag:
			return nil
		case len(each) > 1 && strings.HasPrefix(each, `"`) && strings.HasSuffix(each, `"`):
			named = true
		}
	}
	if !named {
		return ErrStale.With(Current{version}, "If-Match has no valid version: send the ETag of an answer, in quotes and "+
			"without W/. The current version is %s.", tag)
	}
	return ErrStale.With(Current{version},
		"This record was changed by another user in the meantime. Its current version is %d.", version)
}

// Tag returns the ETag of a version.
func Tag(version int) string { return `"` + strconv.Itoa(version) + `"` }
