package events

import (
	"context"
	"sync"

	"github.com/sirupsen/logrus"

	"omnirapeutic/platform/record"
)

// dispatcher decides when each webhook is served. Every webhook with a slot has one
// goroutine; [slots] decide which webhooks have one.
type dispatcher struct {
	slots *slots
	// due returns the webhooks that have deliveries to attempt.
	due func(context.Context) ([]record.Key, error)
	// serve sends due events to a webhook and reports whether the last attempts all failed.
	serve  func(context.Context, record.Key) (failed bool, err error)
	wake   chan struct{} // signals that something may be due, or that a slot is free
	logger logrus.FieldLogger

	mutex sync.Mutex // guards the slots
	work  sync.WaitGroup
}

// dispatch starts to serve due webhooks, as long as there are slots, and returns their number. They
// are served until the context ends.
func (d *dispatcher) dispatch(ctx context.Context) (int64, error) {
	due, err := d.due(ctx)
	if err != nil {
		return 0, err
	}
	d.mutex.Lock()
	taken := d.slots.take(due)
	d.mutex.Unlock()
	for _, w := range taken {
		d.work.Go(func() { d.serveOne(ctx, w) })
	}
	return int64(len(taken)), nil
}

// serveOne serves a webhook that has a slot, and returns the slot.
func (d *dispatcher) serveOne(ctx context.Context, w record.Key) {
	failed, err := d.serve(ctx, w)
	if err != nil && ctx.Err() == nil {
		d.logger.WithFields(logrus.Fields{"event": "deliver_failed", "webhook_id": w.ID, "error": err}).
			Warn("deliveries of a webhook could not be claimed or stored; they are due again later")
	}
	d.mutex.Lock()
	d.slots.release(w, failed)
	d.mutex.Unlock()
	if err == nil {
		signal(d.wake) // another webhook may wait for the slot
	}
}
