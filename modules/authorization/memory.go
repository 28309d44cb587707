package authorization

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
)

// memory is what an operation's row keeps of its outcome: what a repetition
// must answer, and nothing that identifies a patient.
type memory struct {
	// Call tells the request that carried the operation out from others with the
	// same key: after a COMMIT without an answer, only the one whose row it is
	// may answer with what it had decided.
	Call         uuid.UUID     `json:"call"`
	Refusal      *fault.Frozen `json:"refusal,omitempty"`
	Balance      Balance       `json:"balance"`
	Version      int           `json:"version"`
	UpdatedAt    time.Time     `json:"updatedAt"`
	Reservations []Reservation `json:"reservations,omitempty"`
	Consumed     int           `json:"consumed,omitempty"`
	Missing      int           `json:"missing,omitempty"`
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
		m.Refusal = o.Refusal.Freeze()
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
	for i := range o.Reservations {
		o.Reservations[i].OrganizationID, o.Reservations[i].AuthorizationID = now.OrganizationID, now.ID
	}
	o.Authorization.Balance = m.Balance
	o.Authorization.Version = m.Version
	o.Authorization.UpdatedAt = m.UpdatedAt
	o.Authorization.NextExpiry = nil // the balance is the one of that moment
	if m.Refusal != nil {
		refusal, err := m.Refusal.Thaw()
		if err != nil {
			return Outcome{}, err
		}
		o.Refusal = refusal
	}
	return o, nil
}

// ForgetOperations deletes what is remembered of operations that are older than
// the given time, of all organizations, and returns how many those were. Their
// entries stay.
func (s *Service) ForgetOperations(ctx context.Context, older time.Duration) (int64, error) {
	before := s.clock().Add(-older)
	return db.ReadCommitted(ctx, s.database, "units.forget", func(ctx context.Context) (int64, error) {
		return s.store.forgetOperations(ctx, before)
	}, db.AllOrganizations())
}
