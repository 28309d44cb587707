package loadtest

import (
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestQuantile(t *testing.T) {
	t.Parallel()
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i + 1)
	}
	for _, c := range []struct {
		name   string
		sorted []time.Duration
		q      float64
		want   time.Duration
	}{
		{"is 0 without samples", nil, 0.5, 0},
		{"is the only sample", []time.Duration{7}, 0.99, 7},
		{"takes the lower of two in the middle", []time.Duration{1, 2}, 0.5, 1},
		{"takes the higher of two above the middle", []time.Duration{1, 2}, 0.51, 2},
		{"is the 50th of 100", hundred, 0.50, 50},
		{"is the 95th of 100, although 0.95 × 100 is a hair more than 95", hundred, 0.95, 95},
		{"is the 99th of 100", hundred, 0.99, 99},
		{"is the last of 100", hundred, 1, 100},
		{"is the first for 0", hundred, 0, 1},
		{"is the next of 101", append(hundred[:100:100], 101), 0.99, 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, quantile(c.sorted, c.q))
		})
	}
	t.Run("has the share of samples at or below it, and no smaller one has", func(t *testing.T) {
		t.Parallel()
		random := rand.New(rand.NewPCG(1, 2))
		for range 500 {
			samples := make([]time.Duration, 1+random.IntN(300))
			for i := range samples {
				samples[i] = time.Duration(random.IntN(100))
			}
			slices.Sort(samples)
			for _, q := range []float64{0.5, 0.95, 0.99} {
				found := quantile(samples, q)
				below, atOrBelow := 0, 0
				for _, d := range samples {
					if d < found {
						below++
					}
					if d <= found {
						atOrBelow++
					}
				}
				n := float64(len(samples))
				require.GreaterOrEqual(t, float64(atOrBelow)+1e-9, q*n)
				require.Less(t, float64(below)+1e-9, q*n)
			}
		}
	})
}

func TestRoughHistogram(t *testing.T) {
	t.Parallel()
	t.Run("is never more than 6.25 % below", func(t *testing.T) {
		t.Parallel()
		for d := time.Duration(1); d < time.Hour; d = d*21/20 + 1 {
			start := roughStart(roughBucket(d))
			require.LessOrEqual(t, start, d)
			require.GreaterOrEqual(t, float64(start), float64(d)*15/16-1)
		}
	})
	t.Run("finds a quantile", func(t *testing.T) {
		t.Parallel()
		var h roughHistogram
		require.Zero(t, h.quantile(0.95))
		for i := range 1000 {
			h.add(time.Duration(i) * time.Millisecond)
		}
		require.InEpsilon(t, 0.95, h.quantile(0.95).Seconds(), 0.07)
		require.InEpsilon(t, 0.5, h.quantile(0.5).Seconds(), 0.07)
	})
}

func TestExpect(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name          string
		done, unknown [kinds]int64
		want          expectation
	}{
		{
			"is exact where every outcome is known",
			[kinds]int64{10, 3, 2},
			[kinds]int64{},
			expectation{scheduled: Span{5, 5}, used: Span{2, 2}, booked: Span{7, 7}},
		},
		{
			"allows more for an unknown reserve",
			[kinds]int64{10, 0, 0},
			[kinds]int64{1, 0, 0},
			expectation{scheduled: Span{10, 11}, used: Span{0, 0}, booked: Span{10, 11}},
		},
		{
			"allows less for an unknown release",
			[kinds]int64{10, 0, 0},
			[kinds]int64{0, 1, 0},
			expectation{scheduled: Span{9, 10}, used: Span{0, 0}, booked: Span{9, 10}},
		},
		{
			"lets an unknown consume move a unit and lose none",
			[kinds]int64{10, 0, 0},
			[kinds]int64{0, 0, 1},
			expectation{scheduled: Span{9, 10}, used: Span{0, 1}, booked: Span{10, 10}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, expect(c.done, c.unknown))
		})
	}
}

func TestIntegrityCompare(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		found    Balance
		err      error
		mismatch string
	}{
		{"agrees with the answers", Balance{100, 9, 0, 91}, nil, ""},
		{"agrees with the other outcome of an unknown consume", Balance{100, 8, 1, 91}, nil, ""},
		{"reports a missing unit", Balance{100, 8, 0, 92}, nil, "8 booked (scheduled and used), should have 9"},
		{
			"reports a unit that is on both sides", Balance{100, 9, 1, 90}, nil, "10 booked (scheduled and used), should have 9",
		},
		{"reports too many scheduled", Balance{100, 10, 0, 90}, nil, "10 scheduled, should have from 8 to 9"},
		{"reports too many used", Balance{100, 8, 2, 90}, nil, "2 used, should have from 0 to 1"},
		{"reports a changed total", Balance{99, 9, 0, 90}, nil, "a total of 99, should be 100"},
		{"reports more booked units than the total", Balance{100, 101, 0, 0}, nil, "has booked 101 of 100"},
		{
			"reports an inconsistent available",
			Balance{100, 9, 0, 90},
			nil,
			"reports 90 available units, but total minus booked is 91",
		},
		{"reports an authorization that could not be read", Balance{}, errors.New("gone"), "could not be read: gone"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := &account{id: "A", total: 100}
			a.done[reserve].Store(9)
			a.unknown[consume].Store(1)
			var r Integrity
			r.compare(a, c.found, c.err)
			if c.mismatch == "" {
				require.Empty(t, r.Mismatches)
				return
			}
			require.Len(t, r.Mismatches, 1)
			require.Contains(t, r.Mismatches[0], c.mismatch)
		})
	}
}

