package httpx

import (
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"

	"omnirapeutic/platform/fault"
)

// maxSuggested bounds how long a name may be that is compared with the known ones, in bytes.
const maxSuggested = 40

// unknownField returns the error for a name that is not among the known ones. It lists these, and names
// the nearest one if the given name is probably a mistyped form of it.
func unknownField(path, name string, known []string) fault.Field {
	f := fault.Field{Field: path, Code: "unknown", Message: unknownText, Known: known}
	if nearest := nearestName(name, known); nearest != "" {
		f.Nearest = &nearest
		f.Message += " (did you mean " + nearest + "?)"
	}
	return f
}

// nearestName returns the known name with the fewest differing characters, or an empty text if all of
// them differ in more than a third. Case, hyphens and underscores do not count, so start_time is near
// startTime.
func nearestName(name string, known []string) string {
	if len(name) > maxSuggested {
		return ""
	}
	plain := plainName(name)
	nearest, fewest := "", max(len(plain)/3, 1)+1
	for _, k := range known {
		if d := levenshtein.ComputeDistance(plain, plainName(k)); d < fewest {
			nearest, fewest = k, d
		}
	}
	return nearest
}

func plainName(name string) string {
	return strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(name))
}

// namesFrom returns the names of the members from the source, such as "query", sorted.
func (s *plan) namesFrom(source string) []string {
	var all []string
	for _, m := range s.members {
		if m.from == source {
			all = append(all, m.name)
		}
	}
	slices.Sort(all)
	return all
}

// UnknownHeader returns [ErrMalformed] for a header with a value that is not among the known ones.
func UnknownHeader(name, value string, known []string) error {
	field := unknownField(name, shortened(strings.ToValidUTF8(value, "?")), known)
	return ErrMalformed.With(unknownParameters{[]fault.Field{field}}, "Unknown %s. Known values: %s.", name,
		strings.Join(known, ", "))
}
