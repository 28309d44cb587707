package command_test

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

	"omnirapeutic/platform/command"
	"omnirapeutic/platform/db"
)

// gate is the function of a queue. It records batches and waits for permission to continue.
type gate struct {
	mu      sync.Mutex
	batches [][]int
	first   [][]int // members of each batch before it was closed
	pass    chan struct{}
	wrong   func(batch []int) error // nil: no error
	enter   chan struct{}           // nil: the batch is closed at once
}

func newGate() *gate { return &gate{pass: make(chan struct{})} }

func (g *gate) run(ctx context.Context, asked command.Batch[int]) ([]int, error) {
	first := asked.First()
	if g.enter != nil {
		<-g.enter
	}
	batch := asked.All()
	g.mu.Lock()
	g.first = append(g.first, first)
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

// queue returns a queue with small limits.
func (g *gate) queue() *command.Queue[int, int] {
	return command.NewQueue(command.QueueOptions[int]{Limit: 4, Waiting: 8, Timeout: time.Minute}, g.run)
}

type answer struct {
	verdict int
	err     error
}

// ask sends a request in a goroutine, and returns once it is queued.
func ask(ctx context.Context, c *command.Queue[int, int], at command.QueueKey, n int) chan answer {
	answers := make(chan answer, 1)
	go func() {
		verdict, err := c.Do(ctx, at, n)
		answers <- answer{verdict, err}
	}()
	synctest.Wait()
	return answers
}

var here command.QueueKey

func TestQueue(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]func(t *testing.T, g *gate){
		"it combines requests that arrive during the previous batch": func(t *testing.T, g *gate) {
			c := g.queue()
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
			c := g.queue()
			busy, quiet := uuid.New(), uuid.New()
			ask(t.Context(), c, here, 0)
			for n := 1; n <= 5; n++ { // one subject of one organization, five times
				ask(t.Context(), c, command.QueueKey{Organization: busy, Subject: busy}, n)
			}
			ask(t.Context(), c, command.QueueKey{Organization: busy, Subject: quiet}, 6)
			ask(t.Context(), c, command.QueueKey{Organization: quiet}, 7)
			for range 3 {
				g.pass <- struct{}{}
				synctest.Wait()
			}
			require.Equal(t, [][]int{{0}, {1, 2, 6, 7}, {3, 4, 5}}, g.seen())
		},
		"it includes requests that arrive before the batch is closed": func(t *testing.T, g *gate) {
			g.enter = make(chan struct{})
			c := g.queue()
			var asked []chan answer
			for n := range 6 { // the first one finds the queue idle and waits in its batch
				asked = append(asked, ask(t.Context(), c, here, n))
			}
			for range 2 {
				g.enter <- struct{}{}
				g.pass <- struct{}{}
				synctest.Wait()
			}
			require.Equal(t, [][]int{{0, 1, 2, 3}, {4, 5}}, g.seen())
			require.Equal(t, [][]int{{0}, {4, 5}}, g.first, "the first members are known before")
			require.Equal(t, g.seen()[1], command.BatchOf(g.first[1]...).All())
			for n, each := range asked {
				require.Equal(t, answer{10 * n, nil}, <-each)
			}
		},
		"it counts the sizes of requests": func(t *testing.T, g *gate) {
			c := command.NewQueue(command.QueueOptions[int]{
				Limit: 4, Waiting: 8, Timeout: time.Minute, Weight: func(n int) int { return n },
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
			c := g.queue()
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
			c := g.queue()
			began := time.Now()
			soon, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			require.Equal(t, context.DeadlineExceeded, (<-ask(soon, c, here, 0)).err)
			require.Equal(t, 900*time.Millisecond, time.Since(began), "shortly before the deadline, to report the outcome")
			require.ErrorIs(t, (<-ask(t.Context(), c, here, 0)).err, context.DeadlineExceeded)
			require.Equal(t, 900*time.Millisecond+time.Minute, time.Since(began))
		},
		"it answers each caller by its own deadline, regardless of the batch": func(t *testing.T, g *gate) {
			c := g.queue()
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
			c := g.queue()
			for n := range 9 {
				ask(t.Context(), c, here, n)
			}
			var full *command.QueueFullError
			require.ErrorAs(t, (<-ask(t.Context(), c, here, 9)).err, &full)
			require.Equal(t, 8, full.Waiting)
			for range 3 {
				g.pass <- struct{}{}
				synctest.Wait()
			}
		},
		"it isolates the failing request, and executes the others": func(t *testing.T, g *gate) {
			c := g.queue()
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
					var panicked *command.PanicError
					require.ErrorAs(t, a.err, &panicked)
					require.Equal(t, "cannot decide", panicked.Value)
				default:
					require.Equal(t, answer{10 * n, nil}, a)
				}
			}
			require.Equal(t, [][]int{{0}, {1, 2, 3, 4}, {1, 2}, {1}, {2}, {3, 4}, {3}, {4}}, g.seen())
		},
		"it returns an error that concerns all to all, without isolating one": func(t *testing.T, g *gate) {
			c := g.queue()
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
			c := g.queue()
			ask(t.Context(), c, here, 0)
			alone := make(chan error, 1)
			inside := make(chan struct{})
			go func() {
				alone <- c.Exclusive(t.Context(), here, func(context.Context) error { <-inside; return context.Canceled })
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
		"groups take turns, and a batch has one group": func(t *testing.T, g *gate) {
			c := command.NewQueue(command.QueueOptions[int]{
				Limit: 2, Waiting: 9, Timeout: time.Minute, Group: func(n int) any { return n % 2 },
			}, g.run)
			for n := range 8 {
				ask(t.Context(), c, here, n)
			}
			for range 5 {
				g.pass <- struct{}{}
				synctest.Wait()
			}
			require.Equal(t, [][]int{{0}, {1, 3}, {2, 4}, {5, 7}, {6}}, g.seen())
		},
		"it runs several batches at once": func(t *testing.T, g *gate) {
			c := command.NewQueue(command.QueueOptions[int]{Limit: 1, AtOnce: 2, Waiting: 9, Timeout: time.Minute}, g.run)
			for n := range 4 {
				ask(t.Context(), c, here, n)
			}
			require.Equal(t, [][]int{{0}, {1}}, g.seen())
			for range 4 {
				g.pass <- struct{}{}
				synctest.Wait()
			}
			require.Equal(t, [][]int{{0}, {1}, {2}, {3}}, g.seen())
		},
		"it closes after the admitted requests": func(t *testing.T, g *gate) {
			c := g.queue()
			first, second := ask(t.Context(), c, here, 1), ask(t.Context(), c, here, 2)
			closed := make(chan struct{})
			go func() { c.Close(); close(closed) }()
			synctest.Wait()
			require.ErrorIs(t, (<-ask(t.Context(), c, here, 3)).err, command.ErrQueueClosed)
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
			c := g.queue()
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

func TestQueueUnderLoad(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	var inside, sum atomic.Int64
	c := command.NewQueue(command.QueueOptions[int]{Limit: 16, Waiting: 1000, Timeout: time.Minute},
		func(_ context.Context, asked command.Batch[int]) ([]int, error) {
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
				verdict, err := c.Do(ctx, command.QueueKey{Subject: uuid.UUID{byte(i)}}, n)
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
	require.LessOrEqual(t, sum.Load(), reported.Load()+unknown.Load(),
		"executed operations were reported, or reported as unknown")
}

func BenchmarkQueue(b *testing.B) {
	c := command.NewQueue(command.QueueOptions[int]{Limit: 256, Waiting: 100_000, Timeout: time.Minute},
		func(_ context.Context, batch command.Batch[int]) ([]int, error) { return batch.All(), nil })
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

// TestTracingAddsNoAllocationsToAQueue bounds the allocations of a request that is alone in its batch. Without a
// trace they are the same as before the program had spans.
func TestTracingAddsNoAllocationsToAQueue(t *testing.T) {
	const before = 18
	q := command.NewQueue(command.QueueOptions[int]{Limit: 4, Waiting: 8, Timeout: time.Minute},
		func(_ context.Context, batch command.Batch[int]) ([]int, error) { return batch.All(), nil })
	require.LessOrEqual(t, testing.AllocsPerRun(1000, func() {
		if _, err := q.Do(t.Context(), command.QueueKey{}, 1); err != nil {
			t.Error(err)
		}
	}), float64(before))
}
