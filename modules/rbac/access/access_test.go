package access_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac/access"
)

func TestShortSecretsAreRefused(t *testing.T) {
	t.Parallel()
	require.Panics(t, func() {
		access.New(access.Dependencies{Secret: make([]byte, access.MinSecret-1), Lifetime: time.Minute})
	})
	require.Panics(t, func() { access.New(access.Dependencies{Secret: make([]byte, access.MinSecret)}) })
}
