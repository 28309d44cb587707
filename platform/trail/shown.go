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
	PatientID uuid.UUID // patient to whom the data belongs
}

// Shown collects the patient records that a request is about to show. Services add
// records when they read them, and the handler records them in the audit trail before
// it answers. The zero value is empty. Safe for concurrent use.
type Shown struct {
	mutex    sync.Mutex
	subjects []Subject
}

type shownKey struct{}

// WithShown returns a context in which [Show] collects records.
func WithShown(ctx context.Context, s *Shown) context.Context {
	return context.WithValue(ctx, shownKey{}, s)
}

// Show notes that the caller of the context is about to see records of patients. It
// does nothing in a context without [WithShown], as for work of the program itself.
// Repeated records, as after a transaction retry, count once in the trail.
func Show(ctx context.Context, subjects ...Subject) {
	s, ok := ctx.Value(shownKey{}).(*Shown)
	if !ok {
		return
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.subjects = append(s.subjects, subjects...)
}

// Subjects returns the collected records, in order and with duplicates.
func (s *Shown) Subjects() []Subject {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return slices.Clone(s.subjects)
}
