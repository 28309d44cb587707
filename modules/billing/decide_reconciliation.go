package billing

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"

	"omnirapeutic/modules/appointments"
	"omnirapeutic/modules/authorization"
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/record"
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

// exportedKey identifies the units of a version of a session on an authorization.
type exportedKey struct {
	organization, authorization, session uuid.UUID
	version                              int
}

func keyOf(u appointments.CoveredUnits) exportedKey {
	return exportedKey{u.OrganizationID, u.AuthorizationID, u.SessionID, u.Version}
}

// unreconciled reports the authorizations whose consumed units are not accounted for over all their
// service dates. current has the units of versions of sessions on claims that the payer has; the other
// units of present versions wait for a claim.
func unreconciled(
	snapshots []authorization.Snapshot, covered []appointments.CoveredUnits, current map[exportedKey]int,
) []authorization.Discrepancy {
	present := map[record.Key][]appointments.CoveredUnits{} // by authorization
	for _, u := range covered {
		if u.AppointmentID != nil {
			of := record.Of(u.OrganizationID, u.AuthorizationID)
			present[of] = append(present[of], u)
		}
	}
	var problems []authorization.Discrepancy
	for _, s := range snapshots {
		balance := Balance{AuthorizationID: s.ID, Consumed: s.Used}
		delivered := map[uuid.UUID]bool{}
		for _, u := range present[record.Of(s.OrganizationID, s.ID)] {
			delivered[*u.AppointmentID] = true
			if units, exists := current[keyOf(u)]; exists {
				balance.Exported += units
			} else {
				balance.Waiting += u.Units
			}
		}
		for _, r := range s.Reservations {
			if r.AppointmentID == nil || !delivered[*r.AppointmentID] {
				balance.WithoutSession += r.Consumed
			}
		}
		if !balance.Agrees() {
			problems = append(problems, s.Discrepancy(checkReconciliation,
				fmt.Sprintf("%d units consumed in the ledger", balance.Consumed),
				fmt.Sprintf("%d on claims, %d waiting for a claim, %d without a session", balance.Exported, balance.Waiting,
					balance.WithoutSession)))
		}
	}
	return problems
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
