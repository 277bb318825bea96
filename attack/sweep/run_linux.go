package sweep

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/tandem-ipc/tandem/attack/internal/scratch"
	"github.com/tandem-ipc/tandem/attack/trace"
)

// Run sweeps what the options leave of the suite. The error is one of the attack itself before it began; what happened
// then is in the report.
func Run(ctx context.Context, s *Suite, o Options) (*Report, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	o = o.withDefaults(len(usableCPUs()))
	r := &runner{s: s, o: o}
	scratch.RemoveStale(s.dir(), trialDirPrefix)
	left, err := watchProcesses()
	if err != nil {
		return nil, err
	}
	defer left.end()
	if r.lanes, err = newLanes(s, o.Lanes); err != nil {
		return nil, err
	}
	defer closeLanes(r.lanes)
	rep := &Report{}
	for _, target := range r.targets() {
		if ctx.Err() != nil {
			return rep, context.Cause(ctx)
		}
		fmt.Fprintf(o.Log, "%s\n", target.name)
		start := time.Now()
		op := OpReport{Name: target.name}
		target.sweep(ctx, &op)
		for _, p := range left.take() {
			r.violation(&op, Violation{Op: op.Name, Mode: "any", Point: "any", Detail: "after all trials",
				Verdict: "left a process behind: " + p, Repeat: r.o.command(target.name, "", "")})
		}
		op.Time = time.Since(start)
		rep.Ops = append(rep.Ops, op)
	}
	return rep, nil
}

type runner struct {
	s     *Suite
	o     Options
	lanes []*lane
}

// target is an operation or a pair.
type target struct {
	name  string
	sweep func(context.Context, *OpReport)
}

func (r *runner) targets() (ts []target) {
	for i := range r.s.Ops {
		op := &r.s.Ops[i]
		if r.o.Only == nil || r.o.Only.MatchString(op.Name) {
			ts = append(ts, target{op.Name, func(ctx context.Context, rep *OpReport) { r.sweepOp(ctx, op, rep) }})
		}
	}
	for i := range r.s.Pairs {
		p := &r.s.Pairs[i]
		if r.o.Only == nil || r.o.Only.MatchString(p.Name) {
			ts = append(ts, target{p.Name, func(ctx context.Context, rep *OpReport) { r.sweepPair(ctx, p, rep) }})
		}
	}
	return ts
}

// modesOf leaves the modes that the operation can be asked in.
func (r *runner) modesOf(op *Op) (modes []Mode) {
	for _, m := range r.o.Modes {
		if op.Others != nil || m == Kill || m == Plain {
			modes = append(modes, m)
		}
	}
	return modes
}

func (r *runner) sweepOp(ctx context.Context, op *Op, rep *OpReport) {
	if r.o.Point != "" {
		p, err := trace.ParsePoint(r.o.Point)
		if err != nil {
			rep.Err = err
			return
		}
		rep.Found = 1
		r.trials(ctx, rep, r.jobs(op, []trace.Point{p}))
		return
	}
	plain := job{op: op, victim: op.Name, mode: Plain, point: trace.AtEnd}
	if r.settle(rep, plain, r.lanes[0].run(ctx, plain)) {
		return
	}
	points := r.points(ctx, rep, job{op: op, victim: op.Name, mode: Plain, point: trace.AtEnd}, true)
	if points == nil {
		return
	}
	rep.Found = len(points)
	some := sample(points, r.o.MaxPoints, r.o.Seed)
	if len(some) < len(points) {
		fmt.Fprintf(r.o.Out, "%s: trying %d of %d points\n", op.Name, len(some), len(points))
	}
	r.trials(ctx, rep, r.jobs(op, some))
}

func (r *runner) jobs(op *Op, points []trace.Point) (jobs []job) {
	for _, m := range r.modesOf(op) {
		for _, p := range points {
			jobs = append(jobs, job{op: op, victim: op.Name, mode: m, point: p})
		}
	}
	return jobs
}

