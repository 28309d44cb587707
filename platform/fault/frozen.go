package fault

import (
	"encoding/json"
	"fmt"
)

// Frozen is an error as it can be stored, to be told again later.
type Frozen struct {
	Code    string          `json:"code"`
	Text    string          `json:"text"`
	Details json.RawMessage `json:"details,omitempty"`
	Reasons []Reason        `json:"reasons,omitempty"`
}

// Freeze returns the error as it can be stored. It panics where the details cannot
// be written as JSON, which is a bug of whoever gave them.
func (e *Error) Freeze() *Frozen {
	f := &Frozen{Code: e.code, Text: e.text, Reasons: e.reasons}
	if e.details != nil {
		details, err := json.Marshal(e.details)
		if err != nil {
			panic(fmt.Sprintf("fault: the details of %s cannot be written as JSON: %v", e.code, err))
		}
		f.Details = details
	}
	return f
}

// Thaw returns the error that was stored, with its details as they were written.
// It fails where this program does not know the code.
func (f *Frozen) Thaw() (*Error, error) {
	defined, ok := ByCode(f.Code)
	if !ok {
		return nil, fmt.Errorf("fault: a refusal with the code %q was stored, which this program does not know", f.Code)
	}
	var details any // nil, and not a nil of some type, where there are none
	if f.Details != nil {
		details = f.Details
	}
	thawed := defined.With(details, "%s", f.Text)
	thawed.reasons = f.Reasons
	return thawed, nil
}
