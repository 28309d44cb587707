package db_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"omnirapeutic/platform/db"
)

// gate is a combiner function that records batches and waits for permission to
// continue.
type gate struct {
	mu      sync.Mutex
	batches [][]int
	begun   [][]int // members of each batch before it was closed
	pass    chan struct{}
	wrong   func(batch []int) error // nil: no error
	enter   chan struct{}           // nil: the batch is closed at once
}

func newGate() *gate { return &gate{pass: make(chan struct{})} }

func (g *gate) run(ctx context.Context, asked db.Batch[int]) ([]int, error) {
	begun := asked.Begun()
	if g.enter != nil {
		<-g.enter
	}
	batch := asked.All()
	g.mu.Lock()
	g.begun = append(g.begun, begun)
	g.batches = append(g.batches, slices.Clone(batch))
	g.mu.Unlock()
	select {
	case <-g.pass:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if g.wrong != nil {
		if err := g.wrong(batch); err != nil {
			return nil, err
		}
	}
	verdicts := make([]int, len(batch))
	for i, n := range batch {
		verdicts[i] = 10 * n
	}
	return verdicts, nil
}

func (g *gate) seen() [][]int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.batches)
}

// combiner returns a combiner with one lane and small limits.
func (g *gate) combiner() *db.Combiner[int, int] {
	return db.NewCombiner(db.CombinerOptions[int]{Name: "test", Lanes: 1, Limit: 4, Queue: 8, Timeout: time.Minute}, g.run)
}

type answer struct {
	verdict int
	err     error
}

// ask sends a request in a goroutine, and returns once it is queued.
func ask(ctx context.Context, c *db.Combiner[int, int], at db.Place, n int) chan answer {
	answers := make(chan answer, 1)
	go func() {
		verdict, err := c.Do(ctx, at, n)
		answers <- answer{verdict, err}
	}()
	synctest.Wait()
	return answers
}

var here db.Place

