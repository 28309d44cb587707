package password

import (
	"bufio"
	_ "embed" // for the list of common passwords
	"fmt"
	"strings"
	"unicode/utf8"

	"omnirapeutic/platform/fault"
)

// The rules for new passwords follow NIST SP 800-63B-4, section 3.1.1.2: a minimum length in
// characters, no composition rules, and a list of refused common passwords. It requires 15
// characters for passwords without a second factor. One rule for all users is easier to explain.
// Shorter passwords from earlier versions still work.
const (
	minLength = 15 // characters
	// MaxLength is the maximum length in bytes, which limits the cost of hashing.
	MaxLength = 128
)

//go:embed common_passwords.txt
var commonPasswords string

// programName must not be part of a password.
const programName = "omnirapeutic"

var isCommon = func() map[string]bool {
	common := map[string]bool{}
	lines := bufio.NewScanner(strings.NewReader(commonPasswords))
	for lines.Scan() {
		if line := strings.TrimSpace(lines.Text()); line != "" && !strings.HasPrefix(line, "#") {
			common[line] = true
		}
	}
	return common
}()

// Check returns an error for each rule that a new password breaks.
func Check(password, email string) []fault.Field {
	invalid := func(code, message string) []fault.Field {
		return []fault.Field{{Field: "password", Code: code, Message: message}}
	}
	small := strings.ToLower(password)
	name, _, _ := strings.Cut(email, "@")
	const minName = 4 // shorter names occur in too many words
	switch {
	case utf8.RuneCountInString(password) < minLength:
		return invalid("min", fmt.Sprintf("must have at least %d characters", minLength))
	case len(password) > MaxLength:
		return invalid("max", fmt.Sprintf("must have at most %d bytes", MaxLength))
	case !utf8.ValidString(password):
		return invalid("characters", "must be valid UTF-8")
	case isCommon[small] || strings.Contains(small, programName) || isRepeated(small):
		return invalid("common", "must not be one of the most common passwords")
	case len(name) >= minName && strings.Contains(small, name):
		return invalid("guessable", "must not contain the name in the e-mail address")
	}
	return nil
}

// isRepeated reports whether the password repeats a shorter text, which is the easiest way to
// reach the minimum length.
func isRepeated(password string) bool {
	for unit := 1; unit <= len(password)/2; unit++ {
		if password[unit:] == password[:len(password)-unit] {
			return true
		}
	}
	return false
}
