package authorization

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/record"
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

// Snapshot has the facts about one authorization at one moment that comparisons need: its ids, its
// counters, its reservations without their references, and its movements. An authorization can have very
// many entries, so the entries themselves are not kept.
type Snapshot struct {
	Authorization
	Reservations []Reservation
	Movements    Movements
}

// Movements are the facts about the entries of one authorization that are kept: one byte for each entry,
// and the consumptions.
type Movements struct {
	kinds        []byte // indexes of entryKinds, in the order of the entries
	consumptions []consumedUnits
	reversed     map[int64]bool // the consumptions that were taken back
}

// consumedUnits are the units of a consumption.
type consumedUnits struct {
	at          int64 // the number of the entry, from 1
	units       int
	reservation uuid.UUID // may be [uuid.Nil] in a damaged ledger
}

// entryKinds are the kinds of entries. Unknown kinds are the first one.
var entryKinds = []EntryKind{"unknown", Reserve, Release, Expire, Consume, Reverse, Adjust}

// add adds the next entry.
func (m *Movements) add(e *Entry) {
	m.kinds = append(m.kinds, byte(max(0, slices.Index(entryKinds, e.Kind)))) //nolint:gosec // there are few kinds
	switch {
	case e.Kind == Consume:
		m.consumptions = append(m.consumptions, consumedUnits{int64(len(m.kinds)), e.Units, idOf(e.ReservationID)})
	case e.Corrects != nil:
		if m.reversed == nil {
			m.reversed = map[int64]bool{}
		}
		m.reversed[*e.Corrects] = true
	}
}

// Len returns the number of entries.
func (m Movements) Len() int { return len(m.kinds) }

// Kind returns the kind of an entry, and false if it does not exist.
func (m Movements) Kind(entry int64) (EntryKind, bool) {
	if entry < 1 || entry > int64(len(m.kinds)) {
		return "", false
	}
	return entryKinds[m.kinds[entry-1]], true
}

// ConsumedBy returns the units of a consumption, and 0 if the entry is none.
func (m Movements) ConsumedBy(entry int64) int { return m.consumption(entry).units }

// Reversed reports whether an entry takes back the consumption.
func (m Movements) Reversed(consumption int64) bool { return m.reversed[consumption] }

func (m Movements) consumption(entry int64) consumedUnits {
	i, found := slices.BinarySearchFunc(m.consumptions, entry,
		func(c consumedUnits, at int64) int { return cmp.Compare(c.at, at) })
	if !found {
		return consumedUnits{}
	}
	return m.consumptions[i]
}

func idOf(id *uuid.UUID) uuid.UUID {
	if id == nil {
		return uuid.Nil
	}
	return *id
}

// Comparison compares books with the records of another module, in the snapshot in which the books
// were read.
type Comparison func(ctx context.Context, snapshots []Snapshot) (Compared, error)

// Compared is the result of a [Comparison].
type Compared struct {
	Appointments int // open ones, counted once per authorization on which they hold units
	Problems     []Discrepancy
}

// verified is the result of verifying one part of the authorizations.
type verified struct {
	Report     // of the part
	part   int // the parts are numbered in the order of the authorizations
}

// problems are the problems of one authorization: the first ones, and the number of all.
type problems struct {
	first []Discrepancy
	count int
}

func (p *problems) add(found ...Discrepancy) {
	p.count += len(found)
	p.first = append(p.first, found[:min(len(found), maxProblems-len(p.first))]...)
}

// reportOf returns the report of some authorizations: for each one the problems of its ledger, then the
// ones that the comparisons found.
func reportOf(snapshots []Snapshot, found []problems, compared Compared) Report {
	byAuthorization := map[record.Key][]Discrepancy{}
	for _, p := range compared.Problems {
		key := record.Of(p.OrganizationID, p.AuthorizationID)
		byAuthorization[key] = append(byAuthorization[key], p)
	}
	r := Report{Authorizations: len(snapshots), Appointments: compared.Appointments}
	all := problems{}
	for i, b := range snapshots {
		r.Reservations += len(b.Reservations)
		r.Entries += b.Movements.Len()
		all.add(found[i].first...)
		all.count += found[i].count - len(found[i].first)
		all.add(byAuthorization[b.key()]...)
	}
	r.Problems, r.ProblemCount = all.first, all.count
	return r
}

// total adds the results of the parts up, in the order of the authorizations.
type total struct {
	Report
	parts []verified // those with problems: the first ones, in any order
}

func (t *total) add(v verified) {
	t.Authorizations += v.Authorizations
	t.Reservations += v.Reservations
	t.Entries += v.Entries
	t.Appointments += v.Appointments
	t.ProblemCount += v.ProblemCount
	if v.ProblemCount > 0 {
		t.parts = append(t.parts, v)
		slices.SortFunc(t.parts, func(x, y verified) int { return cmp.Compare(x.part, y.part) })
		t.parts = t.parts[:min(len(t.parts), maxProblems)] // each has at least one problem
	}
}

// report returns the report of all parts.
func (t *total) report() Report {
	for _, v := range t.parts {
		t.Problems = append(t.Problems, v.Problems[:min(len(v.Problems), maxProblems-len(t.Problems))]...)
	}
	t.OK = t.ProblemCount == 0
	return t.Report
}

// Discrepancy returns a discrepancy in the authorization's books.
func (b Snapshot) Discrepancy(check, expected, found string) Discrepancy {
	return Discrepancy{
		OrganizationID: b.OrganizationID, AuthorizationID: b.ID, Check: check, Expected: expected,
		Found: found,
	}
}

