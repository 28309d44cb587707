package scheduling_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/scheduling"
)

func TestAPractitionerIsQualified(t *testing.T) {
	t.Parallel()
	day := calendar.NewDate(2026, time.March, 2)
	service := scheduling.ServiceCode{RequiredCredentials: []string{"BCBA", "RBT"}}
	for name, c := range map[string]struct {
		held      []scheduling.Credential
		qualified bool
	}{
		"by a credential without an end":  {[]scheduling.Credential{{Code: "BCBA"}}, true},
		"on the last day of a credential": {[]scheduling.Credential{{Code: "RBT", ExpiresOn: day}}, true},
		"not the day after":               {[]scheduling.Credential{{Code: "RBT", ExpiresOn: day.AddDays(-1)}}, false},
		"by another one if one has expired": {[]scheduling.Credential{
			{Code: "RBT", ExpiresOn: day.AddDays(-1)}, {Code: "BCBA"},
		}, true},
		"not by a credential of another kind": {[]scheduling.Credential{{Code: "BCaBA"}}, false},
		"not by none":                         {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := scheduling.Practitioner{Credentials: c.held}
			require.Equal(t, c.qualified, p.Qualified(service, day))
			require.True(t, p.Qualified(scheduling.ServiceCode{}, day), "for a service that asks for no credential")
		})
	}
}

func TestTheRuleInForce(t *testing.T) {
	t.Parallel()
	day := calendar.NewDate(2026, time.March, 2)
	first := scheduling.RoundingRule{StartsOn: scheduling.Always, Method: scheduling.RoundDown}
	second := scheduling.RoundingRule{StartsOn: day, Method: scheduling.RoundMidpoint}
	rules := []scheduling.RoundingRule{first, second}
	for on, want := range map[calendar.Date]scheduling.RoundingRule{
		scheduling.Always: first, day.AddDays(-1): first, day: second, day.AddDays(1): second,
		calendar.NewDate(9999, time.December, 31): second,
	} {
		require.Equal(t, want, scheduling.InForce(rules, on), "%s", on)
	}
	require.Equal(t, scheduling.DefaultRounding, scheduling.InForce(nil, day))
	require.Equal(t, scheduling.DefaultRounding, scheduling.InForce(rules[1:], day.AddDays(-1)))
}
