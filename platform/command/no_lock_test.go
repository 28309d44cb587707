package command_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/command"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/identity"
)

// recorder is an engine that records the organizations of each batch. While the first batch prefetches, it calls
// during.
type recorder struct {
	*command.Engine
	command.Executor[addition, int]
	batches [][]uuid.UUID
}

func newRecorder(t *testing.T, o command.Options, during func(r *recorder)) *recorder {
	t.Helper()
	r := &recorder{}
	o.Database, o.Clock, o.NewID = dbtest.Open(t, dbtest.WithMaxConns(4)), time.Now, uuid.New
	r.Engine = command.NewEngine(o)
	var once sync.Once
	r.Executor = command.Add(r.Engine, command.Handler[addition, *sums, int]{
		Name: "sums",
		Prefetch: func([]addition) (*sums, []db.Query) {
			once.Do(func() { during(r) })
			return &sums{}, nil
		},
		Load: func(_ context.Context, s *sums, commands []addition) (*sums, error) {
			var of []uuid.UUID
			for _, c := range commands {
				of = append(of, c.OrganizationID)
			}
			r.batches = append(r.batches, of) // one batch runs at a time
			return s, nil
		},
		Decide: func(*sums, addition) (sum int, changed bool, err error) { return 0, true, nil },
		Answer: func(int) any { return nil },
		Replay: func(*sums, addition, []byte) (int, error) { return 0, nil },
		Save:   func(context.Context, *sums) error { return nil },
	})
	return r
}

func (r *recorder) add(t *testing.T, organization uuid.UUID) {
	_, _, err := r.Do(t.Context(), addition{r.NewCall(identity.System(organization), "add", ""), 2})
	if err != nil {
		t.Error(err)
	}
}

// TestWithoutTheLockABatchIsClosedBeforeItsSnapshot lets a command arrive after the rows of the batch were read. With the
// lock, no other transaction can have changed them.
func TestWithoutTheLockABatchIsClosedBeforeItsSnapshot(t *testing.T) {
	t.Parallel()
	own := uuid.New()
	for noLock, want := range map[bool][][]uuid.UUID{false: {{own, own}}, true: {{own}, {own}}} {
		var late sync.WaitGroup
		r := newRecorder(t, command.Options{NoLock: noLock}, func(r *recorder) {
			late.Go(func() { r.add(t, own) })
			for r.Waiting() == 0 {
				time.Sleep(time.Millisecond)
			}
		})
		r.add(t, own)
		late.Wait()
		require.Equal(t, want, r.batches, "without the lock: %t", noLock)
	}
}

// TestBatchesByOrganization lets commands of two organizations wait together.
func TestBatchesByOrganization(t *testing.T) {
	t.Parallel()
	own, other := uuid.New(), uuid.New()
	for _, apart := range []bool{false, true} {
		var late sync.WaitGroup
		r := newRecorder(t, command.Options{NoLock: true, ByOrganization: apart}, func(r *recorder) {
			for i := range 6 {
				late.Go(func() { r.add(t, []uuid.UUID{own, other}[i%2]) })
			}
			for r.Waiting() < 6 {
				time.Sleep(time.Millisecond)
			}
		})
		r.add(t, own)
		late.Wait()
		require.Len(t, r.batches, map[bool]int{false: 2, true: 3}[apart])
		for _, batch := range r.batches {
			for _, organization := range batch {
				require.True(t, !apart || organization == batch[0], "%v", batch)
			}
		}
	}
}
