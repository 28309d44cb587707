package pgurl_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db/pgurl"
)

func TestChangedPassword(t *testing.T) {
	t.Parallel()
	const before = "postgres://a:1@h:5432/d?sslmode=disable"
	password, only := pgurl.ChangedPassword(before, "postgres://a:%40%2F@h:5432/d?sslmode=disable")
	require.True(t, only)
	require.Equal(t, "@/", password)
	for _, after := range []string{
		before, "", "postgres://b:2@h:5432/d?sslmode=disable", "postgres://a:2@h:5433/d?sslmode=disable",
		"postgres://a:2@h:5432/d", "postgres://a@h:5432/d?sslmode=disable", "user=a password=2",
		"postgres://a:2@h:5432/d?sslmode=disable&password=3",
	} {
		_, only := pgurl.ChangedPassword(before, after)
		require.False(t, only, after)
	}
}
