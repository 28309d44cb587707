package loadtest

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// Latency holds quantiles in milliseconds, by the nearest rank over all samples, so
// each is an observed latency. All are 0 without samples.
type Latency struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// latencyOf requires sorted samples.
func latencyOf(sorted []time.Duration) Latency {
	return Latency{
		P50: milliseconds(quantile(sorted, 0.50)),
		P95: milliseconds(quantile(sorted, 0.95)),
		P99: milliseconds(quantile(sorted, 0.99)),
		Max: milliseconds(quantile(sorted, 1)),
	}
}

// quantile returns the smallest sample that at least the share q of all samples does
// not exceed, or 0 without samples. The samples must be sorted; q is from 0 to 1.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	// Rounding may put the product slightly above the exact integer.
	rank := int(math.Ceil(q*float64(len(sorted)) - 1e-9))
	return sorted[max(rank, 1)-1]
}

// milliseconds returns milliseconds with microsecond precision.
func milliseconds(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond)) / float64(time.Millisecond)
}

// roughHistogram counts latencies in buckets of at most 6 % width, for the progress
// display. Sorting all samples during the load would disturb the measurement. Safe for
// concurrent use.
type roughHistogram struct {
	buckets [64 * 16]atomic.Int64
}

func (h *roughHistogram) add(d time.Duration) { h.buckets[roughBucket(d)].Add(1) }

// quantile returns the lower end of the bucket that holds the quantile.
func (h *roughHistogram) quantile(q float64) time.Duration {
	var counts [len(h.buckets)]int64
	var total int64
	for i := range h.buckets {
		counts[i] = h.buckets[i].Load()
		total += counts[i]
	}
	rank := int64(math.Ceil(q * float64(total)))
	for i, n := range counts {
		rank -= n
		if n > 0 && rank <= 0 {
			return roughStart(i)
		}
	}
	return 0
}

// roughBucket uses the highest bit and the four after it.
func roughBucket(d time.Duration) int {
	n := uint64(max(d, 0))
	if n < 16 {
		return int(n)
	}
	top := bits.Len64(n) - 1
	return top*16 + int(n>>(top-4))&15 //nolint:gosec // four bits
}

func roughStart(bucket int) time.Duration {
	top, rest := bucket/16, bucket%16
	if top < 4 {
		return time.Duration(rest)
	}
	return time.Duration(16+rest) << (top - 4)
}
