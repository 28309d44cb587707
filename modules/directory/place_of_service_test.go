package directory_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/directory"
	"omnirapeutic/platform/calendar"
)

func TestPlacesOfServiceInForce(t *testing.T) {
	t.Parallel()
	day := calendar.NewDate(2026, time.March, 2)
	all := directory.PlacesOfService(day)
	require.Len(t, all, 52)
	require.True(t, slices.IsSortedFunc(all, func(a, b directory.PlaceOfService) int {
		return int(a.Code[0])*256 + int(a.Code[1]) - int(b.Code[0])*256 - int(b.Code[1])
	}))
	require.True(t, directory.PlaceOfServiceInForce("27", calendar.NewDate(2023, time.October, 1)))
	require.False(t, directory.PlaceOfServiceInForce("27", calendar.NewDate(2023, time.September, 30)))
	require.False(t, directory.PlaceOfServiceInForce("98", day))
	ended := directory.PlaceOfService{Code: "98", EndsOn: day}
	require.True(t, ended.InForce(day))
	require.False(t, ended.InForce(day.AddDays(1)))
}
