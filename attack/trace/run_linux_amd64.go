package trace

import (
	"fmt"

	"golang.org/x/sys/unix"
)

func (v *Victim) runToEnd() error {
	for v.regs.Rip != v.end {
		if _, err := v.resume(unix.PTRACE_CONT); err != nil {
			return err
		}
	}
	v.where = atEnd
	return nil
}

func (v *Victim) runTo(p Point) (err error) {
	var pass int
	if v.t.stepping {
		pass, err = v.stepTo(p)
	} else {
		pass, err = v.breakTo(p)
	}
	switch {
	case err != nil:
		return err
	case v.regs.Rip == v.end && pass < p.Pass:
		v.where = atEnd
		return fmt.Errorf("%w: passed %d times", ErrNotReached, pass)
	}
	v.where = atPoint
	return nil
}

// stepTo goes to a point, or to the end, an instruction at a time, and returns how often the point was passed.
func (v *Victim) stepTo(p Point) (pass int, err error) {
	s := newStepper(v)
	number, one := systemCallNumber(p.Call)
	for pass < p.Pass && v.regs.Rip != v.end {
		in := s.next()
		here := v.regs.Rip == p.Addr && (!one || v.regs.Rax == number)
		n := 1
		if in.repeats {
			n = v.iterations(in)
		}
		if in.repeats && (!here || pass+n < p.Pass) {
			err = v.finishRepeat(in)
		} else if done, failed := s.step(in); failed != nil || !done {
			n, err = 0, failed
		} else {
			n = 1
		}
		if err != nil {
			return pass, err
		}
		if here {
			pass += n
		}
	}
	return pass, nil
}

// breakTo does the same with a hardware breakpoint at the point's address.
func (v *Victim) breakTo(p Point) (pass int, err error) {
	code := decode(v.code(p.Addr))
	in := &code
	number, one := systemCallNumber(p.Call)
	if err := v.breakAt(p.Addr); err != nil {
		return 0, err
	}
	for {
		if _, err := v.resume(unix.PTRACE_CONT); err != nil {
			return pass, err
		}
		switch v.regs.Rip {
		default:
			continue
		case v.end:
			return pass, v.breakNowhere()
		case p.Addr:
		}
		switch {
		case one && v.regs.Rax != number:
			continue
		case in.repeats && pass+v.iterations(in) < p.Pass:
			pass += v.iterations(in)
			continue
		case !in.syscall && !in.rep && pass+1 < p.Pass:
			pass++
			continue
		}
		// Near: step, without the breakpoint in the way.
		if err := v.breakNowhere(); err != nil {
			return pass, err
		}
		n, err := v.passHere(in, p.Pass-pass)
		if err != nil {
			return pass, err
		}
		if pass += n; pass == p.Pass {
			return pass, nil
		}
		if err := v.breakAt(p.Addr); err != nil {
			return pass, err
		}
	}
}

// iterations of a REP instruction that is just beginning. With a count of zero it still is one passage.
func (v *Victim) iterations(in *instruction) int {
	n := v.regs.Rcx
	if in.addr32 {
		n = uint64(uint32(n))
	}
	return int(min(max(n, 1), 1<<40))
}

// passHere steps over the instruction the thread stands at, at most limit times if it is repeated, and returns how often
// it was passed.
func (v *Victim) passHere(in *instruction, limit int) (n int, err error) {
	// A signal handler must not come between breakpoint and step. In a system call it may: it ends a wait.
	v.hold = !in.syscall
	defer v.release()
	for pc := v.regs.Rip; n < limit && v.regs.Rip == pc; {
		done, err := v.step(in)
		if err != nil {
			return n, err
		}
		if done {
			n++
		}
		if !in.rep {
			break
		}
	}
	return n, nil
}
