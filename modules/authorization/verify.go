package authorization

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Discrepancy is an inconsistency in an authorization's books.
type Discrepancy struct {
	OrganizationID  uuid.UUID `json:"organizationId"`
	AuthorizationID uuid.UUID `json:"authorizationId"`
	Check           string    `json:"check"` // The broken rule.
	// The sequence number of the entry, if the discrepancy concerns one.
	Sequence      int64  `json:"sequence,omitempty"`
	ReservationID string `json:"reservationId,omitempty"` // The reservation, if the discrepancy concerns one.
	// The value that follows from the rest of the ledger.
	Expected string `json:"expected"`
	Found    string `json:"found"` // The stored value.
}

// String describes the discrepancy in one line.
func (p Discrepancy) String() string {
	where := "authorization " + p.AuthorizationID.String()
	if p.Sequence > 0 {
		where += fmt.Sprintf(", entry %d", p.Sequence)
	}
	if p.ReservationID != "" {
		where += ", reservation " + p.ReservationID
	}
	return fmt.Sprintf("%s: %s: expected %s, found %s", where, p.Check, p.Expected, p.Found)
}

// maxProblems is the maximum number of problems that a report lists; all are counted.
const maxProblems = 100

// Report is the result of a verification.
type Report struct {
	OK             bool `json:"ok"`
	Authorizations int  `json:"authorizations"`
	Reservations   int  `json:"reservations"`
	Entries        int  `json:"entries"`
	// open ones, counted once per authorization on which they hold units
	Appointments int           `json:"appointments"`
	ProblemCount int           `json:"problemCount"`
	Problems     []Discrepancy `json:"problems"` // The first 100 discrepancies.
	CheckedAt    time.Time     `json:"checkedAt"`
}

// Snapshot has all data of one authorization at one moment.
type Snapshot struct {
	Authorization
	Reservations []Reservation
	Entries      []Entry // in the order of their sequence numbers
}

// Comparison compares books with the records of another module, in the snapshot in which the books
// were read.
type Comparison func(ctx context.Context, snapshots []Snapshot) (Compared, error)

// Compared is the result of a [Comparison].
type Compared struct {
	Appointments int // open ones, counted once per authorization on which they hold units
	Problems     []Discrepancy
}

// verified is what one snapshot has of some authorizations.
type verified struct {
	snapshots []Snapshot
	compared  Compared
}

// add adds the problems of the authorizations: for each one the problems of its ledger, then the
// ones that the comparisons found.
func (r *Report) add(v verified, overdue time.Time) {
	compared := map[uuid.UUID][]Discrepancy{}
	for _, p := range v.compared.Problems {
		compared[p.AuthorizationID] = append(compared[p.AuthorizationID], p)
	}
	r.Authorizations += len(v.snapshots)
	r.Appointments += v.compared.Appointments
	for _, b := range v.snapshots {
		r.Reservations += len(b.Reservations)
		r.Entries += len(b.Entries)
		problems := append(b.check(overdue), compared[b.ID]...)
		r.ProblemCount += len(problems)
		r.Problems = append(r.Problems, problems[:min(len(problems), maxProblems-len(r.Problems))]...)
	}
}

// check replays the ledger and returns all inconsistencies. Holds that expired before overdue
// should have been released.
func (b Snapshot) check(overdue time.Time) []Discrepancy {
	a := ledgerCheck{
		Snapshot: b, sums: make(map[uuid.UUID]Reservation, len(b.Reservations)),
		reversed: map[int64]bool{},
	}
	a.replay()
	a.compareCounters()
	a.compareReservations(overdue)
	return a.problems
}

// Discrepancy returns a discrepancy in the authorization's books.
func (b Snapshot) Discrepancy(check, expected, found string) Discrepancy {
	return Discrepancy{
		OrganizationID: b.OrganizationID, AuthorizationID: b.ID, Check: check, Expected: expected,
		Found: found,
	}
}

// ledgerCheck is the check of one authorization's books.
type ledgerCheck struct {
	Snapshot
	balance  Balance                   // replayed from the entries
	sums     map[uuid.UUID]Reservation // replayed from the entries
	reversed map[int64]bool            // the consumptions that were taken back
	problems []Discrepancy
}

func (a *ledgerCheck) expect(check string, entry *Entry, reservation uuid.UUID, expected, found any) {
	if expected == found {
		return
	}
	p := a.Discrepancy(check, fmt.Sprint(expected), fmt.Sprint(found))
	if entry != nil {
		p.Sequence = entry.Sequence
	}
	if reservation != uuid.Nil {
		p.ReservationID = reservation.String()
	}
	a.problems = append(a.problems, p)
}

