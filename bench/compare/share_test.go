package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAServerIsHeldToItsShare limits a waiting process, and checks its control group and
// its quota.
func TestAServerIsHeldToItsShare(t *testing.T) {
	t.Parallel()
	command := exec.CommandContext(t.Context(), "cat")
	in, err := command.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	s := &server{command: command}
	t.Cleanup(func() { _ = in.Close(); s.stop() })

	err = s.limit(0.4)
	if errors.Is(err, errNoGroups) {
		t.Skip(err)
	}
	require.NoError(t, err)

	require.Equal(t, []string{strconv.Itoa(command.Process.Pid)}, strings.Fields(content(t, s.group, "cgroup.procs")))
	limit := ""
	for _, file := range []string{"cpu.max", "cpu.cfs_quota_us", "cpu.cfs_period_us"} { // of either cgroup version
		if _, err := os.Stat(filepath.Join(s.group, file)); err == nil {
			limit += content(t, s.group, file)
		}
	}
	require.Equal(t, []string{"4000", "10000"}, strings.Fields(limit))

	s.stop()
	require.NoDirExists(t, s.group)
}

func content(t *testing.T, dir, file string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, file))
	require.NoError(t, err)
	return string(b)
}
