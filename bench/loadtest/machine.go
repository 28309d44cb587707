package loadtest

import (
	"bufio"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// Machine is the machine of the load tool. The server may have run elsewhere.
type Machine struct {
	CPU         string    `json:"cpu"` // model, or architecture if unknown
	Cores       int       `json:"cores"`
	MemoryBytes int64     `json:"memoryBytes"` // 0 if unknown
	OS          string    `json:"os"`
	Go          string    `json:"go"`
	Time        time.Time `json:"time"` // when the run began
}

// ThisMachine returns the machine on which the program runs.
func ThisMachine() Machine { return thisMachine(time.Now()) }

func thisMachine(now time.Time) Machine {
	m := Machine{
		CPU:   runtime.GOARCH,
		Cores: runtime.NumCPU(),
		OS:    runtime.GOOS,
		Go:    runtime.Version(),
		Time:  now.UTC().Truncate(time.Second),
	}
	if model := valueIn("/proc/cpuinfo", "model name", ":"); model != "" {
		m.CPU = model
	}
	if name := valueIn("/etc/os-release", "PRETTY_NAME", "="); name != "" {
		m.OS = name
	}
	total := strings.TrimSuffix(valueIn("/proc/meminfo", "MemTotal", ":"), " kB")
	if kilobytes, err := strconv.ParseInt(total, 10, 64); err == nil {
		m.MemoryBytes = kilobytes * 1024
	}
	return m
}

// valueIn returns the value of a name in a file of lines like "name: value", or "" if
// there is none.
func valueIn(file, name, separator string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		key, value, found := strings.Cut(lines.Text(), separator)
		if found && strings.TrimSpace(key) == name {
			return strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	return ""
}
