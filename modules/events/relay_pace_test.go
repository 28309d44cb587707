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
		waited := func(p *pace) time.Duration {
			began := time.Now()
			require.True(t, p.rest(t.Context()))
			return time.Since(began)
		}
		var p pace
		require.Equal(t, gather, waited(&p), "after a pause")
		p.moved()
		require.Equal(t, interval, waited(&p), "after a move")

		for range 10 {
			time.AfterFunc(interval, p.movedElsewhere)
			p.movedElsewhere()
			require.Equal(t, 3*interval, waited(&p), "the instance that moved last goes first")
		}

		time.Sleep(time.Hour)
		require.Equal(t, gather, waited(&p))

		ended, end := context.WithCancel(t.Context())
		end()
		require.False(t, p.rest(ended))
	})
}
