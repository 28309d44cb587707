package command

import "github.com/google/uuid"

// fairQueue is a queue in which groups take turns, organizations take turns within each
// group, and subjects within each organization. Entries of one subject keep their order.
// The zero value is empty.
type fairQueue[E any] struct {
	size   int
	groups ring[any, group[E]]
}

// group has the waiting entries of one group, by organization and subject.
type group[E any] struct {
	organizations ring[uuid.UUID, ring[uuid.UUID, []E]]
}

// ring holds waiting items by key. The keys take turns. Every key has at least one item.
type ring[K comparable, Q any] struct {
	order []K // the next turn first
	byKey map[K]*Q
}

// of returns the items of the key. A new key has its first turn after all others.
func (r *ring[K, Q]) of(key K) *Q {
	q := r.byKey[key]
	if q == nil {
		if r.byKey == nil {
			r.byKey = make(map[K]*Q)
		}
		q = new(Q)
		r.byKey[key] = q
		r.order = append(r.order, key)
	}
	return q
}

// first returns the items of the key whose turn it is.
func (r *ring[K, Q]) first() *Q { return r.byKey[r.order[0]] }

// pass ends the current key's turn. The key gets another turn if it has more items.
func (r *ring[K, Q]) pass(empty bool) {
	key := r.order[0]
	r.order = r.order[1:]
	if empty {
		delete(r.byKey, key)
		return
	}
	r.order = append(r.order, key)
}

// remove removes a key without items.
func (r *ring[K, Q]) remove(key K) {
	delete(r.byKey, key)
	for i, each := range r.order {
		if each == key {
			r.order = append(r.order[:i:i], r.order[i+1:]...)
			return
		}
	}
}

func (q *fairQueue[E]) push(groupKey any, key QueueKey, e E) {
	waiting := q.groups.of(groupKey).organizations.of(key.Organization).of(key.Subject)
	*waiting = append(*waiting, e)
	q.size++
}

// pop removes and returns the next entry, and ends the turn of its group. The queue must not be
// empty.
func (q *fairQueue[E]) pop() E {
	g := q.groups.first()
	e := g.pop()
	q.size--
	q.groups.pass(g.empty())
	return e
}

// peekOf returns the next entry of the group, and false if the group has none.
func (q *fairQueue[E]) peekOf(groupKey any) (e E, ok bool) {
	g := q.groups.byKey[groupKey]
	if g == nil {
		return e, false
	}
	return (*g.organizations.first().first())[0], true
}

// popOf removes and returns the next entry of the group, which must have one. It does not affect
// the turns of the groups.
func (q *fairQueue[E]) popOf(groupKey any) E {
	g := q.groups.byKey[groupKey]
	e := g.pop()
	q.size--
	if g.empty() {
		q.groups.remove(groupKey)
	}
	return e
}

func (g *group[E]) empty() bool { return len(g.organizations.order) == 0 }

func (g *group[E]) pop() E {
	subjects := g.organizations.first()
	waiting := subjects.first()
	e := (*waiting)[0]
	clear((*waiting)[:1]) // so that it can be garbage-collected
	*waiting = (*waiting)[1:]
	subjects.pass(len(*waiting) == 0)
	g.organizations.pass(len(subjects.order) == 0)
	return e
}
