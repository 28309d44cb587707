package db

import (
	"context"
	"slices"
	"sync"
)

// Lanes are per-key mutexes for work that is about to change the same record. Callers
// wait before their transactions begin. Waiting inside a SERIALIZABLE transaction is
// useless: its snapshot is older than the wait, so it fails with 40001 once the
// previous transaction has committed. Lanes save such attempts within one process.
// Correctness does not depend on them.
//
// The zero value is ready. Safe for concurrent use.
type Lanes[K comparable] struct {
	mu    sync.Mutex
	lanes map[K]*lane
}

type lane struct {
	turn  chan struct{} // holds one token while locked; waiters are served in order
	users int           // holders and waiters
}

// Enter locks the key and returns the function that unlocks it. Inside a transaction it
// does not wait, because that would hold a connection. It returns the context's error
// if the context ends first.
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

// EnterAll locks all keys, in their order, and returns the function that unlocks them.
// All callers must name distinct keys in the same order, or they deadlock.
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

// part removes a lane without users.
func (l *Lanes[K]) part(key K, queue *lane) {
	l.mu.Lock()
	defer l.mu.Unlock()
	queue.users--
	if queue.users == 0 {
		delete(l.lanes, key)
	}
}
