package jobs

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/telemetry/logtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// shared is a schedule in memory with the virtual clock of a test.
type shared struct {
	mutex    sync.Mutex
	started  map[string]time.Time
	until    map[string]time.Time
	instance map[string]int
	broken   map[int]bool // instances that cannot reach the schedule
}

func newShared() *shared {
	return &shared{
		started: map[string]time.Time{}, until: map[string]time.Time{}, instance: map[string]int{}, broken: map[int]bool{},
	}
}

var errUnreachable = errors.New("the database does not answer")

func (s *shared) as(instance int) schedule { return view{s, instance} }

type view struct {
	*shared
	me int
}

func (v view) claim(_ context.Context, name string, every time.Duration) (bool, time.Duration, error) {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	if v.broken[v.me] {
		return false, 0, errUnreachable
	}
	free := v.until[name]
	if started, ran := v.started[name]; ran && started.Add(every).After(free) {
		free = started.Add(every)
	}
	if wait := time.Until(free); wait > 0 {
		return false, wait, nil
	}
	v.started[name], v.until[name], v.instance[name] = time.Now(), time.Now().Add(leaseTime), v.me
	return true, every, nil
}

func (v view) renew(_ context.Context, name string) (bool, error) {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	if v.broken[v.me] {
		return false, errUnreachable
	}
	if v.instance[name] != v.me {
		return false, nil
	}
	v.until[name] = time.Now().Add(leaseTime)
	return true, nil
}

func (v view) release(_ context.Context, name string) error {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	if v.instance[name] == v.me {
		v.until[name], v.instance[name] = time.Time{}, 0
	}
	return nil
}

func scheduler(s schedule, all ...Job) *Scheduler {
	return &Scheduler{jobs: all, schedule: s, logger: logtest.Logger(), metrics: newMetrics(prometheus.NewRegistry())}
}

// log records the runs with their instances, and the number of simultaneous runs.
type log struct {
	mutex         sync.Mutex
	runs          []int
	running, most int
}

func (l *log) job(instance int, every, takes time.Duration) Job {
	return Job{Name: "sweep", Every: every, Run: func(ctx context.Context) (int64, error) {
		l.mutex.Lock()
		l.runs = append(l.runs, instance)
		l.running++
		l.most = max(l.most, l.running)
		l.mutex.Unlock()
		defer func() { l.mutex.Lock(); l.running--; l.mutex.Unlock() }()
		select {
		case <-time.After(takes):
			return 1, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}}
}

// underWay returns the number of current runs.
func (l *log) underWay() int {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.running
}

func TestAJobRunsOncePerIntervalOnAllInstancesTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared, ran := newShared(), &log{}
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Hour+30*time.Minute)
		defer stop()
		var instances sync.WaitGroup
		for i := range 3 {
			instances.Go(func() { scheduler(shared.as(i+1), ran.job(i+1, time.Hour, 5*time.Minute)).Run(ctx) })
		}
		instances.Wait()
		require.InDelta(t, 11, len(ran.runs), 1, "one at the start and one an hour, each up to a minute late")
		require.Equal(t, 1, ran.most)
	})
}

func TestJobOfADeadInstanceIsTakenOverWhenItsLeaseExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared, ran := newShared(), &log{}
		claimed, _, err := shared.as(9).claim(t.Context(), "sweep", time.Second) // and is never released
		require.NoError(t, err)
		require.True(t, claimed)
		ctx, stop := context.WithTimeout(t.Context(), leaseTime+2*time.Second)
		defer stop()
		began := time.Now()
		scheduler(shared.as(1), ran.job(1, time.Second, time.Second)).Run(ctx)
		require.NotEmpty(t, ran.runs)
		require.GreaterOrEqual(t, time.Since(began), leaseTime)
	})
}

func TestARunEndsWhenItsLeaseIsLost(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*shared){
		"another instance took it":       func(s *shared) { s.instance["sweep"] = 2 },
		"the database cannot be reached": func(s *shared) { s.broken[1] = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				shared, ran := newShared(), &log{}
				ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute)
				defer stop()
				var instance sync.WaitGroup
				instance.Go(func() { scheduler(shared.as(1), ran.job(1, time.Hour, time.Hour)).Run(ctx) })
				time.Sleep(2*leaseTime + time.Second)
				require.Equal(t, 1, ran.underWay(), "the lease is renewed as long as the job runs")
				shared.mutex.Lock()
				lose(shared)
				shared.mutex.Unlock()
				time.Sleep(leaseTime + 2*renewEvery)
				require.Zero(t, ran.underWay())
				instance.Wait()
			})
		})
	}
}

