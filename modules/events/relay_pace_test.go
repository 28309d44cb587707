package events

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestInstancesShareOnePace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		waited := func(p *relayPace) time.Duration {
			began := time.Now()
			require.True(t, p.wait(t.Context()))
			return time.Since(began)
		}
		var p relayPace
		require.Equal(t, gatherDelay, waited(&p), "after a pause")
		p.moved()
		require.Equal(t, minInterval, waited(&p), "after a move")

		for range 10 {
			time.AfterFunc(minInterval, p.movedElsewhere)
			p.movedElsewhere()
			require.Equal(t, 3*minInterval, waited(&p), "the instance that moved last goes first")
		}

		time.Sleep(time.Hour)
		require.Equal(t, gatherDelay, waited(&p))

		ended, end := context.WithCancel(t.Context())
		end()
		require.False(t, p.wait(ended))
	})
}
