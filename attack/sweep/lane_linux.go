package sweep

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-ipc/tandem/attack/trace"
	"golang.org/x/sys/unix"
)

// lane makes one trial after another; its tracer and the threads it traces stay on one CPU.
type lane struct {
	s      *Suite
	tracer *trace.Tracer
}

func newLanes(s *Suite, n int) (lanes []*lane, err error) {
	cpus := usableCPUs()
	for i := range n {
		t, err := trace.NewTracer(cpus[i%len(cpus)])
		if err != nil {
			closeLanes(lanes)
			return nil, err
		}
		lanes = append(lanes, &lane{s, t})
	}
	return lanes, nil
}

func closeLanes(lanes []*lane) {
	for _, l := range lanes {
		l.tracer.Close()
	}
}

func usableCPUs() (cpus []int) {
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) == nil {
		for i := 0; len(cpus) < set.Count(); i++ {
			if set.IsSet(i) {
				cpus = append(cpus, i)
			}
		}
	}
	if len(cpus) == 0 {
		return []int{-1}
	}
	return cpus
}

// done is a trial made.
type done struct {
	job     job
	index   int
	outcome outcome
	time    time.Duration
}

// tries is how often a point is looked for: a run may go another way by chance, and what is never reached is reported.
const tries = 3

// spread makes the jobs in all lanes and calls each as they end, one at a time, until it says stop.
func (r *runner) spread(ctx context.Context, jobs []job, each func(done) (goOn bool)) {
	var (
		next atomic.Int64
		stop atomic.Bool
		wg   sync.WaitGroup
		mu   sync.Mutex
	)
	for _, l := range r.lanes {
		wg.Go(func() {
			for !stop.Load() && ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(jobs) {
					return
				}
				d := done{job: jobs[i], index: i}
				start := time.Now()
				for range tries {
					d.outcome = l.run(ctx, jobs[i])
					if d.outcome.result != missed || jobs[i].stopped != nil || ctx.Err() != nil {
						break
					}
				}
				d.time = time.Since(start)
				mu.Lock()
				if !stop.Load() && !each(d) {
					stop.Store(true)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

// progress prints at most once in a while.
type progress struct {
	r    *runner
	name string
	of   int
	n    int
	bad  int
	last time.Time
}

func (p *progress) tick(violations int) {
	p.n++
	if p.bad = violations; time.Since(p.last) > 2*time.Second {
		p.last = time.Now()
		fmt.Fprintf(p.r.o.Log, "%s: %d of %d trials, %d violations\n", p.name, p.n, p.of, p.bad)
	}
}
