package appointments

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// This is the part of the grammar of RFC 5545 and RFC 7986 that a feed may use, and nothing more.
// It is as strict as the strictest calendar program.

// icsProperty describes the valid forms of a property.
type icsProperty struct {
	required bool
	value    *regexp.Regexp
	params   map[string]string // each exactly once and with this value, see RFC 7986, section 5.7
}

var (
	icsText     = regexp.MustCompile(`^(?:[^\x00-\x08\x0A-\x1F\x7F\\;,]|\\[\\;,nN])*$`) // RFC 5545, section 3.3.11
	icsUTC      = regexp.MustCompile(`^\d{4}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3])[0-5]\d[0-5]\dZ$`)
	icsLocal    = regexp.MustCompile(`^\d{8}T\d{6}$`)
	icsOffset   = regexp.MustCompile(`^[+-]\d{4}$`)
	icsInteger  = regexp.MustCompile(`^(?:0|[1-9]\d*)$`)
	icsDuration = regexp.MustCompile(`^P(?:\d+W|\d+D(?:T\d+[HMS])?|T\d+[HMS])$`)
	icsLine     = regexp.MustCompile(`^([A-Z][A-Z0-9-]*)((?:;[A-Z][A-Z0-9-]*=(?:"[^"\x00-\x1F]*"|[^";:,\x00-\x1F]*))*):(.*)$`)
	icsStatus   = regexp.MustCompile(`^(?:CONFIRMED|CANCELLED)$`)
	icsClass    = regexp.MustCompile(`^(?:PUBLIC|PRIVATE|CONFIDENTIAL)$`)
	icsTransp   = regexp.MustCompile(`^(?:OPAQUE|TRANSPARENT)$`)
	icsVersion  = regexp.MustCompile(`^2\.0$`)
	icsZone     = regexp.MustCompile(`^[A-Za-z/_]+$`)
)

// icsComponents lists the properties of each component. None may occur twice. METHOD is missing on
// purpose: with it, each event needs an ORGANIZER (RFC 5546, section 3.2.1).
var icsComponents = map[string]map[string]icsProperty{
	"VCALENDAR": {
		"VERSION": {required: true, value: icsVersion}, "PRODID": {required: true, value: icsText},
		"NAME": {value: icsText}, "X-WR-CALNAME": {value: icsText},
		"REFRESH-INTERVAL": {value: icsDuration, params: map[string]string{"VALUE": "DURATION"}},
		"X-PUBLISHED-TTL":  {value: icsDuration},
	},
	"VEVENT": {
		"UID": {required: true, value: icsText}, "DTSTAMP": {required: true, value: icsUTC},
		"DTSTART": {required: true, value: icsUTC}, "DTEND": {required: true, value: icsUTC},
		"LAST-MODIFIED": {value: icsUTC}, "SEQUENCE": {value: icsInteger}, "SUMMARY": {value: icsText},
		"CLASS": {value: icsClass}, "STATUS": {value: icsStatus}, "TRANSP": {value: icsTransp},
	},
	"VTIMEZONE": {"TZID": {required: true, value: icsZone}},
	"STANDARD": {
		"DTSTART": {required: true, value: icsLocal}, "TZOFFSETFROM": {required: true, value: icsOffset},
		"TZOFFSETTO": {required: true, value: icsOffset}, "TZNAME": {value: icsText},
	},
}

// icsParents maps each component to its parent.
var icsParents = map[string]string{
	"VCALENDAR": "", "VEVENT": "VCALENDAR", "VTIMEZONE": "VCALENDAR",
	"STANDARD": "VTIMEZONE",
}

// requireStrict checks a feed against the grammar.
func requireStrict(t require.TestingT, text string) {
	require.NoError(t, strictly(text), "%s", text)
}

// strictly returns the first violation of the grammar in the text.
func strictly(text string) error {
	lines, err := unfolded(text)
	if err != nil {
		return err
	}
	var open []string
	seen := []map[string]bool{}
	closed := map[string]int{}
	for _, line := range lines {
		parts := icsLine.FindStringSubmatch(line)
		if parts == nil {
			return fmt.Errorf("%q is not a content line", line)
		}
		name, params, value := parts[1], parts[2], parts[3]
		switch {
		case name == "BEGIN":
			parent := ""
			if len(open) > 0 {
				parent = open[len(open)-1]
			}
			if _, known := icsComponents[value]; !known || icsParents[value] != parent || params != "" {
				return fmt.Errorf("%q does not begin within %q", line, parent)
			}
			open, seen = append(open, value), append(seen, map[string]bool{})
		case len(open) == 0:
			return fmt.Errorf("%q is outside the calendar", line)
		case name == "END":
			if open[len(open)-1] != value || params != "" {
				return fmt.Errorf("%q ends %q", line, open[len(open)-1])
			}
			for required, p := range icsComponents[value] {
				if p.required && !seen[len(seen)-1][required] {
					return fmt.Errorf("a %s has no %s", value, required)
				}
			}
			closed[value]++
			open, seen = open[:len(open)-1], seen[:len(seen)-1]
		default:
			if err := icsPropertyOf(open[len(open)-1], name, params, value, seen[len(seen)-1]); err != nil {
				return err
			}
		}
	}
	switch {
	case len(open) > 0 || closed["VCALENDAR"] != 1:
		return fmt.Errorf("it is not one calendar: %v is open, %v are closed", open, closed)
	case closed["VEVENT"]+closed["VTIMEZONE"] == 0:
		return fmt.Errorf("a calendar has at least one component (RFC 5545, section 3.6)")
	}
	return nil
}

func icsPropertyOf(component, name, params, value string, seen map[string]bool) error {
	p, known := icsComponents[component][name]
	switch {
	case !known:
		return fmt.Errorf("a feed has no %s in a %s", name, component)
	case seen[name]:
		return fmt.Errorf("a %s has %s twice", component, name)
	case !p.value.MatchString(value):
		return fmt.Errorf("%s cannot be %q", name, value)
	}
	seen[name] = true
	given := map[string]bool{}
	for _, param := range slices.DeleteFunc(strings.Split(params, ";"), func(s string) bool { return s == "" }) {
		key, is, _ := strings.Cut(param, "=")
		if given[key] {
			return fmt.Errorf("%s has the parameter %s twice", name, key)
		}
		if want, known := p.params[key]; !known || want != is {
			return fmt.Errorf("%s does not have the parameter %q", name, param)
		}
		given[key] = true
	}
	if len(given) != len(p.params) {
		return fmt.Errorf("%s needs the parameters %v", name, p.params)
	}
	return nil
}

// unfolded returns the content lines of a text. Its lines must end with CR and LF and be folded at
// 75 octets, never within a character.
func unfolded(text string) ([]string, error) {
	rest, ended := strings.CutSuffix(text, "\r\n")
	if !ended {
		return nil, fmt.Errorf("the last line does not end with CR and LF")
	}
	var lines []string
	for line := range strings.SplitSeq(rest, "\r\n") {
		switch {
		case line == "" || strings.ContainsAny(line, "\r\n"):
			return nil, fmt.Errorf("%q is not a line", line)
		case len(line) > 75 || !utf8.ValidString(line):
			return nil, fmt.Errorf("%q has %d octets, or half a character", line, len(line))
		}
		if more, folded := strings.CutPrefix(line, " "); folded && len(lines) > 0 {
			lines[len(lines)-1] += more
			continue
		}
		lines = append(lines, line)
	}
	return lines, nil
}
