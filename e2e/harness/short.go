//go:build !long

package harness

// Long reports that tests run at full length.
const Long = false
