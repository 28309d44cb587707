package app

import (
	"cmp"
	"flag"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/fault"
)

var update = flag.Bool("update", false, "update docs/errors.md")

// advice is what a client should do about errors of a kind, unless the error has its
// own advice.
var advice = map[fault.Kind]string{
	fault.Malformed:       "This is a bug in the client. `detail` describes the problem.",
	fault.Unauthenticated: "Sign in, and send the access token.",
	fault.Forbidden:       "Do not offer this to the user. `permission` names the missing permission.",
	fault.NotFound:        "Show that the record was not found. It may belong to another organization.",
	fault.Conflict:        "Show the text and the current state. The request is refused until the state changes.",
	fault.TooLarge:        "Send less.",
	fault.Unsupported:     "Send JSON with `Content-Type: application/json`.",
	fault.Unavailable:     "Wait for the time in `Retry-After`, and retry the same request with the same `Idempotency-Key`.",
}

func errorsPage() string {
	var b strings.Builder
	b.WriteString(`# Errors

Every code that a problem document of the API can carry, with what it means and what a client should do. Texts may change; codes do not. Written by ` +
		"`go test ./app -run TestErrorsPage -update`" + `; a test fails when it is out of date.

| status | code | meaning | what to do |
| --- | --- | --- | --- |
`)
	all := fault.All()
	slices.SortStableFunc(all, func(a, b *fault.Error) int { return cmp.Compare(statusOf(a), statusOf(b)) })
	for _, f := range all {
		fmt.Fprintf(&b, "| %d | `%s` | %s | %s |\n", statusOf(f), f.Code(), f.Title(), cmp.Or(f.Advice(), advice[f.Kind()]))
	}
	return b.String()
}

func TestErrorsPage(t *testing.T) {
	t.Parallel()
	const path = "../docs/errors.md"
	want := errorsPage()
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(want), 0o600))
	}
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, want, string(got), "it is out of date: go test ./app -run TestErrorsPage -update")
	for _, f := range fault.All() {
		require.NotEmpty(t, cmp.Or(f.Advice(), advice[f.Kind()]), "%s has advice", f.Code())
		require.NotEmpty(t, http.StatusText(statusOf(f)))
	}
}
