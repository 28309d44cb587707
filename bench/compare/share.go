package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// Where Linux has its groups of processes that get no more than their share of
// processors: version 2 of them, and version 1.
// https://docs.kernel.org/admin-guide/cgroup-v2.html, "cpu.max";
// https://docs.kernel.org/scheduler/sched-bwc.html
const (
	groups  = "/sys/fs/cgroup"
	groups1 = groups + "/cpu"
)

// period is how often a share is counted anew: short, since who has used it up waits
// until then. The kernel's own is 100 ms, longer than most requests take.
const period = 10 * time.Millisecond

// errNoGroups says that processes cannot be held to a share here.
var errNoGroups = errors.New("it takes Linux and the right to make groups below " + groups)

// hold gives the server so much of the processors and no more. What it has started
// before, as its PostgreSQL, is not held.
func (s *server) hold(processors float64) error {
	pid, of := strconv.Itoa(s.command.Process.Pid), groups
	limits := map[string]string{"cpu.max": fmt.Sprintf("%d %d", quota(processors), period.Microseconds())}
	if _, err := os.Stat(filepath.Join(groups1, "tasks")); err == nil {
		of = groups1
		limits = map[string]string{
			"cpu.cfs_quota_us":  strconv.FormatInt(quota(processors), 10),
			"cpu.cfs_period_us": strconv.FormatInt(period.Microseconds(), 10),
		}
	}
	dir, err := os.MkdirTemp(of, "omnirapeutic-")
	if err != nil {
		return errors.Join(errNoGroups, err)
	}
	s.group = dir
	for file, limit := range limits {
		if err := write(dir, file, limit); err != nil {
			return errors.Join(errNoGroups, err)
		}
	}
	return write(dir, "cgroup.procs", pid)
}

// quota is the time in a period, in microseconds.
func quota(processors float64) int64 {
	return int64(processors * float64(period.Microseconds()))
}

func write(dir, file, content string) error {
	return os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600) // it is there: the mode is not used
}
