package events

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/record"
	"omnirapeutic/platform/telemetry/logtest"
)

var defaultLimits = Limits{Webhooks: 20, Slots: 32, SlotsPerOrganization: 8}

// traffic simulates webhooks: hanging ones always have a due delivery and never answer, and one
// healthy webhook answers each event after 90 ms.
type traffic struct {
	hanging []record.Key
	healthy record.Key

	mutex   sync.Mutex
	pending []time.Time     // publication times of the events that wait for the healthy webhook
	delays  []time.Duration // from publishing to delivery, in the order of the events
}

func (f *traffic) due(context.Context) ([]record.Key, error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if len(f.pending) == 0 {
		return f.hanging, nil
	}
	return append(slices.Clone(f.hanging), f.healthy), nil
}

func (f *traffic) serve(ctx context.Context, w record.Key) (failed bool, err error) {
	if w != f.healthy {
		select {
		case <-time.After(attemptTimeout):
		case <-ctx.Done():
		}
		return true, nil
	}
	f.mutex.Lock()
	sending := f.pending
	f.pending = nil
	f.mutex.Unlock()
	time.Sleep(90 * time.Millisecond)
	f.mutex.Lock()
	defer f.mutex.Unlock()
	for _, published := range sending {
		f.delays = append(f.delays, time.Since(published))
	}
	return false, nil
}

// deliverFor runs a dispatcher in virtual time, publishes an event for the healthy webhook
// each second, and returns the delays of their deliveries.
func (f *traffic) deliverFor(t *testing.T, seconds int) []time.Duration {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		d := dispatcher{
			slots: newSlots(slotLimitsOf(defaultLimits)), due: f.due, serve: f.serve,
			wake: make(chan struct{}, 1), logger: logtest.Logger(),
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			defer d.work.Wait()
			for {
				_, err := d.dispatch(ctx)
				assert.NoError(t, err)
				select {
				case <-ctx.Done():
					return
				case <-d.wake:
				case <-time.After(time.Second):
				}
			}
		}()
		for range seconds {
			time.Sleep(time.Second)
			f.mutex.Lock()
			f.pending = append(f.pending, time.Now())
			f.mutex.Unlock()
			signal(d.wake)
		}
		time.Sleep(time.Minute)
		stop()
		<-ended
	})
	require.Len(t, f.delays, seconds, "every event is delivered")
	return f.delays
}

func webhooksOf(organization uuid.UUID, n int) (all []record.Key) {
	for range n {
		all = append(all, record.Key{OrganizationID: organization, ID: uuid.New()})
	}
	return all
}

func p95(delays []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(delays))[len(delays)*95/100]
}

// TestHangingReceiversDelayNoOtherOrganization has organizations with 100 receivers each
// that never answer, and another organization whose receiver does.
func TestHangingReceiversDelayNoOtherOrganization(t *testing.T) {
	t.Parallel()
	for name, organizations := range map[string]int{"one organization": 1, "three organizations": 3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := traffic{healthy: webhooksOf(uuid.New(), 1)[0]}
			for range organizations {
				f.hanging = append(f.hanging, webhooksOf(uuid.New(), 100)...)
			}
			require.Less(t, p95(f.deliverFor(t, 120)), time.Second)
		})
	}
}

func TestHangingReceiversDelayTheirOwnOrganizationOnlyBriefly(t *testing.T) {
	t.Parallel()
	own := uuid.New()
	f := traffic{healthy: webhooksOf(own, 1)[0], hanging: webhooksOf(own, 19)}
	delays := f.deliverFor(t, 180)
	require.Less(t, p95(delays[60:]), time.Second)
}