// points records, in all lanes at once, and gives what all recordings found, nil after a failure.
func (r *runner) points(ctx context.Context, rep *OpReport, j job, judge bool) []trace.Point {
	n := r.o.Recordings
	recs := make([]*trace.Recording, n)
	outs := make([]outcome, n)
	for first := 0; first < n; first += len(r.lanes) {
		var wg sync.WaitGroup
		for i := first; i < min(n, first+len(r.lanes)); i++ {
			wg.Go(func() { recs[i], outs[i] = r.lanes[i-first].record(ctx, j, judge) })
		}
		wg.Wait()
	}
	for i, out := range outs {
		if r.settle(rep, j, out) {
			return nil
		}
		fmt.Fprintf(r.o.Out, "%s: recording %d: ", rep.Name, i+1)
		recs[i].Write(r.o.Out)
		if i > 0 {
			fmt.Fprintf(r.o.Out, ", %d points not in the first", recs[0].Merge(recs[i]))
		}
		fmt.Fprintln(r.o.Out)
		if r.o.Verbose {
			for _, at := range recs[i].UnexplainedAt {
				fmt.Fprintf(r.o.Out, "  changed by others: %s\n", at)
			}
		}
	}
	rec := recs[0]
	if rep.Instructions == 0 { // of a pair A's
		rep.Instructions, rep.Stores, rep.SystemCalls = rec.Instructions, rec.Stores, rec.SystemCalls
	}
	rep.Unexplained += rec.Unexplained
	if r.o.Verbose {
		for _, p := range rec.Points {
			fmt.Fprintf(r.o.Out, "  %v\n", p)
		}
	}
	return append(append([]trace.Point{trace.AtBegin}, rec.Points...), trace.AtEnd)
}

// trials makes the jobs and notes what came of them.
func (r *runner) trials(ctx context.Context, rep *OpReport, jobs []job) {
	tried := make(map[string]bool)
	lost := make(map[string]bool)
	p := &progress{r: r, name: rep.Name, of: len(jobs), last: time.Now()}
	var total time.Duration
	r.spread(ctx, jobs, func(d done) bool {
		rep.Trials++
		total += d.time
		rep.TrialMax = max(rep.TrialMax, d.time)
		switch {
		case d.outcome.err != nil:
		case d.outcome.result == missed:
			if name := d.job.detail(); !lost[name] {
				lost[name] = true
				rep.Missed = append(rep.Missed, fmt.Sprintf("%s at %s: %s", d.job.mode, name, d.outcome.verdict))
			}
		default:
			tried[d.job.name()] = true
		}
		stop := r.settle(rep, d.job, d.outcome)
		p.tick(len(rep.Violations))
		return !stop
	})
	rep.Tried = len(tried)
	if rep.Trials > 0 {
		rep.TrialTime = total / time.Duration(rep.Trials)
	}
	// Two at a time go another way than one by nature.
	beside := len(jobs) > 0 && jobs[0].stopped != nil
	if n := len(rep.Missed); rep.Err == nil && !beside && float64(n) > r.o.MaxMissed*float64(len(tried)+n) {
		rep.Err = fmt.Errorf("%d points of %d were never reached: the operation does not go the same way twice", n, len(tried)+n)
	}
	if rep.Err == nil && ctx.Err() != nil {
		rep.Err = context.Cause(ctx)
	}
}

// settle notes an outcome, and says whether the operation is over with it.
func (r *runner) settle(rep *OpReport, j job, out outcome) (over bool) {
	switch {
	case out.err != nil:
		if rep.Err == nil {
			rep.Err = fmt.Errorf("%s at %s: %w", j.mode, j.name(), out.err)
		}
		return true
	case out.result == violated:
		r.violation(rep, Violation{
			Op: rep.Name, Mode: j.mode, Point: j.name(), Detail: out.detail, Verdict: out.verdict,
			Repeat: r.o.command(rep.Name, j.mode, j.name()),
		})
		return j.mode == Plain || len(rep.Violations) >= r.o.MaxViolations
	}
	return false
}

func (r *runner) violation(rep *OpReport, v Violation) {
	rep.Violations = append(rep.Violations, v)
	v.write(r.o.Out)
}

// detail describes where the victims were struck.
func (j job) detail() string {
	switch {
	case j.dead != nil:
		return fmt.Sprintf("%s killed at %v, then %s at %v", j.dead.op, j.dead.point, j.victim, j.point)
	case j.stopped != nil:
		return fmt.Sprintf("%s at %v, while %s stands at %v", j.victim, j.point, j.stopped.op, j.stopped.point)
	}
	return j.point.String()
}
