package authorization

import (
	"context"
	"encoding/json"
	"time"

	"omnirapeutic/platform/operation"
)

// operations stores the outcomes of operations on units, for replay.
var operations = operation.In("unit_operations")

// memory is the stored form of an outcome: the content of a replayed response, without data that
// identifies a patient.
type memory struct {
	operation.Answer
	Balance      Balance       `json:"balance"`
	Version      int           `json:"version"`
	UpdatedAt    time.Time     `json:"updatedAt"`
	Reservations []Reservation `json:"reservations,omitempty"`
	Consumed     int           `json:"consumed,omitempty"`
	Missing      int           `json:"missing,omitempty"`
}

func memoryOf(op Operation, o Outcome) memory {
	m := memory{
		Answer:       operation.Answer{Call: op.NewID},
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

// done returns the row from which a repeated operation is answered.
func (b batch) done(op Operation, o Outcome, now time.Time) (operation.Done, error) {
	stored, err := json.Marshal(memoryOf(op, o))
	return operation.Done{
		Key: b.operationKey(op), Kind: string(op.Kind), Fingerprint: op.fingerprint(), Outcome: stored, CreatedAt: now,
	}, err
}

// recall returns the stored outcome of an earlier operation. Fields that are not stored come from
// the current authorization.
func recall(now Authorization, earlier operation.Done) (Outcome, error) {
	var m memory
	if err := earlier.Recall(&m); err != nil {
		return Outcome{}, err
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
	o.Authorization.NextExpiry = nil // the balance is that of the earlier operation
	if m.Refusal != nil {
		refusal, err := m.Refusal.Thaw()
		if err != nil {
			return Outcome{}, err
		}
		o.Refusal = refusal
	}
	return o, nil
}

// ForgetOperations deletes the stored outcomes of operations older than the given duration, of all
// organizations, and returns their number. Ledger entries are kept.
func (s *Service) ForgetOperations(ctx context.Context, older time.Duration) (int64, error) {
	return operations.Forget(ctx, s.database, "units.forget", s.clock().Add(-older))
}
