package logtest

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Members of requests and answers whose values are kept: those that let somebody
// in, and those that are health data or say who somebody is.
var (
	keys = []string{
		"accessToken", "refreshToken", "token", "secret", "apiKey", "path", "link", "recoveryCodes", "otpauth",
		"password", "newPassword", "currentPassword",
	}
	stories = []string{
		"email", "firstName", "lastName", "name", "dateOfBirth", "medicalRecordNumber", "memberId", "groupNumber", "authNumber", "npi", "licenseNumber",
		"notes", "narrative", "text", "reason", "note", "comment", "location", "phone", "reference",
	}
)

// Asked tells a watch what in the JSON of a request is to be kept, at any depth.
// What is no JSON tells nothing.
func (w *Watch) Asked(text []byte) { w.told(text, true) }

// Answered tells a watch what in the JSON of an answer lets somebody in. What else
// there is was asked, or is a word of the program's own.
func (w *Watch) Answered(text []byte) { w.told(text, false) }

// Asked tells the watch of this test process.
func Asked(text []byte) { whole.Asked(text) }

// Answered tells the watch of this test process.
func Answered(text []byte) { whole.Answered(text) }

func (w *Watch) told(text []byte, asked bool) {
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
		if !asked && slices.Contains(keys, name) || asked && slices.Contains(slices.Concat(keys, stories), name) && !isCommon(v) {
			w.Secret(name, v)
		}
	}
}

// isCommon recognizes what may stand in a log for another reason: a single word of
// one case, such as a role or what became of something, a short number, an address,
// and a day that is not long ago.
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
	return only("ABCDEFGHIJKLMNOPQRSTUVWXYZ_") || only("abcdefghijklmnopqrstuvwxyz-") || len(value) < longNumber && only("0123456789")
}
