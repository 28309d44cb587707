package events

import (
	"context"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
)

// dispatcher decides when each webhook is served. Every webhook with a slot has one
// goroutine; [slots] decide which webhooks have one.
type dispatcher struct {
	slots *slots
	// due returns the webhooks that have deliveries to attempt.
	due func(context.Context) ([]dueWebhook, error)
	// serve sends due events to a webhook and reports whether the last attempts all failed.
	serve  func(context.Context, dueWebhook) (failed bool, err error)
	wake   chan struct{} // something may be due, or a slot is free
	poll   time.Duration // interval without a wake-up
	logger logrus.FieldLogger

	mutex sync.Mutex // guards the slots
	work  sync.WaitGroup
}

// run serves webhooks until the context ends, and returns once all have been served.
func (d *dispatcher) run(ctx context.Context) {
	poll := time.NewTicker(d.poll)
	defer poll.Stop()
	defer d.work.Wait()
	for {
		due, err := d.due(ctx)
		if err != nil && ctx.Err() == nil {
			d.logger.WithFields(logrus.Fields{"event": "deliver_failed", "error": err}).
				Warn("cannot load the due webhooks; retrying at the next poll")
		}
		d.mutex.Lock()
		taken := d.slots.take(due)
		d.mutex.Unlock()
		for _, w := range taken {
			d.work.Go(func() { d.serveOne(ctx, w) })
		}
		select {
		case <-ctx.Done():
			return
		case <-d.wake:
		case <-poll.C:
		}
	}
}

// serveOne serves a webhook that has a slot, and returns the slot.
func (d *dispatcher) serveOne(ctx context.Context, w dueWebhook) {
	failed, err := d.serve(ctx, w)
	if err != nil && ctx.Err() == nil {
		d.logger.WithFields(logrus.Fields{"event": "deliver_failed", "webhook_id": w.ID, "error": err}).
			Warn("deliveries of a webhook could not be claimed or stored; they are due again later")
	}
	d.mutex.Lock()
	d.slots.give(w, failed)
	d.mutex.Unlock()
	if err == nil {
		signal(d.wake) // another webhook may wait for the slot
	}
}
