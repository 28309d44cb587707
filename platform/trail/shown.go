package trail

import (
	"context"
	"slices"
	"sync"

	"github.com/google/uuid"
)

// Subject is a record that holds data of a patient.
type Subject struct {
	Type      string // as "authorization"
	ID        uuid.UUID
	PatientID uuid.UUID // whose data it is
}

// Shown is what a request is about to be shown: services note it where they read
// it, whoever answers the request has it recorded first. The zero value is empty;
// safe for concurrent use.
type Shown struct {
	mutex    sync.Mutex
	subjects []Subject
	seen     map[Subject]bool
}

type shownKey struct{}

// Watching returns a context in which [Show] notes what is read.
func Watching(ctx context.Context, s *Shown) context.Context {
	return context.WithValue(ctx, shownKey{}, s)
}

// Show notes that records of patients were read in order to be shown to the caller
// of the context. Work that answers nobody, such as that of the program itself,
// need not be watched: then it does nothing. Noted twice, as when a transaction is
// retried, they count once.
func Show(ctx context.Context, subjects ...Subject) {
	s, ok := ctx.Value(shownKey{}).(*Shown)
	if !ok {
		return
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.seen == nil {
		s.seen = map[Subject]bool{}
	}
	for _, each := range subjects {
		if !s.seen[each] {
			s.seen[each] = true
			s.subjects = append(s.subjects, each)
		}
	}
}

// Subjects returns what was noted, in its order.
func (s *Shown) Subjects() []Subject {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return slices.Clone(s.subjects)
}
