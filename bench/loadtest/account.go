package loadtest

import (
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
)

// kind is an operation on one unit, or none.
type kind uint8

const (
	reserve kind = iota
	release
	consume
	nothing
	book // books an appointment of one unit
	cancel
	complete
	kinds // number of kinds
)

// operations maps each kind to its API call. To add a kind, add a row here, a case in
// [step.body], and the moved units in [expect].
var operations = [kinds]struct {
	name string
	path string // relative to the authorization, or to the API's base if it begins with a slash
	done int    // the status of success
}{
	reserve: {"reserve", "reserve", http.StatusCreated},
	release: {"release", "release", http.StatusOK},
	consume: {"consume", "consume", http.StatusOK},
	nothing: {"no-op", "/admin/no-op", http.StatusOK},

	book:     {"book", "/appointments", http.StatusCreated},
	cancel:   {"cancel", "/appointments/", http.StatusOK}, // the appointment's id follows
	complete: {"complete", "/appointments/", http.StatusOK},
}

// String returns the operation's name in the result.
func (k kind) String() string { return operations[k].name }

// account is one authorization and its units as known from answers. Safe for concurrent
// use.
type account struct {
	id      string
	total   int64               // units; changed only while no request is running
	urls    [][kinds]*url.URL   // by server number
	done    [kinds]atomic.Int64 // units of confirmed operations
	unknown [kinds]atomic.Int64 // units of operations with unknown outcome
	visits  *visits             // times of appointments to book on it
}

func (a *account) record(k kind, v verdict) {
	switch {
	case v.outcome == accepted:
		a.done[k].Add(1)
	case v.unknown:
		a.unknown[k].Add(1)
	}
}

// expected returns the units that the server must report when no request is running.
func (a *account) expected() expectation {
	var done, unknown [kinds]int64
	for k := range kinds {
		done[k], unknown[k] = a.done[k].Load(), a.unknown[k].Load()
	}
	return expect(done, unknown)
}

// Span is a range of integers, including both ends. If the outcome of every request is
// known, both ends are equal.
type Span struct {
	Min int64 `json:"min"`
	Max int64 `json:"max"`
}

// String returns the number, or "from MIN to MAX".
func (s Span) String() string {
	if s.Min == s.Max {
		return Thousands(s.Min)
	}
	return fmt.Sprintf("from %s to %s", Thousands(s.Min), Thousands(s.Max))
}

func (s Span) holds(n int64) bool { return s.Min <= n && n <= s.Max }

func (s Span) plus(other Span) Span { return Span{s.Min + other.Min, s.Max + other.Max} }

// expectation bounds the units of an authorization that started without bookings.
type expectation struct {
	scheduled, used, booked Span // booked is scheduled plus used: consuming does not change it
}

func expect(done, unknown [kinds]int64) expectation {
	taken, given, used := moved(done)
	mayTake, mayGive, mayUse := moved(unknown)
	held := taken - given
	return expectation{
		scheduled: Span{held - used - mayGive - mayUse, held - used + mayTake},
		used:      Span{used, used + mayUse},
		booked:    Span{held - mayGive, held + mayTake},
	}
}

// moved adds up the units that were reserved, released and used.
func moved(units [kinds]int64) (taken, given, used int64) {
	return units[reserve] + units[book], units[release] + units[cancel], units[consume] + units[complete]
}
