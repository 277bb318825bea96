package sweep

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tandem-ipc/tandem/attack/trace"
)

// body is what happens to the victim, and what is asked then.
func (t *trial) body() error {
	switch {
	case t.job.dead != nil:
		return t.sequel()
	case t.job.stopped != nil:
		return t.beside()
	}
	switch t.job.mode {
	case Plain:
		return t.plain()
	case Kill:
		return t.kill()
	case Stop, Resume:
		return t.stop()
	}
	return broken{fmt.Errorf("sweep: no mode %q", t.job.mode)}
}

// plain runs the operation untraced.
func (t *trial) plain() error {
	b := t.brief("victim")
	b.Op = t.job.victim
	if err := t.play(b, reachLimit); err != nil {
		return role("victim", err)
	}
	return t.recover(false)
}

func (t *trial) kill() error {
	v, err := t.start(t.job.victim, 0)
	if err != nil {
		return err
	}
	if err := t.reach(v, &t.job.point, 0, reachLimit); err != nil {
		return err
	}
	v.Kill()
	return t.recover(false)
}

func (t *trial) stop() error {
	v, err := t.start(t.job.victim, 0)
	if err != nil {
		return err
	}
	if err := t.reach(v, &t.job.point, 0, reachLimit); err != nil {
		return err
	}
	if err := t.freeze(v); err != nil {
		return err
	}
	if err := t.others(); err != nil {
		return err
	}
	if t.job.mode == Resume {
		if err := t.thaw(v); err != nil {
			return err
		}
	}
	v.Kill()
	return t.recover(true)
}

// beside kills A while B stands stopped. One that goes another way because of the other one stands at its end instead:
// that is a trial too, and judged.
func (t *trial) beside() error {
	b, err := t.start(t.job.stopped.op, 1)
	if err != nil {
		return err
	}
	a, err := t.start(t.job.victim, 0) // before B goes on: each has what the other is about to change
	if err != nil {
		return err
	}
	errB := t.reach(b, &t.job.stopped.point, 1, reachLimit)
	if errB != nil && !errors.Is(errB, trace.ErrNotReached) {
		return errB
	}
	if err := t.freeze(b); err != nil {
		return err
	}
	errA := t.reach(a, &t.job.point, 0, t.job.op.limit())
	if errA != nil && !errors.Is(errA, trace.ErrNotReached) {
		return errA
	}
	a.Kill()
	if t.job.op.Others != nil {
		if err := t.others(); err != nil {
			return err
		}
	}
	if err := t.thaw(b); err != nil {
		return err
	}
	if err := t.recover(t.job.op.Others != nil); err != nil {
		return err
	}
	return errors.Join(errB, errA)
}

// sequel kills B after A was killed.
func (t *trial) sequel() error {
	if err := t.prelude(); err != nil {
		return err
	}
	b, err := t.start(t.job.victim, 1)
	if err != nil {
		return err
	}
	if err := t.reach(b, &t.job.point, 1, reachLimit); err != nil {
		return err
	}
	b.Kill()
	return t.recover(false)
}

// prelude kills A.
func (t *trial) prelude() error {
	a, err := t.start(t.job.dead.op, 0)
	if err != nil {
		return err
	}
	if err := t.reach(a, &t.job.dead.point, 0, reachLimit); err != nil {
		return err
	}
	a.Kill()
	return nil
}

// reach brings a victim to a point. Where it fails for another reason than the way it took, that is a verdict.
func (t *trial) reach(v *victim, p *trace.Point, journal int, limit time.Duration) error {
	const passage = 100 * time.Microsecond // a breakpoint, generously
	limit += time.Duration(p.Pass) * passage
	if t.l.tracer.Stepping() {
		limit *= 5
	}
	ctx, cancel := context.WithTimeout(t.ctx, limit)
	defer cancel()
	err := v.RunTo(ctx, *p)
	ended := err == nil && p.Kind == trace.End || errors.Is(err, trace.ErrNotReached)
	switch {
	case ended && !t.journals[journal].Returned():
		if end := v.finish(t.ctx); end != nil {
			return role("victim", end)
		}
		return errors.New("victim: the operation neither returned nor failed")
	case err == nil:
		if p.Symbol == "" { // from the command line
			*p = v.Label(*p)
		}
		return nil
	case errors.Is(err, trace.ErrNotReached):
		return err
	case errors.Is(err, trace.ErrTimeout) && t.ctx.Err() == nil:
		return hang{fmt.Errorf("victim: the operation hangs: %w", err)}
	case errors.Is(err, trace.ErrExited):
		return fmt.Errorf("victim: %w\n%s", err, clip(content(v.out.printed, maxOutput)))
	}
	return broken{err}
}

func (t *trial) freeze(v *victim) error {
	ctx, cancel := context.WithTimeout(t.ctx, reachLimit)
	defer cancel()
	if err := v.Stop(ctx); err != nil {
		return broken{err}
	}
	return nil
}

// thaw lets a stopped victim finish.
func (t *trial) thaw(v *victim) error {
	ctx, cancel := context.WithTimeout(t.ctx, max(reachLimit/4, 2*t.job.op.limit()))
	defer cancel()
	switch err := v.Resume(ctx); {
	case errors.Is(err, trace.ErrTimeout) && t.ctx.Err() == nil:
		return hang{fmt.Errorf("resumed victim: the operation hangs: %w", err)}
	case errors.Is(err, trace.ErrExited):
		return fmt.Errorf("resumed victim: %w\n%s", err, clip(content(v.out.printed, maxOutput)))
	case err != nil:
		return broken{err}
	}
	return role("resumed victim", v.finish(t.ctx))
}

func (t *trial) others() error {
	return role("others, while the victim is stopped", t.play(t.brief("others"), t.job.op.limit()))
}

func (t *trial) recover(othersRan bool) error {
	b := t.brief("recover")
	b.OthersRan = othersRan
	return role("recover", t.play(b, t.job.op.limit()))
}

func role(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", name, err)
}

// record makes a recording of the job's victim and, if it is to, judges the world after it. In a pair the dead one is
// dead, and the stopped one stands at its beginning.
func (l *lane) record(ctx context.Context, j job, judge bool) (rec *trace.Recording, out outcome) {
	out = l.with(ctx, j, func(t *trial) error {
		journal := 0
		if t.job.dead != nil {
			journal = 1
			if err := t.prelude(); err != nil {
				return err
			}
		}
		if t.job.stopped != nil {
			if _, err := t.start(t.job.stopped.op, 1); err != nil {
				return err
			}
		}
		v, err := t.start(t.job.victim, journal)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, recordLimit)
		defer cancel()
		r, err := v.Record(ctx, trace.Options{Dir: t.dir, Code: l.s.op(t.job.victim).C})
		switch {
		case errors.Is(err, trace.ErrTimeout) && t.ctx.Err() == nil:
			return hang{fmt.Errorf("victim: the operation hangs when stepped: %w", err)}
		case errors.Is(err, trace.ErrExited):
			return fmt.Errorf("victim: %w\n%s", err, clip(content(v.out.printed, maxOutput)))
		case err != nil:
			return broken{err}
		}
		if err := v.finish(t.ctx); err != nil {
			return role("stepped victim", err)
		}
		rec = r
		if !judge {
			return nil
		}
		return t.recover(false)
	})
	return rec, out
}
