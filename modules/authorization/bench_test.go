package authorization

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/record"
)

// reserved returns an account, the operation that has just reserved a unit of it, and its outcome.
func reserved() (account, Operation, Outcome) {
	op := reserve(1)
	op.ActorID, op.RequestID = uuid.New(), uuid.NewString()
	after, outcome := decide(granted(10_000_000, 0, 0), op, at)
	return after, op, outcome
}

func BenchmarkDecide(b *testing.B) {
	before := granted(10_000_000, 0, 0)
	_, op, _ := reserved()
	b.ReportAllocs()
	for b.Loop() {
		if _, outcome := decide(before, op, at); outcome.Refusal != nil {
			b.Fatal(outcome.Refusal)
		}
	}
}

// BenchmarkBatch decides the commands of a full transaction of 50 clients.
func BenchmarkBatch(b *testing.B) {
	const calls = 50
	a := granted(10_000_000, 0, 0)
	commands := make([]unitCommand, calls)
	for i := range commands {
		_, op, _ := reserved()
		op.AuthorizationID = a.ID
		commands[i] = unitCommand{zone: time.UTC, ops: []Operation{op}}
		commands[i].OrganizationID = a.OrganizationID
	}
	b.ReportAllocs()
	for b.Loop() {
		state := stateOf(map[record.Key]account{a.key(): a})
		for _, c := range commands {
			if _, _, err := state.decide(c); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/calls, "ns/call")
}

func BenchmarkHash(b *testing.B) {
	_, _, outcome := reserved()
	e := outcome.Entries[0]
	b.ReportAllocs()
	for b.Loop() {
		e.PreviousHash = e.computeHash()
	}
}

func BenchmarkFingerprint(b *testing.B) {
	_, op, _ := reserved()
	b.ReportAllocs()
	for b.Loop() {
		op.fingerprint()
	}
}

// BenchmarkStoredOutcome encodes the stored outcome of an operation.
func BenchmarkStoredOutcome(b *testing.B) {
	_, _, outcome := reserved()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := json.Marshal(storedOutcomesOf([]Outcome{outcome})); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAnswer encodes the response to a reserve.
func BenchmarkAnswer(b *testing.B) {
	_, _, outcome := reserved()
	outcome.Today = today
	answer := reserveAnswer{
		Reservation:   reservationBodiesOf(outcome.Reservations)[0],
		Authorization: BodyOf(outcome.view()),
	}
	var out bytes.Buffer
	require.NoError(b, json.NewEncoder(&out).Encode(answer))
	b.ReportAllocs()
	for b.Loop() {
		out.Reset()
		if err := json.NewEncoder(&out).Encode(answer); err != nil {
			b.Fatal(err)
		}
	}
}
