package directory

import (
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"omnirapeutic/platform/fault"
)

func checkName(name string) error {
	const maxName = 100
	if strings.TrimSpace(name) == "" || utf8.RuneCountInString(name) > maxName ||
		!utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return fault.InvalidFields(fault.Field{Field: "name", Code: "text", Message: "must be one line of 1 to 100 " +
			"characters"})
	}
	return nil
}

// checkZone accepts only IANA names. A system's zone directory contains others as well: some
// depend on the machine, and "right" counts leap seconds.
func checkZone(name string) error {
	first, _, _ := strings.Cut(strings.ToLower(name), "/")
	own := slices.Contains([]string{"", "local", "localtime", "posixrules", "posix", "right"}, first)
	if _, err := time.LoadLocation(name); err == nil && !own {
		return nil
	}
	return fault.InvalidFields(invalidZone)
}

var invalidZone = fault.Field{
	Field: "timeZone", Code: "timezone",
	Message: "must be a time zone's name, such as America/New_York",
}

// Check returns [fault.ErrInvalid] if the new time zone does not exist.
func (c OrganizationChange) Check() error {
	if !c.TimeZone.Given {
		return nil
	}
	return checkZone(c.TimeZone.Value)
}

// Default settings of an organization's appointments.
const (
	defaultLateCancelHours = 24

	defaultEarlyStartMinutes   = 30
	defaultConfirmLengthFactor = 2
)
