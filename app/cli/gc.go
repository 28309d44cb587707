package cli

import (
	"os"
	"runtime/debug"
)

// Most of a server's allocations end with the request, and it retains little. With Go's
// default it would collect garbage every few megabytes and spend a seventh of its time
// on it. It therefore collects rarely, until the heap reaches the limit. The limit is
// soft: near it, collections take time from requests, as with 5,000 concurrent clients.
const (
	garbagePercent = 400
	memoryBound    = 128 << 20
)

// tuneGC sets the garbage collector's limits, unless GOGC or GOMEMLIMIT do.
func tuneGC() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbagePercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryBound)
	}
}
