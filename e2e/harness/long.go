//go:build long

package harness

// Long reports that tests run at full length. Without the build tag "long", which
// .ci/run sets, tests that compare hundreds of requests with a table are skipped, and
// there are fewer faults.
const Long = true
