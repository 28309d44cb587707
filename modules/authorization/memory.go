package authorization

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/fault"
)

// memory is what an operation's row keeps of its outcome: what a repetition
// must answer, and nothing that identifies a patient.
type memory struct {
	// Call tells the request that carried the operation out from others with the
	// same key: after a COMMIT without an answer, only the one whose row it is
	// may answer with what it had decided.
	Call         uuid.UUID      `json:"call"`
	Refusal      *refusalMemory `json:"refusal,omitempty"`
	Balance      Balance        `json:"balance"`
	Version      int            `json:"version"`
	UpdatedAt    time.Time      `json:"updatedAt"`
	Reservations []Reservation  `json:"reservations,omitempty"`
	Consumed     int            `json:"consumed,omitempty"`
	Missing      int            `json:"missing,omitempty"`
}

type refusalMemory struct {
	Code    string          `json:"code"`
	Text    string          `json:"text"`
	Details json.RawMessage `json:"details,omitempty"`
}

func memoryOf(op Operation, o Outcome) memory {
	m := memory{
		Call:         op.NewID,
		Balance:      o.Authorization.Balance,
		Version:      o.Authorization.Version,
		UpdatedAt:    o.Authorization.UpdatedAt,
		Reservations: o.Reservations,
		Consumed:     o.Consumed,
		Missing:      o.Missing,
	}
	if o.Refusal != nil {
		details, err := json.Marshal(o.Refusal.Details())
		if err != nil {
			panic(fmt.Sprintf("authorization: the details of %s cannot be written as JSON: %v", o.Refusal.Code(), err))
		}
		m.Refusal = &refusalMemory{o.Refusal.Code(), o.Refusal.Error(), details}
	}
	return m
}

// recall returns the outcome of the earlier operation, on the authorization as
// it is now.
func recall(now Authorization, stored json.RawMessage) (Outcome, error) {
	var m memory
	if err := json.Unmarshal(stored, &m); err != nil {
		return Outcome{}, fmt.Errorf("authorization: the outcome of an operation cannot be read: %w", err)
	}
	o := Outcome{
		Authorization: now,
		Reservations:  m.Reservations,
		Consumed:      m.Consumed,
		Missing:       m.Missing,
		Replayed:      true,
	}
	o.Authorization.Balance = m.Balance
	o.Authorization.Version = m.Version
	o.Authorization.UpdatedAt = m.UpdatedAt
	o.Authorization.NextExpiry = nil // the balance is the one of that moment
	if m.Refusal != nil {
		defined, ok := fault.ByCode(m.Refusal.Code)
		if !ok {
			return Outcome{}, fmt.Errorf("authorization: an operation was refused with %q, which this program does not know", m.Refusal.Code)
		}
		o.Refusal = defined.With(m.Refusal.Details, "%s", m.Refusal.Text)
	}
	return o, nil
}
