//go:build long

package app_test

// long says that tests run in their full length. Without the build tag "long", which
// .ci/run sets, tests that compare hundreds of requests with a table are skipped, and
// faults are fewer.
const long = true