func TestAJobThatFailsOrPanicsRunsAgainAtItsNextTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		registry := prometheus.NewRegistry()
		s := &Scheduler{schedule: newShared().as(1), logger: logtest.Logger(), metrics: newMetrics(registry)}
		s.jobs = append(s.jobs, Job{Name: "sweep", Every: time.Minute, Run: func(context.Context) (int64, error) {
			runs++
			if runs == 1 {
				panic("a bug")
			}
			return 2, errors.New("no luck")
		}})
		ctx, stop := context.WithTimeout(t.Context(), 150*time.Second)
		defer stop()
		s.Run(ctx)
		require.Equal(t, 3, runs)
		shown, err := registry.Gather()
		require.NoError(t, err)
		index := map[string]int{}
		for i, family := range shown {
			index[family.GetName()] = i
		}
		gauge := func(name string) float64 { return shown[index[name]].GetMetric()[0].GetGauge().GetValue() }
		require.NotContains(t, index, "omnirapeutic_job_last_success_timestamp_seconds", "it has never succeeded")
		require.EqualValues(t, 4, shown[index["omnirapeutic_job_rows_total"]].GetMetric()[0].GetCounter().GetValue())
		require.EqualValues(t, 3,
			shown[index["omnirapeutic_job_seconds"]].GetMetric()[0].GetHistogram().GetSampleCount())
		require.Zero(t, gauge("omnirapeutic_job_last_run_succeeded"))
		require.InDelta(t, time.Now().Add(-30*time.Second).Unix(), gauge("omnirapeutic_job_last_run_timestamp_seconds"), 1)
		require.Contains(t, index, "omnirapeutic_job_last_run_seconds")
	})
}

func TestPerInstanceJobRunsOnEachInstanceAndAtStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared, runs := newShared(), [2]int{}
		ctx, stop := context.WithTimeout(t.Context(), 150*time.Second)
		defer stop()
		var instances sync.WaitGroup
		for i := range runs {
			instances.Go(func() {
				scheduler(shared.as(i+1), Job{
					Name: "write", Every: time.Minute, PerInstance: true, AtStop: true,
					Run: func(ctx context.Context) (int64, error) {
						runs[i]++
						return 1, ctx.Err()
					},
				}, Job{Name: "never", Run: func(context.Context) (int64, error) { panic("it has no interval") }}).Run(ctx)
			})
		}
		instances.Wait()
		require.Equal(t, [2]int{4, 4}, runs)
	})
}

func TestASignalStartsAJobBeforeItsTimeButNotAfterAFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		wake, starts, began := make(chan struct{}, 1), []time.Duration{}, time.Now()
		ctx, stop := context.WithTimeout(t.Context(), 150*time.Second)
		defer stop()
		var running sync.WaitGroup
		running.Go(func() {
			scheduler(newShared().as(1), Job{
				Name: "relay", Every: time.Minute, PerInstance: true, Wake: wake, Gather: Gather(time.Second),
				Run: func(context.Context) (int64, error) {
					starts = append(starts, time.Since(began))
					if len(starts) > 1 {
						return 0, errors.New("no luck")
					}
					return 1, nil
				},
			}, Job{Name: "another", Every: time.Minute, Run: func(context.Context) (int64, error) { panic("it is not named") }}).
				Run(ctx, "relay")
		})
		time.Sleep(10 * time.Second)
		wake <- struct{}{}
		time.Sleep(10 * time.Second)
		wake <- struct{}{}
		running.Wait()
		require.Equal(t, []time.Duration{0, 11 * time.Second, 71 * time.Second, 131 * time.Second}, starts)
	})
}

// TestInstancesClaimAJobOneAtATime checks the schedule's guarantees on the table.
func TestInstancesClaimAJobOneAtATime(t *testing.T) {
	t.Parallel()
	database := dbtest.Open(t)
	instances := make([]table, 8)
	for i := range instances {
		instances[i] = table{database, uuid.New()}
	}
	claims := func(every time.Duration) (winner int) {
		winner = -1
		var mutex sync.Mutex
		var all sync.WaitGroup
		for i, each := range instances {
			all.Go(func() {
				claimed, wait, err := each.claim(t.Context(), "sweep", every)
				mutex.Lock()
				defer mutex.Unlock()
				if err != nil || claimed && winner >= 0 || !claimed && wait < 0 {
					t.Errorf("claimed %t, after %d had it, wait %s, error %v", claimed, winner, wait, err)
				}
				if claimed {
					winner = i
				}
			})
		}
		all.Wait()
		return winner
	}
	first := claims(time.Hour)
	require.GreaterOrEqual(t, first, 0, "the first time it is due")
	require.Equal(t, -1, claims(0), "it runs")
	held, err := instances[first].renew(t.Context(), "sweep")
	require.NoError(t, err)
	require.True(t, held)
	held, err = instances[(first+1)%8].renew(t.Context(), "sweep")
	require.NoError(t, err)
	require.False(t, held)
	require.NoError(t, instances[(first+1)%8].release(t.Context(), "sweep"), "it does not hold the job")
	require.Equal(t, -1, claims(0))
	require.NoError(t, instances[first].release(t.Context(), "sweep"))
	_, wait, err := instances[0].claim(t.Context(), "sweep", time.Hour)
	require.NoError(t, err)
	require.Greater(t, wait, 50*time.Minute, "it has just run")
	require.GreaterOrEqual(t, claims(0), 0, "with a shorter interval it is due")
}
