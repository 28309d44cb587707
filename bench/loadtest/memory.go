package loadtest

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// memoryWatch reads the peak resident memory of processes on Linux. It finds nothing on
// other systems.
type memoryWatch struct{ processes []int }

// watchMemory resets the peaks, so that earlier use does not count unless the memory is
// still resident.
func watchMemory(processes []int) memoryWatch {
	for _, process := range processes {
		const peak = "5" // see proc_pid_clear_refs(5)
		// If this fails, the peak counts from the start of the process.
		_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", process), []byte(peak), 0)
	}
	return memoryWatch{processes}
}

// peak returns the maximum over all processes in bytes, or 0 if unknown.
func (w memoryWatch) peak() int64 {
	var most int64
	for _, process := range w.processes {
		text := strings.TrimSuffix(valueIn(fmt.Sprintf("/proc/%d/status", process), "VmHWM", ":"), " kB")
		if kibibytes, err := strconv.ParseInt(text, 10, 64); err == nil {
			most = max(most, kibibytes<<10)
		}
	}
	return most
}
