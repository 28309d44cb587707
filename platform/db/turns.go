package db

import "github.com/google/uuid"

// turns is a queue in which no organization, and within one no subject, waits
// for more than one request of each of the others: they are served in turn, and
// those of one subject in the order in which they came. The zero value is empty.
type turns[E any] struct {
	size          int
	organizations ring[ring[[]E]]
}

// ring holds what waits, by key; the keys take turns. None of them is empty.
type ring[Q any] struct {
	order []uuid.UUID // whose turn it is comes first
	byKey map[uuid.UUID]*Q
}

// of returns what waits for the key, which gets its turn after all others if nothing did.
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

// first returns what waits for the key whose turn it is.
func (r *ring[Q]) first() *Q { return r.byKey[r.order[0]] }

// pass ends the turn of the key that has it; it gets another one unless nothing waits for it any more.
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

// peek returns what pop would.
func (t *turns[E]) peek() (e E, ok bool) {
	if t.size == 0 {
		return e, false
	}
	return (*t.organizations.first().first())[0], true
}

// pop takes out whoever is next. The queue must not be empty.
func (t *turns[E]) pop() E {
	subjects := t.organizations.first()
	waiting := subjects.first()
	e := (*waiting)[0]
	clear((*waiting)[:1]) // or it is kept in memory
	*waiting = (*waiting)[1:]
	subjects.pass(len(*waiting) == 0)
	t.organizations.pass(len(subjects.order) == 0)
	t.size--
	return e
}
