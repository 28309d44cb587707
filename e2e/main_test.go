package e2e

import (
	"testing"

	"omnirapeutic/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
