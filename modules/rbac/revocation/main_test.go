package revocation_test

import (
	"testing"

	"omnirapeutic/platform/db/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }
