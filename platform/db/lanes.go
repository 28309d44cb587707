package db

import (
	"context"
	"slices"
	"sync"
)

// Lanes let those who are about to change the same thing wait for each other
// before their transactions begin. Waiting inside a SERIALIZABLE transaction is
// of no use: its snapshot is taken before the wait, and it fails with 40001 once
// the one before has committed. A lane saves those attempts; what is right does
// not depend on it, and other instances of the program are not in it.
//
// The zero value is ready. Safe for concurrent use.
type Lanes[K comparable] struct {
	mu    sync.Mutex
	lanes map[K]*lane
}

type lane struct {
	turn  chan struct{} // holds one token while somebody is in; waiters are served in their order
	users int           // in the lane or waiting for it
}

// Enter waits until nobody else is in the key's lane, and returns how to leave
// it. Inside a transaction it does not wait: that would hold a connection. The
// error is the context's where that ends first.
func (l *Lanes[K]) Enter(ctx context.Context, key K) (leave func(), err error) {
	if attemptIn(ctx) != nil {
		return func() {}, nil
	}
	queue := l.join(key)
	select {
	case queue.turn <- struct{}{}:
		return func() { <-queue.turn; l.part(key, queue) }, nil
	case <-ctx.Done():
		l.part(key, queue)
		return nil, ctx.Err()
	}
}

// EnterAll enters the lanes of all keys, in their order, and returns how to leave
// them. Whoever enters several must name them in the same order as everybody else,
// each once, or two wait for each other.
func (l *Lanes[K]) EnterAll(ctx context.Context, keys []K) (leave func(), err error) {
	var entered []func()
	leave = func() {
		for _, each := range slices.Backward(entered) {
			each()
		}
	}
	for _, key := range keys {
		out, err := l.Enter(ctx, key)
		if err != nil {
			leave()
			return nil, err
		}
		entered = append(entered, out)
	}
	return leave, nil
}

func (l *Lanes[K]) join(key K) *lane {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lanes == nil {
		l.lanes = make(map[K]*lane)
	}
	queue := l.lanes[key]
	if queue == nil {
		queue = &lane{turn: make(chan struct{}, 1)}
		l.lanes[key] = queue
	}
	queue.users++
	return queue
}

// part forgets a lane that nobody uses any more.
func (l *Lanes[K]) part(key K, queue *lane) {
	l.mu.Lock()
	defer l.mu.Unlock()
	queue.users--
	if queue.users == 0 {
		delete(l.lanes, key)
	}
}
