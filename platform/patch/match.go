package patch

import (
	"strconv"
	"strings"

	"omnirapeutic/platform/fault"
)

// ErrStale says that a record has changed since the client read it. It comes
// with [Current].
var ErrStale = fault.Define(fault.Stale, "stale-version", "This was changed by somebody else in the meantime.").Carrying(Current{}).
	Advising("Read it again (`currentVersion` says what it is now), show what changed, and let the person decide.")

// Current are the details of [ErrStale].
type Current struct {
	CurrentVersion int `json:"currentVersion"`
}

// Match is the If-Match header of a change (RFC 9110, section 13.1.1): which
// versions of a record the change is meant for. The zero value is for any.
type Match string

// Check returns [ErrStale] unless the change is meant for this version. Its text
// tells a header that names no version at all, such as 7 without quotes or the weak
// W/"7" that a proxy has made of "7", from one that somebody has overtaken.
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
		return ErrStale.With(Current{version}, "If-Match names no version: it takes an ETag as it was answered, in its quotes and without W/. The version is %s now.", tag)
	}
	return ErrStale.With(Current{version}, "This was changed by somebody else in the meantime: its version is %d now.", version)
}

// Tag returns the ETag of a version.
func Tag(version int) string { return `"` + strconv.Itoa(version) + `"` }
