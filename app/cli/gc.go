package cli

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// Most of a server's allocations end with the request, and it retains little. With Go's
// default it would collect garbage every few megabytes and spend a seventh of its time
// on it. It therefore collects rarely, until the memory reaches a soft limit.
//
// The limit follows the live heap, up to a share of the machine's memory. A fixed limit
// near the live heap would make every allocation pay for collections: a verification of
// a large ledger spent more than half of its time on them (decision 64). Stacks reduce this growth. So many
// concurrent clients, whose memory is mostly stacks, keep the usual limit.
const (
	garbagePercent = 400
	usualLimit     = 128 << 20
	liveFactor     = 3
	gcInterval     = 250 * time.Millisecond
)

// An idle server returns its garbage to the machine. Otherwise the memory of the last sign-in,
// 64 MiB for a password's hash, would stay until the next collection.
const (
	idlePeriod  = 10 * time.Second
	idleAllocs  = 10 << 20 // allocated bytes in that period: background jobs need about half
	idleGarbage = 4 << 20  // bytes that are worth a collection
)

// memoryUse is the state of the heap, in bytes.
type memoryUse struct {
	live      uint64 // reachable at the last collection
	stacks    uint64 // of goroutines
	held      uint64 // objects and free memory that the machine could have
	allocated uint64 // since the start of the program
}

// gcTuner sets the soft limit of memory. It is used by one goroutine.
type gcTuner struct {
	ceiling  uint64 // 0: the operator has set the limit
	usual    uint64
	limit    uint64 // the current one
	setLimit func(bytes int64) int64
	release  func() // collects garbage and returns memory to the machine

	periodStart     time.Time
	allocatedBefore uint64 // at the start of the period
	idle            bool   // the last period was idle
}

// tuneGC tunes the garbage collector until stop is called. GOGC and GOMEMLIMIT override it.
func tuneGC() (stop func()) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbagePercent)
	}
	t := &gcTuner{setLimit: debug.SetMemoryLimit, release: debug.FreeOSMemory, periodStart: time.Now()}
	if os.Getenv("GOMEMLIMIT") == "" {
		t.usual, t.ceiling = limitsOf(machineMemory())
	}
	t.step(time.Now(), readMemoryUse())
	ticker := time.NewTicker(gcInterval)
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case now := <-ticker.C:
				t.step(now, readMemoryUse())
			case <-end:
				return
			}
		}
	}()
	return func() {
		ticker.Stop()
		close(end)
		<-ended
	}
}

// machineMemory returns the memory of the machine or of its cgroup, the smaller of both, in bytes.
// It returns 0 if neither is known.
func machineMemory() uint64 {
	machine, err := memlimit.FromSystem()
	if err != nil {
		machine = 0
	}
	if allowed, err := memlimit.FromCgroup(); err == nil && allowed > 0 && (machine == 0 || allowed < machine) {
		machine = allowed
	}
	return machine
}

// limitsOf returns the usual and the highest soft limit on a machine. The highest is a quarter of its
// memory, because PostgreSQL and its cache may be on the same machine.
func limitsOf(machine uint64) (usual, ceiling uint64) {
	if machine == 0 {
		return usualLimit, usualLimit
	}
	usual = min(usualLimit, machine/2)
	return usual, max(usual, machine/4)
}

// step adjusts the limit, and releases memory at the end of an idle period.
func (t *gcTuner) step(now time.Time, use memoryUse) {
	if t.ceiling > 0 {
		next := min(max(t.usual+use.stacks, liveFactor*use.live)-use.stacks, t.ceiling)
		// Setting the limit stops the program for a moment, so small changes are left out.
		if t.limit == 0 || next > t.limit+t.limit/10 || next < t.limit-t.limit/10 {
			t.limit = next
			t.setLimit(int64(next)) //nolint:gosec // at most a quarter of a machine's memory
		}
	}
	if now.Sub(t.periodStart) < idlePeriod {
		return
	}
	wasIdle := t.idle
	t.idle = use.allocated-t.allocatedBefore < idleAllocs
	// The last collection before the idle time may have seen objects as live that are garbage now.
	if t.idle && (!wasIdle || use.held > use.live+idleGarbage) {
		t.release()
	}
	t.periodStart, t.allocatedBefore = now, use.allocated
}

// readMemoryUse reads the state of the heap.
func readMemoryUse() memoryUse {
	samples := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/gc/heap/allocs:bytes"},
		{Name: "/memory/classes/heap/stacks:bytes"},
	}
	metrics.Read(samples)
	return memoryUse{
		live:      samples[0].Value.Uint64(),
		held:      samples[1].Value.Uint64() + samples[2].Value.Uint64(),
		allocated: samples[3].Value.Uint64(),
		stacks:    samples[4].Value.Uint64(),
	}
}
