package signin_test

import (
	"testing"

	"omnirapeutic/modules/rbac/rbactest"
	"omnirapeutic/platform/db/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// practice is a practice with the steps of these tests.
type practice struct{ rbactest.Practice }

func open(t testing.TB) practice { return practice{rbactest.Open(t)} }
