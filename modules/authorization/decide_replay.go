package authorization

import (
	"encoding/json"
	"fmt"
	"time"

	"omnirapeutic/platform/fault"
)

// storedOutcome is the stored form of an outcome: the content of a replayed response, without data
// that identifies a patient.
type storedOutcome struct {
	Refusal      *fault.Stored `json:"refusal,omitempty"` // nil: accepted
	Balance      Balance       `json:"balance"`
	Version      int           `json:"version"`
	UpdatedAt    time.Time     `json:"updatedAt"`
	Reservations []Reservation `json:"reservations,omitempty"`
	Consumed     int           `json:"consumed,omitempty"`
	Missing      int           `json:"missing,omitempty"`
}

func storedOutcomesOf(outcomes []Outcome) any {
	stored := make([]storedOutcome, len(outcomes))
	for i, o := range outcomes {
		stored[i] = storedOutcome{
			Balance:      o.Authorization.Balance,
			Version:      o.Authorization.Version,
			UpdatedAt:    o.Authorization.UpdatedAt,
			Reservations: o.Reservations,
			Consumed:     o.Consumed,
			Missing:      o.Missing,
		}
		if o.Refusal != nil {
			stored[i].Refusal = o.Refusal.Store()
		}
	}
	return stored
}

// replay returns the outcomes of an earlier command from its stored answer.
func (s *unitState) replay(c unitCommand, answer []byte) ([]Outcome, error) {
	var stored []storedOutcome
	if err := json.Unmarshal(answer, &stored); err != nil {
		return nil, err
	}
	if len(stored) != len(c.ops) {
		return nil, fmt.Errorf("authorization: %d stored outcomes for %d operations", len(stored), len(c.ops))
	}
	outcomes := make([]Outcome, len(stored))
	for i, each := range stored {
		var err error
		if outcomes[i], err = each.outcome(s.authorization(c.key(c.ops[i]))); err != nil {
			return nil, err
		}
		outcomes[i].Today = momentIn(s.now, c.zone).Today
	}
	return outcomes, nil
}

// outcome returns the outcome. Fields that are not stored come from the current authorization.
func (o storedOutcome) outcome(now Authorization) (Outcome, error) {
	found := Outcome{Authorization: now, Reservations: o.Reservations, Consumed: o.Consumed, Missing: o.Missing}
	for i := range found.Reservations {
		found.Reservations[i].OrganizationID, found.Reservations[i].AuthorizationID = now.OrganizationID, now.ID
	}
	found.Authorization.Balance = o.Balance
	found.Authorization.Version = o.Version
	found.Authorization.UpdatedAt = o.UpdatedAt
	found.Authorization.NextExpiry = nil // the balance is that of the earlier operation
	if o.Refusal == nil {
		return found, nil
	}
	refusal, err := o.Refusal.Restore()
	found.Refusal = refusal
	return found, err
}