func TestCombiner(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]func(t *testing.T, g *gate){
		"it combines requests that arrive during the previous batch": func(t *testing.T, g *gate) {
			c := g.combiner()
			var asked []chan answer
			for n := range 4 {
				asked = append(asked, ask(t.Context(), c, here, n))
			}
			require.Equal(t, [][]int{{0}}, g.seen(), "a lone request does not wait")
			g.pass <- struct{}{}
			synctest.Wait()
			require.Equal(t, [][]int{{0}, {1, 2, 3}}, g.seen())
			g.pass <- struct{}{}
			for n, each := range asked {
				require.Equal(t, answer{10 * n, nil}, <-each)
			}
		},
		"it respects the limit, and organizations and subjects take turns": func(t *testing.T, g *gate) {
			c := g.combiner()
			busy, quiet := uuid.New(), uuid.New()
			ask(t.Context(), c, here, 0)
			for n := 1; n <= 5; n++ { // one subject of one organization, five times
				ask(t.Context(), c, db.Place{Organization: busy, Subject: busy}, n)
			}
			ask(t.Context(), c, db.Place{Organization: busy, Subject: quiet}, 6)
			ask(t.Context(), c, db.Place{Organization: quiet}, 7)
			for range 3 {
				g.pass <- struct{}{}
				synctest.Wait()
			}
			require.Equal(t, [][]int{{0}, {1, 2, 6, 7}, {3, 4, 5}}, g.seen())
		},
		"it includes requests that arrive before the batch is closed": func(t *testing.T, g *gate) {
			g.enter = make(chan struct{})
			c := g.combiner()
			var asked []chan answer
			for n := range 6 { // the first one finds the lane empty and waits in its batch
				asked = append(asked, ask(t.Context(), c, here, n))
			}
			for range 2 {
				g.enter <- struct{}{}
				g.pass <- struct{}{}
				synctest.Wait()
			}
			require.Equal(t, [][]int{{0, 1, 2, 3}, {4, 5}}, g.seen())
			require.Equal(t, [][]int{{0}, {4, 5}}, g.begun, "the first members are known before")
			require.Equal(t, g.seen()[1], db.BatchOf(g.begun[1]...).All())
			for n, each := range asked {
				require.Equal(t, answer{10 * n, nil}, <-each)
			}
		},
		"it counts the sizes of requests": func(t *testing.T, g *gate) {
			c := db.NewCombiner(db.CombinerOptions[int]{
				Name: "test", Limit: 4, Queue: 8, Timeout: time.Minute, Size: func(n int) int { return n },
			}, g.run)
			for _, n := range []int{9, 3, 1, 2, 9} {
				ask(t.Context(), c, here, n)
			}
			for range 4 {
				g.pass <- struct{}{}
				synctest.Wait()
			}
			require.Equal(t, [][]int{{9}, {3, 1}, {2}, {9}}, g.seen(), "a request larger than the limit runs alone")
		},
		"it drops requests whose callers have left, and reports the outcome to the others": func(t *testing.T, g *gate) {
			c := g.combiner()
			ctx, cancel := context.WithCancel(t.Context())
			first := ask(ctx, c, here, 0)
			impatient := ask(ctx, c, here, 1)
			patient := ask(t.Context(), c, here, 2)
			cancel()
			require.Equal(t, answer{0, context.Canceled}, <-impatient, "at once")
			require.Empty(t, first, "its batch has begun")
			g.pass <- struct{}{}
			require.Equal(t, answer{0, nil}, <-first)
			synctest.Wait()
			require.Equal(t, [][]int{{0}, {2}}, g.seen())
			g.pass <- struct{}{}
			require.Equal(t, answer{20, nil}, <-patient)
		},
		"it limits a batch by the last deadline in it, and by its own timeout": func(t *testing.T, g *gate) {
			c := g.combiner()
			began := time.Now()
			soon, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			require.Equal(t, context.DeadlineExceeded, (<-ask(soon, c, here, 0)).err)
			require.Equal(t, 900*time.Millisecond, time.Since(began), "shortly before the deadline, to report the outcome")
			require.ErrorIs(t, (<-ask(t.Context(), c, here, 0)).err, context.DeadlineExceeded)
			require.Equal(t, 900*time.Millisecond+time.Minute, time.Since(began))
		},
		"it answers each caller by its own deadline, regardless of the batch": func(t *testing.T, g *gate) {
			c := g.combiner()
			began := time.Now()
			first := ask(t.Context(), c, here, 0)
			sooner, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			leader, later := ask(sooner, c, here, 1), ask(t.Context(), c, here, 2)
			g.pass <- struct{}{}
			require.Equal(t, answer{0, nil}, <-first)
			synctest.Wait()
			require.Equal(t, [][]int{{0}, {1, 2}}, g.seen())
			var unknown *db.AmbiguousCommitError
			require.ErrorAs(t, (<-leader).err, &unknown)
			require.Equal(t, time.Second, time.Since(began))
			g.pass <- struct{}{}
			require.Equal(t, answer{20, nil}, <-later, "it continues without its leader")
		},
		"it refuses at once when the queue is full": func(t *testing.T, g *gate) {
			c := g.combiner()
			for n := range 9 {
				ask(t.Context(), c, here, n)
			}
			var full *db.QueueFullError
			require.ErrorAs(t, (<-ask(t.Context(), c, here, 9)).err, &full)
			require.Equal(t, 8, full.Waiting)
			for range 3 {
				g.pass <- struct{}{}
				synctest.Wait()
			}
		},
		"it isolates the failing request, and executes the others": func(t *testing.T, g *gate) {
			c := g.combiner()
			own := errors.New("its own fault")
			g.wrong = func(batch []int) error {
				if slices.Contains(batch, 3) {
					panic("cannot decide")
				}
				if slices.Contains(batch, 2) {
					return own
				}
				return nil
			}
			var asked []chan answer
			for n := range 5 {
				asked = append(asked, ask(t.Context(), c, here, n))
			}
			close(g.pass)
			for n, each := range asked {
				a := <-each
				switch n {
				case 2:
					require.Equal(t, own, a.err)
				case 3:
					var panicked *db.PanicError
					require.ErrorAs(t, a.err, &panicked)
					require.Equal(t, "cannot decide", panicked.Value)
				default:
					require.Equal(t, answer{10 * n, nil}, a)
				}
			}
			require.Equal(t, [][]int{{0}, {1, 2, 3, 4}, {1, 2}, {1}, {2}, {3, 4}, {3}, {4}}, g.seen())
		},
		"it returns an error that concerns all to all, without isolating one": func(t *testing.T, g *gate) {
			c := g.combiner()
			g.wrong = func([]int) error { return &db.UnavailableError{} }
			var asked []chan answer
			for n := range 3 {
				asked = append(asked, ask(t.Context(), c, here, n))
			}
			close(g.pass)
			for _, each := range asked {
				var unavailable *db.UnavailableError
				require.ErrorAs(t, (<-each).err, &unavailable)
			}
			require.Len(t, g.seen(), 2)
		},
		"it runs exclusive work, in turn": func(t *testing.T, g *gate) {
			c := g.combiner()
			ask(t.Context(), c, here, 0)
			alone := make(chan error, 1)
			inside := make(chan struct{})
			go func() {
				alone <- c.Alone(t.Context(), here, func(context.Context) error { <-inside; return context.Canceled })
			}()
			synctest.Wait()
			last := ask(t.Context(), c, here, 1)
			g.pass <- struct{}{}
			synctest.Wait()
			require.Equal(t, [][]int{{0}}, g.seen())
			close(inside)
			require.ErrorIs(t, <-alone, context.Canceled)
			g.pass <- struct{}{}
			require.Equal(t, answer{10, nil}, <-last)
		},
		"it closes after the admitted requests": func(t *testing.T, g *gate) {
			c := g.combiner()
			first, second := ask(t.Context(), c, here, 1), ask(t.Context(), c, here, 2)
			closed := make(chan struct{})
			go func() { c.Close(); close(closed) }()
			synctest.Wait()
			require.ErrorIs(t, (<-ask(t.Context(), c, here, 3)).err, db.ErrCombinerClosed)
			require.Equal(t, answer{10, nil}, func() answer { g.pass <- struct{}{}; return <-first }())
			select {
			case <-closed:
				t.Error("a request is still running")
			default:
			}
			g.pass <- struct{}{}
			require.Equal(t, answer{20, nil}, <-second)
			<-closed
		},
		"it continues when the goroutine of the leader ends": func(t *testing.T, g *gate) {
			c := g.combiner()
			g.wrong = func(batch []int) error {
				if batch[0] == 0 {
					runtime.Goexit()
				}
				return nil
			}
			ask(t.Context(), c, here, 0)
			second := ask(t.Context(), c, here, 1)
			g.pass <- struct{}{}
			g.pass <- struct{}{}
			require.Equal(t, answer{10, nil}, <-second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { test(t, newGate()) })
		})
	}
}

