package appointments

import (
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/calendar"
)

func TestWorklistCoversAYearByDefault(t *testing.T) {
	t.Parallel()
	date := func(text string) calendar.Date {
		d, err := calendar.ParseDate(text)
		require.NoError(t, err)
		return d
	}
	today := date("2026-11-30")
	for name, test := range map[string]struct{ given, covered Days }{
		"no days":     {Days{}, Days{First: date("2025-11-29")}},
		"a last day":  {Days{Last: date("2025-01-01")}, Days{date("2024-01-01"), date("2025-01-01")}},
		"a first day": {Days{First: date("2020-01-01")}, Days{First: date("2020-01-01")}},
	} {
		require.Equal(t, test.covered, test.given.ofWorklist(today), name)
	}
}