func (a *ledgerCheck) replay() {
	a.balance = Balance{Total: a.InitialUnits}
	previous := genesis(a.OrganizationID, a.ID, a.InitialUnits)
	var sequence int64
	for i := range a.Entries {
		e := &a.Entries[i]
		a.expect("sequence", e, uuid.Nil, sequence+1, e.Sequence)
		a.expect("chain", e, uuid.Nil, previous, e.PreviousHash)
		a.expect("hash", e, uuid.Nil, e.computeHash(), e.Hash)
		a.apply(e)
		a.expect("balance-after", e, uuid.Nil, a.balance, e.After())
		sequence, previous = e.Sequence, e.Hash
	}
	a.expect("sequence", nil, uuid.Nil, sequence, a.LastSequence)
	a.expect("head", nil, uuid.Nil, previous, a.LastHash)
}

// apply applies an entry to the replayed counters.
func (a *ledgerCheck) apply(e *Entry) {
	var sum Reservation
	if e.ReservationID != nil {
		sum = a.sums[*e.ReservationID]
		if sum.Sequence == 0 {
			sum.Sequence = e.Sequence
		}
	}
	switch e.Kind {
	case Reserve:
		a.balance.Scheduled += e.Units
		sum.Units += e.Units
		sum.ServiceDate = e.ServiceDate
	case Release, Expire:
		a.balance.Scheduled -= e.Units
		sum.Released += e.Units
	case Consume:
		a.balance.Scheduled -= e.Units
		a.balance.Used += e.Units
		sum.Consumed += e.Units
	case Reverse:
		a.balance.Used -= e.Units
		sum.Consumed -= e.Units
		sum.Released += e.Units
		a.checkCorrection(e)
	case Adjust:
		a.balance.Total += e.Units
	}
	if e.ReservationID != nil {
		a.sums[*e.ReservationID] = sum
	}
}

// checkCorrection checks that a reversal takes back exactly the consumption that it names, and that
// no other reversal has done so.
func (a *ledgerCheck) checkCorrection(e *Entry) {
	expected := fmt.Sprintf("%d units consumed for reservation %s", e.Units, text(e.ReservationID))
	found := "no consumption named"
	if e.Corrects != nil {
		found = fmt.Sprintf("entry %d does not exist before it", *e.Corrects)
		if at := *e.Corrects; at >= 1 && at < e.Sequence && at <= int64(len(a.Entries)) {
			corrected := a.Entries[at-1]
			found = fmt.Sprintf("%d units consumed for reservation %s", corrected.Units, text(corrected.ReservationID))
			if corrected.Kind != Consume {
				found = "a " + string(corrected.Kind) + " entry"
			}
		}
		if a.reversed[*e.Corrects] {
			found = "a consumption that was reversed before"
		}
		a.reversed[*e.Corrects] = true
	}
	a.expect("correction", e, uuid.Nil, expected, found)
}

func (a *ledgerCheck) compareCounters() {
	a.expect("total", nil, uuid.Nil, a.balance.Total, a.Total)
	a.expect("used", nil, uuid.Nil, a.balance.Used, a.Used)
	a.expect("scheduled", nil, uuid.Nil, a.balance.Scheduled, a.Scheduled)
	var used, scheduled int
	for _, r := range a.Reservations {
		used += r.Consumed
		scheduled += r.Left()
	}
	if a.UnitsByDate != nil {
		booked := UnitsByDate{}
		for _, r := range a.Reservations {
			if units := r.Units - r.Released; units > 0 {
				booked[r.ServiceDate] += units
			}
		}
		a.expect("booked-by-date", nil, uuid.Nil, booked.String(), a.UnitsByDate.String())
	}
	a.expect("reservations-used", nil, uuid.Nil, used, a.Used)
	a.expect("reservations-scheduled", nil, uuid.Nil, scheduled, a.Scheduled)
}

// units has the fields on which a reservation and its entries must agree.
type units struct{ Units, Consumed, Released int }

func (a *ledgerCheck) compareReservations(overdue time.Time) {
	for _, r := range a.Reservations {
		sum := a.sums[r.ID]
		a.expect("reservation", nil, r.ID,
			units{sum.Units, sum.Consumed, sum.Released}, units{r.Units, r.Consumed, r.Released})
		a.expect("age", nil, r.ID, sum.Sequence, r.Sequence)
		a.expect("service-date", nil, r.ID, sum.ServiceDate, r.ServiceDate)
		if r.hasLeft() && r.ExpiresAt != nil && (a.NextExpiry == nil || a.NextExpiry.After(*r.ExpiresAt)) {
			a.expect("next-expiry", nil, r.ID, "not after "+r.ExpiresAt.Format(time.RFC3339), fmt.Sprint(a.NextExpiry))
		}
		if r.ExpiredAt(overdue) {
			a.expect("overdue", nil, r.ID, "released once expired at "+r.ExpiresAt.Format(time.RFC3339),
				fmt.Sprintf("%d units held", r.Left()))
		}
		delete(a.sums, r.ID)
	}
	for id, sum := range a.sums {
		a.expect("reservation", nil, id, units{sum.Units, sum.Consumed, sum.Released}, "no such reservation")
	}
}