// ledgerCheck is the check of one authorization's books. Entries are added one after the other, in the
// order of their sequence numbers.
type ledgerCheck struct {
	*Snapshot
	balance  Balance // replayed from the entries
	sequence int64   // of the last entry
	previous Hash    // of the last entry
	sums     map[uuid.UUID]reservationSum
	problems
}

// reservationSum is replayed from the entries of a reservation.
type reservationSum struct {
	units
	sequence    int64 // of the first entry
	serviceDate calendar.Date
}

// units has the fields on which a reservation and its entries must agree.
type units struct{ Units, Consumed, Released int }

// startCheck starts the check of one authorization's books. It takes sums, to use its memory again.
func startCheck(of *Snapshot, sums map[uuid.UUID]reservationSum) *ledgerCheck {
	clear(sums)
	return &ledgerCheck{
		Snapshot: of, balance: Balance{Total: of.InitialUnits}, sums: sums,
		previous: genesis(of.OrganizationID, of.ID, of.InitialUnits),
	}
}

// expect reports a discrepancy unless the values are equal.
func expect[T comparable](a *ledgerCheck, check string, entry *Entry, reservation uuid.UUID, expected, found T) {
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
	a.problems.add(p)
}

// replay checks the next entry.
func (a *ledgerCheck) replay(e *Entry) {
	expect(a, "sequence", e, uuid.Nil, a.sequence+1, e.Sequence)
	expect(a, "chain", e, uuid.Nil, a.previous, e.PreviousHash)
	expect(a, "hash", e, uuid.Nil, e.computeHash(), e.Hash)
	a.apply(e)
	expect(a, "balance-after", e, uuid.Nil, a.balance, e.After())
	a.Movements.add(e)
	a.sequence, a.previous = e.Sequence, e.Hash
}

// finish compares the entries with the counters and the reservations. Holds that expired before overdue
// should have been released.
func (a *ledgerCheck) finish(overdue time.Time) problems {
	expect(a, "sequence", nil, uuid.Nil, a.sequence, a.LastSequence)
	expect(a, "head", nil, uuid.Nil, a.previous, a.LastHash)
	a.compareCounters()
	a.compareReservations(overdue)
	return a.problems
}

// apply applies an entry to the replayed counters.
func (a *ledgerCheck) apply(e *Entry) {
	var sum reservationSum
	if e.ReservationID != nil {
		sum = a.sums[*e.ReservationID]
		if sum.sequence == 0 {
			sum.sequence = e.Sequence
		}
	}
	switch e.Kind {
	case Reserve:
		a.balance.Scheduled += e.Units
		sum.Units += e.Units
		sum.serviceDate = e.ServiceDate
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
		if kind, exists := a.Movements.Kind(*e.Corrects); exists && *e.Corrects < e.Sequence {
			corrected := a.Movements.consumption(*e.Corrects)
			found = fmt.Sprintf("%d units consumed for reservation %s", corrected.units, corrected.reservation)
			if kind != Consume {
				found = "a " + string(kind) + " entry"
			}
		}
		if a.Movements.Reversed(*e.Corrects) {
			found = "a consumption that was reversed before"
		}
	}
	expect(a, "correction", e, uuid.Nil, expected, found)
}

func (a *ledgerCheck) compareCounters() {
	expect(a, "total", nil, uuid.Nil, a.balance.Total, a.Total)
	expect(a, "used", nil, uuid.Nil, a.balance.Used, a.Used)
	expect(a, "scheduled", nil, uuid.Nil, a.balance.Scheduled, a.Scheduled)
	var used, scheduled int
	for i := range a.Reservations {
		used += a.Reservations[i].Consumed
		scheduled += a.Reservations[i].Left()
	}
	if a.UnitsByDate != nil {
		booked := UnitsByDate{}
		for i := range a.Reservations {
			r := &a.Reservations[i]
			if units := r.Units - r.Released; units > 0 {
				booked[r.ServiceDate] += units
			}
		}
		expect(a, "booked-by-date", nil, uuid.Nil, booked.String(), a.UnitsByDate.String())
	}
	expect(a, "reservations-used", nil, uuid.Nil, used, a.Used)
	expect(a, "reservations-scheduled", nil, uuid.Nil, scheduled, a.Scheduled)
}

func (a *ledgerCheck) compareReservations(overdue time.Time) {
	for i := range a.Reservations {
		r := &a.Reservations[i]
		sum := a.sums[r.ID]
		expect(a, "reservation", nil, r.ID, sum.units, units{r.Units, r.Consumed, r.Released})
		expect(a, "age", nil, r.ID, sum.sequence, r.Sequence)
		expect(a, "service-date", nil, r.ID, sum.serviceDate, r.ServiceDate)
		if r.hasLeft() && r.ExpiresAt != nil && (a.NextExpiry == nil || a.NextExpiry.After(*r.ExpiresAt)) {
			expect(a, "next-expiry", nil, r.ID, "not after "+r.ExpiresAt.Format(time.RFC3339), fmt.Sprint(a.NextExpiry))
		}
		if r.ExpiredAt(overdue) {
			expect(a, "overdue", nil, r.ID, "released once expired at "+r.ExpiresAt.Format(time.RFC3339),
				fmt.Sprintf("%d units held", r.Left()))
		}
		delete(a.sums, r.ID)
	}
	for id, sum := range a.sums {
		expect(a, "reservation", nil, id, fmt.Sprint(sum.units), "no such reservation")
	}
}
