package db

import "github.com/google/uuid"

// turns is a fair queue. Organizations are served in turn, and within each its
// subjects, so that each waits for at most one request of every other. Requests on one
// subject keep their order. The zero value is empty.
type turns[E any] struct {
	size          int
	organizations ring[ring[[]E]]
}

// ring holds waiting items by key, and the keys take turns. Every key has at least one
// item.
type ring[Q any] struct {
	order []uuid.UUID // next turn first
	byKey map[uuid.UUID]*Q
}

// of returns the items of the key, and appends the key to the order if it is new.
func (r *ring[Q]) of(key uuid.UUID) *Q {
	q := r.byKey[key]
	if q == nil {
		if r.byKey == nil {
			r.byKey = make(map[uuid.UUID]*Q)
		}
		q = new(Q)
		r.byKey[key] = q
		r.order = append(r.order, key)
	}
	return q
}

// first returns the items of the key whose turn it is.
func (r *ring[Q]) first() *Q { return r.byKey[r.order[0]] }

// pass ends the current key's turn. The key gets another turn if it has more items.
func (r *ring[Q]) pass(empty bool) {
	key := r.order[0]
	r.order = r.order[1:]
	if empty {
		delete(r.byKey, key)
		return
	}
	r.order = append(r.order, key)
}

func (t *turns[E]) push(organization, subject uuid.UUID, e E) {
	waiting := t.organizations.of(organization).of(subject)
	*waiting = append(*waiting, e)
	t.size++
}

// peek returns the item that pop would return.
func (t *turns[E]) peek() (e E, ok bool) {
	if t.size == 0 {
		return e, false
	}
	return (*t.organizations.first().first())[0], true
}

// pop removes and returns the next item. The queue must not be empty.
func (t *turns[E]) pop() E {
	subjects := t.organizations.first()
	waiting := subjects.first()
	e := (*waiting)[0]
	clear((*waiting)[:1]) // so that it can be garbage-collected
	*waiting = (*waiting)[1:]
	subjects.pass(len(*waiting) == 0)
	t.organizations.pass(len(subjects.order) == 0)
	t.size--
	return e
}
