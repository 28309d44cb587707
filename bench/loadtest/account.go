package loadtest

import (
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
)

// kind is an operation on units, which takes one unit, always; or none.
type kind uint8

const (
	reserve kind = iota
	release
	consume
	nothing
	book // an appointment of one unit
	cancel
	complete
	kinds // how many there are
)

// operations say how the API is asked for each kind. What a scenario asks for
// that has no kind yet, such as booking an appointment, is a row here and a case
// in [step.body]; which units it moves, in [expect].
var operations = [kinds]struct {
	name string
	path string // below the authorization's, or from the API's base where it begins with a slash
	done int    // the status that says it was done
}{
	reserve: {"reserve", "reserve", http.StatusCreated},
	release: {"release", "release", http.StatusOK},
	consume: {"consume", "consume", http.StatusOK},
	nothing: {"no-op", "/admin/no-op", http.StatusOK},

	book:     {"book", "/appointments", http.StatusCreated},
	cancel:   {"cancel", "/appointments/", http.StatusOK}, // below which stands the appointment
	complete: {"complete", "/appointments/", http.StatusOK},
}

// String is the operation's name in the result.
func (k kind) String() string { return operations[k].name }

// account is one authorization and what is known of its units from answers.
// Safe for concurrent use.
type account struct {
	id      string
	total   int64               // units; changed only while no request is under way
	urls    [][kinds]*url.URL   // by the number of the server
	done    [kinds]atomic.Int64 // units of operations that the server said it did
	unknown [kinds]atomic.Int64 // units of those it may have done
	visits  *visits             // where appointments are booked on it
}

func (a *account) record(k kind, v verdict) {
	switch {
	case v.outcome == accepted:
		a.done[k].Add(1)
	case v.unknown:
		a.unknown[k].Add(1)
	}
}

// expected returns what the server must report now, when nothing is under way.
func (a *account) expected() expectation {
	var done, unknown [kinds]int64
	for k := range kinds {
		done[k], unknown[k] = a.done[k].Load(), a.unknown[k].Load()
	}
	return expect(done, unknown)
}

// Span is a range of whole numbers, both ends included. Where the outcome of
// every request is known, both ends are the same.
type Span struct {
	Min int64 `json:"min"`
	Max int64 `json:"max"`
}

// String is the number, or "from MIN to MAX".
func (s Span) String() string {
	if s.Min == s.Max {
		return thousands(s.Min)
	}
	return fmt.Sprintf("from %s to %s", thousands(s.Min), thousands(s.Max))
}

func (s Span) holds(n int64) bool { return s.Min <= n && n <= s.Max }

func (s Span) plus(other Span) Span { return Span{s.Min + other.Min, s.Max + other.Max} }

// expectation bounds the units of an authorization that started with none booked.
type expectation struct {
	scheduled, used, booked Span // booked is both together: consuming does not change it
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

// moved adds up the units that were reserved, that went back, and that were used.
func moved(units [kinds]int64) (taken, given, used int64) {
	return units[reserve] + units[book], units[release] + units[cancel], units[consume] + units[complete]
}
