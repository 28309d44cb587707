package db

import (
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Timeouts of a transaction at the server. A process can be suspended, a machine paused or a
// network cut without ending its session, so the program alone cannot end it.
const (
	// idleTimeoutWithLock is how long a transaction that holds a lock of [Locking] may wait for its client.
	// Other instances wait for the lock meanwhile.
	idleTimeoutWithLock = 3 * time.Second
	// idleTimeout is the same for any other transaction that may write.
	idleTimeout = 10 * time.Second
	// lockTimeout is how long a transaction waits for any lock. It is longer than
	// idleTimeoutWithLock, after which the server ends a holder that hangs, and well below the timeout
	// of a request.
	lockTimeout = 5 * time.Second
)

// lockTimeoutStatement returns the statement that limits the wait for the locks of [Locking]: to
// lockTimeout, or to four fifths of the caller's time if that is less. So the caller gets the reason
// before its deadline. Unlike SELECT, SET takes no snapshot. Short waits are rounded up to a multiple
// of lockTimeoutStep, because each text is prepared once per connection.
func (a *attempt) lockTimeoutStatement() string {
	wait := lockTimeout
	if deadline, hasDeadline := a.caller.Deadline(); hasDeadline {
		remaining := max(time.Until(deadline)*4/5, 1)
		wait = min(wait, (remaining + lockTimeoutStep).Truncate(lockTimeoutStep))
	}
	return "SET LOCAL lock_timeout = " + milliseconds(wait)
}

const lockTimeoutStep = 20 * time.Millisecond

// timeoutSettings returns the statement that sets the attempt's organizations and, unless the attempt is read-only,
// its timeouts and [GenericPlans]. If the server supports transaction_timeout, it is set to end shortly after the
// caller's deadline.
func (a *attempt) timeoutSettings(c *pgx.Conn) (statement string, arguments []string) {
	organizations := a.tenancy.String()
	if a.unit.readOnly {
		return setOrganizations, []string{organizations}
	}
	idle := idleTimeout
	if len(a.unit.locks) > 0 {
		idle = idleTimeoutWithLock
	}
	deadline, hasDeadline := a.caller.Deadline()
	statement, arguments = setTimeouts, []string{organizations, milliseconds(idle), milliseconds(lockTimeout)}
	if hasDeadline && majorVersion(c) >= transactionTimeoutVersion {
		whole := max(time.Until(deadline), 0) + rollbackGrace
		statement, arguments = setAllTimeouts, append(arguments, milliseconds(whole))
	}
	if a.unit.genericPlans {
		statement += setGenericPlans
	}
	return statement, arguments
}

const (
	setTimeouts = setOrganizations + ", set_config('idle_in_transaction_session_timeout', $2, true), " +
		"set_config('lock_timeout', $3, true)"
	setAllTimeouts  = setTimeouts + ", set_config('transaction_timeout', $4, true)"
	setGenericPlans = ", set_config('plan_cache_mode', 'force_generic_plan', true)"
)

// transactionTimeoutVersion is the version of PostgreSQL that added transaction_timeout.
const transactionTimeoutVersion = 17

// majorVersion returns the version of the server, 0 if it is unknown.
func majorVersion(c *pgx.Conn) int {
	text := c.PgConn().ParameterStatus("server_version")
	digits := len(text) - len(strings.TrimLeft(text, "0123456789"))
	n, _ := strconv.Atoi(text[:digits]) // "" is 0
	return n
}

// milliseconds formats the time as a setting's value.
func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
