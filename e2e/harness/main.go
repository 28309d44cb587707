package harness

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"omnirapeutic/app/cli"
	"omnirapeutic/platform/db/dbtest"
)

// Main runs the tests, checks their spans, and compares the contract with the requests of all tests. If a test has
// started this binary as an [Instance], it runs the program instead.
func Main(m *testing.M) {
	if os.Getenv(runMain) != "" {
		os.Exit(cli.Main())
	}
	flag.Parse()
	if parallel := flag.Lookup("test.parallel"); parallel.Value.String() == parallel.DefValue {
		// Many tests wait for a timeout or another process, so more tests than processors
		// run in parallel.
		_ = parallel.Value.Set(strconv.Itoa(2 * runtime.GOMAXPROCS(0)))
	}
	dbtest.Main(m, checkSpans, func() error {
		if !isWholeRun() {
			return nil
		}
		c, err := PublishedContract()
		if err != nil {
			return err
		}
		if missing := c.missingRefusals(); len(missing) > 0 {
			return fmt.Errorf("no test has produced these refusals of the contract:\n%s", strings.Join(missing, "\n"))
		}
		return nil
	})
}

// runMain makes the test binary the program.
const runMain = "OMNI_TEST_RUN_MAIN"

// SkipUnlessLong skips a test that takes many seconds, unless tests run at full length.
func SkipUnlessLong(t *testing.T) {
	t.Helper()
	if !Long {
		t.Skip("slow: run go test -tags long ./e2e")
	}
}

// isWholeRun reports whether all tests run at full length.
func isWholeRun() bool {
	for _, name := range []string{"test.run", "test.skip", "test.bench", "test.fuzz", "test.list"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" {
			return false
		}
	}
	return Long && !*Update
}

// Update rewrites the OpenAPI document and the pages that are generated from the code.
var Update = flag.Bool("update", false, "rewrite the generated documents")
