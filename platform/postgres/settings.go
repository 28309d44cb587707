package postgres

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// settings are the server's settings, in file order.
func (c *cluster) settings() string {
	durability, buffers, predicateLocks := "on", sharedBuffers(), 64
	if c.options.Volatile {
		// Tests have many databases. A slow transaction in one of them keeps the locks of all.
		durability, buffers, predicateLocks = "off", 32, 256
	}
	return fmt.Sprintf(`# Written by omnirapeutic at each start; changes here are lost.
listen_addresses = ''                          # the socket is the only way in
unix_socket_directories = '%s'
port = 5432                                    # of the socket's name
unix_socket_permissions = 0700
max_connections = %d
fsync = %[3]s
synchronous_commit = %[3]s
full_page_writes = %[3]s
wal_level = replica
shared_buffers = %[4]dMB
max_pred_locks_per_transaction = %[5]d
random_page_cost = 1.1                         # disks that seek for nothing
jit = off                                      # plans here are short
timezone = 'UTC'
log_timezone = 'UTC'
idle_in_transaction_session_timeout = 60s
lock_timeout = 30s
# Values may be health data: they stay out of the log.
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
log_error_verbosity = terse
log_min_error_statement = panic
log_line_prefix = '%%m [%%p] '
`, c.socketDir, c.options.MaxConnections, durability, buffers, predicateLocks)
}

// writeSettings writes the settings to a separate file that the cluster's configuration
// includes.
func (c *cluster) writeSettings() error {
	path := filepath.Join(c.dir, "omnirapeutic.conf")
	if err := os.WriteFile(path, []byte(c.settings()), 0o600); err != nil {
		return err
	}
	if err := c.account.own(path); err != nil {
		return err
	}
	const include = "include = 'omnirapeutic.conf'"
	main := filepath.Join(c.dir, "postgresql.conf")
	content, err := os.ReadFile(main)
	if err != nil || strings.Contains(string(content), include) {
		return err
	}
	f, err := os.OpenFile(main, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = fmt.Fprintf(f, "\n%s\n", include)
	return err
}

// sharedBuffers is a quarter of the memory, up to 1 GB, in MB.
func sharedBuffers() int {
	const most, unknown = 1024, 128
	machine := memorySettings("/proc/meminfo", "MemTotal: %d kB") / 1024
	if machine == 0 {
		return unknown
	}
	// A container's limit may be below the machine's memory.
	if allowed := memorySettings("/sys/fs/cgroup/memory.max", "%d") / 1024 / 1024; allowed > 0 {
		machine = min(machine, allowed)
	}
	return max(16, min(most, machine/4))
}

// memorySettings parses the number in the first line of the file, in the given format. It
// returns 0 on failure.
func memorySettings(file, form string) int {
	f, err := os.Open(file)
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var n int
		if _, err := fmt.Sscanf(lines.Text(), form, &n); err == nil {
			return n
		}
	}
	return 0
}
