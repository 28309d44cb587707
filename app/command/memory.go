package command

import (
	"os"
	"runtime/debug"
)

// What a server allocates is mostly gone with the request, and it keeps little: by
// Go's default it would clear up every few megabytes, for a seventh of its time. So
// it clears up rarely, until it has as much memory as the bound. The bound is soft:
// near it, clearing up takes time that requests need, as with 5,000 clients at once.
const (
	garbagePercent = 400
	memoryBound    = 128 << 20
)

// relaxGarbage sets when memory is cleared up, unless GOGC or GOMEMLIMIT say so.
func relaxGarbage() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbagePercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryBound)
	}
}
