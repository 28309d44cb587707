package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// ticks is the unit of times in /proc: Linux has 100 a second on all architectures.
const ticks = time.Second / 100

// cpuTimes returns the processor time that the server and PostgreSQL have used, zero where there is no
// /proc.
func (s *server) cpuTimes() (server, postgres time.Duration) {
	server, _ = cpuTime(strconv.Itoa(s.command.Process.Pid))
	found, _ := filepath.Glob("/proc/[0-9]*") // the pattern is valid
	for _, process := range found {
		used, parent := cpuTime(filepath.Base(process))
		if parent == s.postmaster && parent != "" || filepath.Base(process) == s.postmaster {
			postgres += used
		}
	}
	return server, postgres
}

// cpuTime returns the processor time of a process, and the id of its parent. See proc(5),
// /proc/pid/stat.
func cpuTime(pid string) (used time.Duration, parent string) {
	content, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	if err != nil {
		return 0, "" // it has ended
	}
	_, rest, _ := strings.Cut(string(content), ") ") // behind the name, which may contain spaces
	fields := strings.Fields(rest)
	const parentField, userField, systemField = 1, 11, 12
	if len(fields) <= systemField {
		return 0, ""
	}
	user, _ := strconv.Atoi(fields[userField])     // a number, by the manual
	system, _ := strconv.Atoi(fields[systemField]) // as above
	return time.Duration(user+system) * ticks, fields[parentField]
}

// findPostmaster returns the id of the private PostgreSQL's first process, "" if it is unknown.
func findPostmaster(data string) string {
	found, _ := filepath.Glob(filepath.Join(data, "postgres", "*", "postmaster.pid")) // the pattern is valid
	if len(found) == 0 {
		return ""
	}
	content, _ := os.ReadFile(found[0]) // "" if it has stopped
	line, _, _ := strings.Cut(string(content), "\n")
	return line
}
