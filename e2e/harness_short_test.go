//go:build !long

package app_test

const long = false
