package billing

import (
	"cmp"
	"maps"
	"slices"

	"github.com/google/uuid"

	"omnirapeutic/modules/authorization"
	"omnirapeutic/platform/calendar"
)

// Balance compares the consumed units of an authorization with its lines. Units are on a line, wait
// for one, or have none because they were consumed without a session, as after a no-show.
type Balance struct {
	AuthorizationID uuid.UUID
	Consumed        int // in the ledger
	Exported        int // on exported lines
	Ready           int // on ready lines
	Waiting         int // on blocked lines
	WithoutSession  int // consumed for no session
}

// Agrees reports whether every consumed unit is accounted for.
func (b Balance) Agrees() bool {
	return b.Consumed == b.Exported+b.Ready+b.Waiting+b.WithoutSession
}

// Reconciliation compares the ledger with the lines of a period.
type Reconciliation struct {
	Balance  // the sums
	Balances []Balance
}

// Agrees reports whether every authorization agrees.
func (r Reconciliation) Agrees() bool {
	return !slices.ContainsFunc(r.Balances, func(b Balance) bool { return !b.Agrees() })
}

// reconcile compares the consumed units of a period with its lines. A service counts once, with its
// newest line.
func (b book) reconcile(consumed []authorization.ConsumedUnits, from, to calendar.Date) Reconciliation {
	delivered := map[uuid.UUID]bool{} // the appointments with a session that took place
	for _, s := range b.sessions {
		if s.VoidedAt == nil {
			delivered[s.AppointmentID] = true
		}
	}
	byID := map[uuid.UUID]*Balance{}
	of := func(id uuid.UUID) *Balance {
		if byID[id] == nil {
			byID[id] = &Balance{AuthorizationID: id}
		}
		return byID[id]
	}
	for _, c := range consumed {
		balance := of(c.AuthorizationID)
		balance.Consumed += c.Units
		if c.AppointmentID == nil || !delivered[*c.AppointmentID] {
			balance.WithoutSession += c.Units
		}
	}
	for _, l := range b.lines() {
		if l.Frequency == Void || l.ServiceDate.Before(from) || l.ServiceDate.After(to) {
			continue
		}
		balance := of(l.AuthorizationID)
		switch l.State {
		case Exported:
			balance.Exported += l.CoveredUnits
		case Ready:
			balance.Ready += l.CoveredUnits
		case Blocked:
			balance.Waiting += l.CoveredUnits
		case Superseded, Retracted:
		}
	}
	var r Reconciliation
	for _, id := range slices.SortedFunc(maps.Keys(byID), compareIDs) {
		one := *byID[id]
		r.Consumed += one.Consumed
		r.Exported += one.Exported
		r.Ready += one.Ready
		r.Waiting += one.Waiting
		r.WithoutSession += one.WithoutSession
		r.Balances = append(r.Balances, one)
	}
	slices.SortStableFunc(r.Balances, func(x, y Balance) int {
		return cmp.Or(boolCompare(x.Agrees(), y.Agrees()), compareIDs(x.AuthorizationID, y.AuthorizationID))
	})
	return r
}

// boolCompare sorts false before true.
func boolCompare(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
