package logtest

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Members of requests and answers whose values must not be logged: credentials, health
// data and data that identifies people.
var (
	keys = []string{
		"accessToken", "refreshToken", "token", "secret", "apiKey", "path", "link", "recoveryCodes", "otpauth",
		"password", "newPassword", "currentPassword",
	}
	stories = []string{
		"email", "firstName", "lastName", "name", "dateOfBirth", "medicalRecordNumber", "memberId",
		"groupNumber", "authNumber", "npi", "licenseNumber",
		"notes", "narrative", "text", "reason", "note", "comment", "location", "phone", "reference",
	}
)

// Asked registers the sensitive values in the JSON of a request, at any depth. It
// ignores text that is not JSON.
func (w *Watch) Asked(text []byte) { w.register(text, true) }

// Answered registers the credentials in the JSON of an answer. Other values were in a
// request or are the program's own texts.
func (w *Watch) Answered(text []byte) { w.register(text, false) }

// Asked registers values with the watch of the test process.
func Asked(text []byte) { whole.Asked(text) }

// Answered registers values with the watch of the test process.
func Answered(text []byte) { whole.Answered(text) }

func (w *Watch) register(text []byte, asked bool) {
	var value any
	if json.Unmarshal(text, &value) == nil {
		w.member("", value, asked)
	}
}

func (w *Watch) member(name string, value any, asked bool) {
	switch v := value.(type) {
	case map[string]any:
		for each, of := range v {
			w.member(each, of, asked)
		}
	case []any:
		for _, each := range v {
			w.member(name, each, asked)
		}
	case string:
		if !asked && slices.Contains(keys, name) || asked && slices.Contains(slices.Concat(keys, stories), name) &&
			!isCommon(v) {
			w.Secret(name, v)
		}
	}
}

// isCommon reports whether a value may occur in a log for another reason: a single word
// in one case, such as a role or a status, a short number, an address, or a recent
// date.
func isCommon(value string) bool {
	value = strings.TrimSpace(value)
	if day, err := time.Parse(time.DateOnly, value); err == nil {
		const ago = 365 * 24 * time.Hour
		return time.Since(day) < ago
	}
	if _, err := netip.ParseAddr(value); err == nil {
		return true
	}
	const longNumber = 9
	only := func(allowed string) bool { return strings.Trim(value, allowed) == "" }
	return only("ABCDEFGHIJKLMNOPQRSTUVWXYZ_") || only("abcdefghijklmnopqrstuvwxyz-") || len(value) < longNumber &&
		only("0123456789")
}
