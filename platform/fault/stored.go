package fault

import (
	"encoding/json"
	"fmt"
)

// Stored is an error in the form in which it is stored.
type Stored struct {
	Code    string          `json:"code"`
	Text    string          `json:"text"`
	Details json.RawMessage `json:"details,omitempty"`
	Reasons []Reason        `json:"reasons,omitempty"`
}

// Store returns the error in its stored form. It panics if the details cannot be
// encoded as JSON, which is a programming error.
func (e *Error) Store() *Stored {
	f := &Stored{Code: e.code, Text: e.text, Reasons: e.reasons}
	if e.details != nil {
		details, err := json.Marshal(e.details)
		if err != nil {
			panic(fmt.Sprintf("fault: the details of %s cannot be written as JSON: %v", e.code, err))
		}
		f.Details = details
	}
	return f
}

// Restore restores the stored error. The details remain encoded JSON. It fails if this
// version of the program does not define the code.
func (f *Stored) Restore() (*Error, error) {
	defined, ok := ByCode(f.Code)
	if !ok {
		return nil, fmt.Errorf("fault: the code %q of a stored error is unknown to this version", f.Code)
	}
	var details any // an untyped nil if there are no details
	if f.Details != nil {
		details = f.Details
	}
	restored := defined.With(details, "%s", f.Text)
	restored.reasons = f.Reasons
	return restored, nil
}
