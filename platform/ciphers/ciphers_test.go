package ciphers_test

import (
	"crypto/tls"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/ciphers"
)

func TestNoSuiteIsInCBCMode(t *testing.T) {
	t.Parallel()
	for _, suite := range ciphers.Suites() {
		name := tls.CipherSuiteName(suite)
		require.True(t, strings.HasPrefix(name, "TLS_ECDHE_") &&
			(strings.Contains(name, "_GCM_") || strings.Contains(name, "_CHACHA20_POLY1305_")), name)
	}
	for _, secure := range tls.CipherSuites() {
		if strings.Contains(secure.Name, "_GCM_") && slices.Contains(secure.SupportedVersions, tls.VersionTLS12) {
			require.Contains(t, ciphers.Suites(), secure.ID, secure.Name)
		}
	}
}
