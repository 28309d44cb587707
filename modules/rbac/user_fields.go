package rbac

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"omnirapeutic/platform/fault"
)

// emailForm is the form that browsers accept (HTML Standard, "valid e-mail address"), with a dot in
// the domain. It is ASCII only: some other letters, such as the Kelvin sign or the dotted capital
// I, become ASCII when lowercased.
var emailForm = regexp.MustCompile("^[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?" +
	"(\\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)+$")

// maxEmail is the longest address that mail can be sent to, in bytes: RFC 5321,
// section 4.5.3.1.3, without the angle brackets.
const maxEmail = 254

// ParseEmail returns an e-mail address in lower case, the form in which addresses are stored and
// compared. It returns false for any text that is not exactly an address, such as one with
// surrounding spaces or non-ASCII letters. Use it for text from a program, such as a claim of an
// identity provider.
//
// Strictly, the case of letters before the @ may matter. In practice it never does,
// and people type addresses in either case.
func ParseEmail(text string) (string, bool) {
	if len(text) > maxEmail || !emailForm.MatchString(text) {
		return "", false
	}
	return strings.ToLower(text), true
}

// NormalizeTypedEmail returns the address in a text that a person has typed, or the unchanged text
// if it is not an address. Mobile keyboards add spaces at the ends.
func NormalizeTypedEmail(text string) string {
	if email, ok := ParseEmail(strings.Trim(text, " ")); ok {
		return email
	}
	return text
}

// CheckEmail validates an address in its normalized form.
func CheckEmail(text string) []fault.Field {
	if email, ok := ParseEmail(text); !ok || email != text {
		return []fault.Field{{Field: "email", Code: "email", Message: "must be an e-mail address"}}
	}
	return nil
}

// CheckName validates the name of a user.
func CheckName(name string) []fault.Field {
	const maxName = 100 // characters
	if strings.TrimSpace(name) == "" || utf8.RuneCountInString(name) > maxName ||
		!utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return []fault.Field{{Field: "name", Code: "text", Message: "must be one line of 1 to 100 characters"}}
	}
	return nil
}