func TestClassify(t *testing.T) {
	t.Parallel()
	because := func(code string) []byte { return []byte(`{"code":"` + code + `","detail":"Why."}`) }
	for _, c := range []struct {
		name   string
		kind   kind
		status int
		answer []byte
		err    error
		want   verdict
	}{
		{"accepts 201 for a reserve", reserve, 201, nil, nil, verdict{outcome: accepted}},
		{"accepts 200 for a release", release, 200, nil, nil, verdict{outcome: accepted}},
		{"accepts 200 for a consume", consume, 200, nil, nil, verdict{outcome: accepted}},
		{"does not know the effect of 200 for a reserve", reserve, 200, nil, nil, verdict{failed, true, "200", ""}},
		{"does not know the effect of 202 for a release", release, 202, nil, nil, verdict{failed, true, "202", ""}},
		{
			"classifies insufficient units as a refusal", reserve, 409, because("insufficient-units"), nil,
			verdict{outcome: refused},
		},
		{
			"classifies another conflict as a failure", release, 409, because("reservation-closed"), nil,
			verdict{failed, false, "409 reservation-closed", "Why."},
		},
		{
			"classifies insufficient units with another status as a failure", reserve, 400, because("insufficient-units"), nil,
			verdict{failed, false, "400 insufficient-units", "Why."},
		},
		{"classifies 429 as a failure", reserve, 429, nil, nil, verdict{failed, false, "429", ""}},
		{
			"classifies contention as not executed", reserve, 500, because("contention"), nil,
			verdict{failed, false, "500 contention", "Why."},
		},
		{
			"classifies 503 as unknown", reserve, 503, because("outcome-unknown"), nil,
			verdict{failed, true, "503 outcome-unknown", "Why."},
		},
		{"classifies 504 as unknown", reserve, 504, []byte("<html>"), nil, verdict{failed, true, "504", ""}},
		{
			"classifies a broken connection as unknown", reserve, 0, nil, io.ErrUnexpectedEOF,
			verdict{failed, true, "connection lost", "unexpected EOF"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, classify(c.kind, c.status, c.answer, c.err))
		})
	}
}

func TestReservationOf(t *testing.T) {
	t.Parallel()
	t.Run("reads the id and nothing else", func(t *testing.T) {
		t.Parallel()
		id, err := reservationOf([]byte(`{"authorization":{"id":"x"},"reservation":{"units":1,"id":"0190163d-8694-739b-aea5-966c26f8ad91"}}`))
		require.NoError(t, err)
		require.Equal(t, "0190163d-8694-739b-aea5-966c26f8ad91", id)
	})
	for _, answer := range []string{``, `{}`, `{"reservation":{"id":"\"}, {\""}}`, `{"reservation":[]}`} {
		t.Run("refuses "+answer, func(t *testing.T) {
			t.Parallel()
			_, err := reservationOf([]byte(answer))
			require.Error(t, err)
		})
	}
}

func TestMixing(t *testing.T) {
	t.Parallel()
	accounts := []*account{{id: "one"}, {id: "two"}, {id: "three"}}

	t.Run("settles only its open reservations, each once, and in exact shares", func(t *testing.T) {
		t.Parallel()
		plan := newPlanner(Scenario{mixed: true}, accounts, 3)
		held, did := map[string]*account{}, [kinds]int{}
		for n := range 1000 {
			s := plan.next()
			did[s.kind]++
			if s.kind == reserve {
				id := string(rune('a' + n))
				held[id] = s.account
				plan.observe(s, verdict{outcome: accepted}, id)
				continue
			}
			require.Same(t, held[s.reservation], s.account)
			delete(held, s.reservation)
			plan.observe(s, verdict{outcome: accepted}, "")
		}
		require.Equal(t, [kinds]int{700, 200, 100}, did)
	})
	t.Run("keeps every fifth client on the first authorization, and the others off it", func(t *testing.T) {
		t.Parallel()
		for client := range 20 {
			plan := newPlanner(Scenario{mixed: true}, accounts, client)
			for range 30 {
				require.Equal(t, client%5 == 0, plan.next().account == accounts[0])
			}
		}
	})
	t.Run("continues to reserve when nothing is granted", func(t *testing.T) {
		t.Parallel()
		plan := newPlanner(Scenario{mixed: true}, accounts, 1)
		for range 100 {
			s := plan.next()
			require.Equal(t, reserve, s.kind)
			plan.observe(s, verdict{outcome: refused}, "")
		}
	})
	t.Run("still holds a reservation that a failed request did not settle, and drops one that it may have settled", func(t *testing.T) {
		t.Parallel()
		settle := step{kind: release, account: accounts[1], reservation: "r"}
		plan := &mixing{}
		plan.observe(settle, verdict{outcome: failed, code: "500 contention"}, "")
		require.Equal(t, []step{settle}, plan.held)
		plan = &mixing{}
		plan.observe(settle, verdict{outcome: failed, unknown: true}, "")
		require.Empty(t, plan.held)
	})
}

