package delivery_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/delivery"
)

func TestRetriesTakeAboutADay(t *testing.T) {
	t.Parallel()
	var all time.Duration
	for i, delay := range delivery.RetryDelays {
		all += delay
		if i > 0 {
			require.GreaterOrEqual(t, delay, 3*delivery.RetryDelays[i-1])
		}
	}
	require.InDelta(t, 24, all.Hours(), 3)
	_, retry := delivery.RetryDelay(len(delivery.RetryDelays)+1, func() float64 { return 0 })
	require.False(t, retry)
	delay, _ := delivery.RetryDelay(1, func() float64 { return 0 })
	require.Equal(t, 12*time.Second, delay)
}
