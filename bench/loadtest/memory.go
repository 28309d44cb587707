package loadtest

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// memoryWatch reads the peak of the resident memory of processes, as Linux keeps
// it. Elsewhere it finds nothing.
type memoryWatch struct{ processes []int }

// watchMemory has the peaks begin anew, so that what a server needed before does
// not count. What it has not given back since counts.
func watchMemory(processes []int) memoryWatch {
	for _, process := range processes {
		const peak = "5"                                                               // see proc_pid_clear_refs(5)
		_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", process), []byte(peak), 0) // where it cannot be, the peak is from the start on
	}
	return memoryWatch{processes}
}

// peak is the largest of all processes in bytes, or 0 where it is not known.
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