func TestRetriesSince(t *testing.T) {
	t.Parallel()
	operation := func(name string, retries int64, attempts map[string]int64) OperationRetries {
		return OperationRetries{Operation: name, Retries: retries, Attempts: attempts}
	}
	before := Retries{Retries: 10, Failures: 1, Operations: []OperationRetries{
		operation("reserve", 10, map[string]int64{"1": 100, "2": 8}), operation("idle", 0, map[string]int64{"1": 5}),
	}}
	t.Run("reports the increase, and omits operations that did not run", func(t *testing.T) {
		t.Parallel()
		after := Retries{Retries: 25, Failures: 1, Operations: []OperationRetries{
			operation("release", 1, map[string]int64{"2": 1}), operation("idle", 0, map[string]int64{"1": 5}),
			operation("reserve", 24, map[string]int64{"1": 150, "2": 8, "3": 2}),
		}}
		require.Equal(t, Retries{
			Retries:  15,
			Attempts: map[string]int64{"1": 50, "2": 1, "3": 2},
			Operations: []OperationRetries{
				operation("release", 1, map[string]int64{"2": 1}),
				operation("reserve", 14, map[string]int64{"1": 50, "3": 2}),
			},
		}, after.since(before))
	})
	t.Run("restarts at zero where the server did", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, int64(4), Retries{Retries: 4}.since(before).Retries)
	})
}

func TestDistribution(t *testing.T) {
	t.Parallel()
	t.Run("counts every latency in its bin", func(t *testing.T) {
		t.Parallel()
		latencies := []time.Duration{
			0, 900 * time.Microsecond, time.Millisecond, 1050 * time.Microsecond,
			10 * time.Millisecond, 3 * time.Second,
		}
		bins := distribution(latencies)
		var sum int64
		for i, b := range bins {
			sum += b.Count
			require.Less(t, b.FromMs, b.ToMs)
			if i > 0 {
				require.InDelta(t, bins[i-1].ToMs, b.FromMs, b.FromMs*1e-9, "no gaps")
			}
			var held int64
			for _, d := range latencies {
				if ms := max(milliseconds(d), 0.001); ms >= b.FromMs*(1-1e-9) && ms < b.ToMs*(1-1e-9) {
					held++
				}
			}
			require.Equal(t, held, b.Count)
		}
		require.Equal(t, int64(len(latencies)), sum)
	})
	t.Run("is empty without latencies, and not null in JSON", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, []Bin{}, distribution(nil))
	})
}

func TestNewTransport(t *testing.T) {
	t.Parallel()
	t.Run("uses no proxy, which would be measured as well", func(t *testing.T) {
		t.Parallel()
		require.Nil(t, newTransport(10).Proxy)
	})
	t.Run("keeps a connection for each client", func(t *testing.T) {
		t.Parallel()
		require.GreaterOrEqual(t, newTransport(300).MaxIdleConnsPerHost, 300)
		require.Zero(t, newTransport(300).MaxIdleConns, "no limit over all hosts")
	})
	t.Run("gives the transport no way to repeat a request", func(t *testing.T) {
		t.Parallel()
		c := newCaller(t.Context(), newAPI(0, "http://server.test", nil))
		require.Nil(t, c.request.GetBody)
		require.Equal(t, http.MethodPost, c.request.Method)
	})
}

func TestProgressBar(t *testing.T) {
	t.Parallel()
	t.Run("shows the progress next to the live figures, and ends at 100 %", func(t *testing.T) {
		t.Parallel()
		l := newLoad(Options{Clients: 5}, Scenario{RequestsPerClient: 40}, nil, nil)
		l.schedule(time.Now())
		l.live.sent.Store(50)
		l.live.outcomes[refused].Store(1234)
		var screen strings.Builder
		show, last := progressBar(l, &screen)
		show()
		require.Contains(t, screen.String(), " 25% |██████ ")
		require.Contains(t, screen.String(), "1,234 refused")
		require.NotContains(t, screen.String(), "100%")
		last()
		require.Contains(t, screen.String(), "100%")
	})
}
