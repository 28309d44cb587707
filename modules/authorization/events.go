package authorization

import (
	"github.com/google/uuid"

	"omnirapeutic/platform/outbox"
	"omnirapeutic/platform/permission"
)

// EventBalance is the type of the event that an authorization's counters have changed. Subscribers
// need [permission.AuthorizationRead]. Its data is a [BalanceChange].
const EventBalance = "authorization.balance"

// EventTypes returns the types of all events that this module publishes.
func EventTypes() []outbox.Type {
	return []outbox.Type{{Name: EventBalance, Permission: permission.AuthorizationRead}}
}

// BalanceChange has an authorization's counters after an operation. It leaves the system, so it
// does not identify the patient.
type BalanceChange struct {
	AuthorizationID uuid.UUID `json:"authorizationId"`
	TotalUnits      int       `json:"totalUnits"`
	UsedUnits       int       `json:"usedUnits"`
	ScheduledUnits  int       `json:"scheduledUnits"`
	AvailableUnits  int       `json:"availableUnits"`
	Version         int       `json:"version"`
	// The operation. If several changed the counters at once, the last one.
	Operation EntryKind `json:"operation"`
}

// balanceMessage returns the event for the operations on one authorization.
func balanceMessage(b accountChange) outbox.Message {
	a := b.after.Authorization
	return outbox.Message{
		OrganizationID: a.OrganizationID, Type: EventBalance, SubjectID: a.ID,
		Permission: permission.AuthorizationRead, OccurredAt: a.UpdatedAt,
		Payload: BalanceChange{
			AuthorizationID: a.ID, TotalUnits: a.Total, UsedUnits: a.Used, ScheduledUnits: a.Scheduled,
			AvailableUnits: a.Available(), Version: a.Version, Operation: b.entries[len(b.entries)-1].Kind,
		},
	}
}
