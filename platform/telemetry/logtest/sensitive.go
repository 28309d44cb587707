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
	credentialFields = []string{
		"accessToken", "refreshToken", "token", "secret", "apiKey", "path", "link", "recoveryCodes", "otpauth",
		"password", "newPassword", "currentPassword",
	}
	personalFields = []string{
		"email", "firstName", "lastName", "name", "dateOfBirth", "medicalRecordNumber", "memberId",
		"groupNumber", "authNumber", "npi", "licenseNumber",
		"notes", "narrative", "text", "reason", "note", "comment", "location", "phone", "reference",
	}
)

// RegisterRequest registers the sensitive values in the JSON of a request, at any depth. It
// ignores text that is not JSON.
func (w *Watch) RegisterRequest(text []byte) { w.register(text, true) }

// RegisterResponse registers the credentials in the JSON of an answer. Other values were in a
// request or are the program's own texts.
func (w *Watch) RegisterResponse(text []byte) { w.register(text, false) }

// RegisterRequest registers values with the watch of the test process.
func RegisterRequest(text []byte) { whole.RegisterRequest(text) }

// RegisterResponse registers values with the watch of the test process.
func RegisterResponse(text []byte) { whole.RegisterResponse(text) }

func (w *Watch) register(text []byte, isRequest bool) {
	var value any
	if json.Unmarshal(text, &value) == nil {
		w.member("", value, isRequest)
	}
}

func (w *Watch) member(name string, value any, isRequest bool) {
	switch v := value.(type) {
	case map[string]any:
		for key, of := range v {
			w.member(key, of, isRequest)
		}
	case []any:
		for _, key := range v {
			w.member(name, key, isRequest)
		}
	case string:
		sensitive := slices.Contains(credentialFields, name) || isRequest && slices.Contains(personalFields, name)
		if sensitive && !isCommon(v) {
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
