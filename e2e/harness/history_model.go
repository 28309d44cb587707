package harness

import (
	"slices"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"
)

// RequireLinearizable checks the answers on each of the authorizations with the given
// totals.
func (h *History) RequireLinearizable(t testing.TB, totals map[string]int) {
	t.Helper()
	for path, total := range totals {
		model := porcupine.Model{
			Init: func() any { return ledger{available: total} },
			Step: func(state, input, output any) (bool, any) {
				r := output.(outcome)
				next, expected := state.(ledger).after(input.(request), r.reservation)
				return expected == r, next
			},
			Equal: func(x, y any) bool {
				a, b := x.(ledger), y.(ledger)
				return a.available == b.available && a.used == b.used && slices.Equal(a.open, b.open)
			},
		}
		events := slices.DeleteFunc(slices.Clone(h.events),
			func(e porcupine.Operation) bool { return e.Input.(request).path != path })
		require.Equal(t, porcupine.Ok, porcupine.CheckOperationsTimeout(model, events, time.Minute), "the answers on %s",
			path)
	}
}

// ledger is the model of an authorization.
type ledger struct {
	available, used int
	open            []claim // oldest first
}

func (l ledger) scheduled() int {
	sum := 0
	for _, o := range l.open {
		sum += o.left
	}
	return sum
}

// after returns the ledger after a call, and the correct answer.
func (l ledger) after(q request, created string) (ledger, outcome) {
	next := ledger{l.available, l.used, slices.Clone(l.open)}
	code, missing := "", 0
	switch {
	case q.verb == "look":
	case q.verb == "reserve":
		if q.units > l.available {
			return l, outcome{code: "insufficient-units", available: l.available}
		}
		next.available -= q.units
		next.open = append(next.open, claim{created, q.units})
	case q.reservation != "":
		code, missing = next.settle(q)
	default:
		code, missing = next.settleOldest(q)
	}
	if code == "insufficient-units" {
		return l, outcome{code: code, available: l.available}
	}
	if code != "" {
		return l, outcome{code: code}
	}
	next.open = slices.DeleteFunc(next.open, func(o claim) bool { return o.left == 0 })
	return next, outcome{
		used:        next.used,
		scheduled:   next.scheduled(),
		available:   next.available,
		missing:     missing,
		reservation: created,
	}
}

// settle releases or consumes units of one reservation. Consumption beyond it uses
// available units, and unconsumed units are returned.
func (l *ledger) settle(q request) (code string, missing int) {
	i := slices.IndexFunc(l.open, func(o claim) bool { return o.reservation == q.reservation })
	if i < 0 {
		return "reservation-closed", 0
	}
	o := &l.open[i]
	units := q.units
	if units == 0 {
		units = o.left
	}
	if q.verb == "release" {
		if units > o.left {
			return "insufficient-reserved-units", 0
		}
		o.left -= units
		l.available += units
		return "", 0
	}
	reserved := min(units, o.left)
	l.available += o.left - reserved
	o.left = 0
	beyond := min(units-reserved, l.available)
	l.available -= beyond
	l.used += reserved + beyond
	return "", units - reserved - beyond
}

// settleOldest releases or consumes units of the oldest reservations.
func (l *ledger) settleOldest(q request) (code string, missing int) {
	left := q.units
	for i := range l.open {
		units := min(left, l.open[i].left)
		l.open[i].left -= units
		left -= units
	}
	if q.verb == "release" {
		l.available += q.units
		if left > 0 {
			return "insufficient-reserved-units", 0
		}
		return "", 0
	}
	beyond := min(left, l.available)
	l.available -= beyond
	left -= beyond
	l.used += q.units - left
	if left == q.units {
		return "insufficient-units", 0
	}
	return "", left
}

type claim struct {
	reservation string
	left        int
}
