package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// Mount points of Linux control groups, which limit processes to a share of the
// processors: version 2 and version 1.
// https://docs.kernel.org/admin-guide/cgroup-v2.html, "cpu.max";
// https://docs.kernel.org/scheduler/sched-bwc.html
const (
	groups  = "/sys/fs/cgroup"
	groups1 = groups + "/cpu"
)

// period is the accounting period of a share. It is short, because a process that has
// used up its share waits for the next period. The kernel's default of 100 ms is longer
// than most requests.
const period = 10 * time.Millisecond

// errNoGroups is returned if processes cannot be limited to a share.
var errNoGroups = errors.New("this requires Linux and permission to create groups below " + groups)

// limit restricts the server to a share of the processors. Processes it started before,
// such as PostgreSQL, are not limited.
func (s *server) limit(processors float64) error {
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

// quota is the time per period, in microseconds.
func quota(processors float64) int64 {
	return int64(processors * float64(period.Microseconds()))
}

func write(dir, file, content string) error {
	return os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600) // the file exists: the mode is not used
}
