package db_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"omnirapeutic/platform/db"
)

func TestPolicy(t *testing.T) {
	t.Parallel()

	t.Run("it has the presets that configuration can name", func(t *testing.T) {
		t.Parallel()
		ms := time.Millisecond
		for name, want := range map[string]db.Policy{
			"default":      {MaxAttempts: 5, BaseDelay: 10 * ms, MaxDelay: 1000 * ms, Jitter: 0.1},
			"conservative": {MaxAttempts: 3, BaseDelay: 20 * ms, MaxDelay: 500 * ms, Jitter: 0.1},
			"aggressive":   {MaxAttempts: 7, BaseDelay: 5 * ms, MaxDelay: 2000 * ms, Jitter: 0.1},
		} {
			got, ok := db.Preset(name)
			require.True(t, ok)
			require.Equal(t, want, got)
			require.NoError(t, got.Validate())
		}
		_, ok := db.Preset("brave")
		require.False(t, ok)
	})

	t.Run("it keeps every delay within its bounds", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(t *rapid.T) {
			p := db.Policy{
				MaxAttempts: 1,
				BaseDelay:   time.Duration(rapid.Int64Range(0, math.MaxInt64).Draw(t, "base")),
				Jitter:      rapid.Float64Range(0, 1).Draw(t, "jitter"),
			}
			p.MaxDelay = time.Duration(rapid.Int64Range(int64(p.BaseDelay), math.MaxInt64).Draw(t, "max"))
			if err := p.Validate(); err != nil {
				t.Fatal(err)
			}
			n := rapid.IntRange(0, 1_000_000).Draw(t, "n")
			delay := p.Delay(n, func() float64 { return rapid.Float64Range(0, math.Nextafter(1, 0)).Draw(t, "random") })
			if delay < 0 || delay > p.MaxDelay {
				t.Fatalf("%s is not between 0 and %s", delay, p.MaxDelay)
			}
			if plain := math.Ldexp(float64(p.BaseDelay), min(n, 100)); plain*(1+p.Jitter) < float64(p.MaxDelay) {
				if off := math.Abs(float64(delay) - plain); off > plain*(p.Jitter+1e-12)+1 {
					t.Fatalf("%s is more than %v of %v away", delay, p.Jitter, plain)
				}
			}
		})
	})

	t.Run("it respects the maximum after jitter, also at attempt one million", func(t *testing.T) {
		t.Parallel()
		p, _ := db.Preset("default")
		almostOne := func() float64 { return math.Nextafter(1, 0) }
		require.Equal(t, time.Second, p.Delay(7, almostOne))
		require.Equal(t, time.Second, p.Delay(1_000_000, almostOne))
		require.Equal(t, 9*time.Millisecond, p.Delay(0, func() float64 { return 0 }))
	})

	t.Run("it lists every invalid field", func(t *testing.T) {
		t.Parallel()
		err := db.Policy{MaxAttempts: 0, BaseDelay: -1, MaxDelay: -2, Jitter: math.NaN()}.Validate()
		for _, field := range []string{"attempts", "base delay", "longest delay", "jitter"} {
			require.ErrorContains(t, err, field)
		}
	})
}