func TestCombinerUnderLoad(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	var inside, sum atomic.Int64
	c := db.NewCombiner(db.CombinerOptions[int]{Name: "test", Lanes: 1, Limit: 16, Queue: 1000, Timeout: time.Minute},
		func(_ context.Context, asked db.Batch[int]) ([]int, error) {
			batch := asked.All()
			if inside.Add(1) != 1 {
				t.Error("two batches at once")
			}
			defer inside.Add(-1)
			for _, n := range batch {
				sum.Add(int64(n))
			}
			return batch, nil
		})
	var clients sync.WaitGroup
	var reported, unknown atomic.Int64
	for i := range 100 {
		clients.Go(func() {
			for n := range 50 {
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(n)*100*time.Microsecond)
				verdict, err := c.Do(ctx, db.Place{Subject: uuid.UUID{byte(i)}}, n)
				cancel()
				if _, ambiguous := errors.AsType[*db.AmbiguousCommitError](err); ambiguous {
					unknown.Add(int64(n))
				} else if err == nil {
					reported.Add(int64(verdict))
				} else if !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
			}
		})
	}
	clients.Wait()
	c.Close()
	require.LessOrEqual(t, reported.Load(), sum.Load(), "only executed operations were reported")
	require.LessOrEqual(t, sum.Load(), reported.Load()+unknown.Load(), "executed operations were reported, or reported as unknown")
}

func BenchmarkCombiner(b *testing.B) {
	c := db.NewCombiner(db.CombinerOptions[int]{Name: "test", Lanes: 1, Limit: 256, Queue: 100_000, Timeout: time.Minute},
		func(_ context.Context, batch db.Batch[int]) ([]int, error) { return batch.All(), nil })
	b.Run("alone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = c.Do(b.Context(), here, 1)
		}
	})
	b.Run("together", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(100)
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				_, _ = c.Do(context.Background(), here, 1)
			}
		})
	})
}
