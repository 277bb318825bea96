package sweep

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/tandem-ipc/tandem/attack/trace"
)

// sequelDepth is how many deaths of A a sequel is recorded for: B takes another way after each.
const sequelDepth = 8

func (r *runner) sweepPair(ctx context.Context, p *Pair, rep *OpReport) {
	op := r.s.pairOp(p)
	if r.o.Point != "" {
		first, second, _ := strings.Cut(r.o.Point, "@")
		a, err1 := trace.ParsePoint(first)
		b, err2 := trace.ParsePoint(second)
		if err1 != nil || err2 != nil {
			rep.Err = fmt.Errorf("sweep: a pair's point is two, with @ between: %q", r.o.Point)
			return
		}
		rep.Found = 1
		r.trials(ctx, rep, []job{r.pairJob(op, p, a, b)})
		return
	}
	first := job{op: op, victim: p.A, mode: Plain, point: trace.AtEnd}
	if !p.Sequel {
		first.stopped = &strike{p.B, trace.AtBegin}
	}
	as := r.points(ctx, rep, first, false)
	if as == nil {
		return
	}
	var jobs []job
	if p.Sequel {
		deaths := sample(as, sequelDepth, r.o.Seed)
		for _, a := range deaths {
			bs := r.points(ctx, rep, r.pairJob(op, p, a, trace.AtEnd), false)
			if bs == nil {
				return
			}
			for _, b := range bs {
				jobs = append(jobs, r.pairJob(op, p, a, b))
			}
		}
		fmt.Fprintf(r.o.Out, "%s: %d of %d deaths of %s, %d pairs of points with what %s does after each\n",
			p.Name, len(deaths), len(as), p.A, len(jobs), p.B)
	} else {
		bs := r.points(ctx, rep, job{op: op, victim: p.B, mode: Plain, point: trace.AtEnd, stopped: &strike{p.A, trace.AtBegin}}, false)
		if bs == nil {
			return
		}
		for _, a := range as {
			for _, b := range bs {
				jobs = append(jobs, r.pairJob(op, p, a, b))
			}
		}
	}
	rep.Found = len(jobs)
	some := sample(jobs, r.o.MaxPairs, r.o.Seed)
	fmt.Fprintf(r.o.Out, "%s: trying %d of %d pairs of points\n", p.Name, len(some), len(jobs))
	r.trials(ctx, rep, some)
}

func (r *runner) pairJob(op *Op, p *Pair, a, b trace.Point) job {
	if p.Sequel {
		return job{op: op, victim: p.B, mode: Kill, point: b, dead: &strike{p.A, a}}
	}
	return job{op: op, victim: p.A, mode: Kill, point: a, stopped: &strike{p.B, b}}
}

// sample takes n of all, the same for the same seed, in order; all if n is 0.
func sample[T any](all []T, n int, seed uint64) []T {
	if n <= 0 || n >= len(all) {
		return all
	}
	chosen := rand.New(rand.NewPCG(seed, uint64(len(all)))).Perm(len(all))[:n]
	slices.Sort(chosen)
	some := make([]T, n)
	for i, c := range chosen {
		some[i] = all[c]
	}
	return some
}
