package trace

import (
	"fmt"

	"golang.org/x/sys/unix"
)

const debugRegisters = 848 // offset of u_debugreg in struct user

// breakAt sets the thread's hardware breakpoints, at most four; none without addresses.
func (v *Victim) breakAt(addrs ...uint64) error {
	poke := func(i int, value uint64) error {
		err := ptrace(unix.PTRACE_POKEUSR, v.tid, uintptr(debugRegisters+8*i), uintptr(value))
		if err != nil && err != unix.ESRCH {
			return fmt.Errorf("hardware breakpoint (debug register %d = 0x%x): %w", i, value, err)
		}
		return nil
	}
	if err := poke(7, 0); err != nil {
		return err
	}
	enable := uint64(0)
	for i, a := range addrs {
		if err := poke(i, a); err != nil {
			return err
		}
		enable |= 1 << (2 * i)
	}
	if enable == 0 {
		return nil
	}
	return poke(7, enable)
}

func (v *Victim) runToEnd() error {
	if err := v.breakAt(v.end); err != nil {
		return err
	}
	for v.regs.Rip != v.end {
		if _, err := v.resume(unix.PTRACE_CONT); err != nil {
			return err
		}
	}
	v.where = atEnd
	return v.breakAt()
}

func (v *Victim) runTo(p Point) error {
	code := decode(v.code(p.Addr))
	in := &code
	number, one := systemCallNumber(p.Call)
	if err := v.breakAt(p.Addr, v.end); err != nil {
		return err
	}
	for pass := 0; ; {
		if _, err := v.resume(unix.PTRACE_CONT); err != nil {
			return err
		}
		switch v.regs.Rip {
		default:
			continue
		case v.end:
			v.where = atEnd
			if err := v.breakAt(); err != nil {
				return err
			}
			return fmt.Errorf("%w: passed %d times", ErrNotReached, pass)
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
		// Near: step, without breakpoints in the way.
		if err := v.breakAt(); err != nil {
			return err
		}
		n, err := v.passHere(in, p.Pass-pass)
		if err != nil {
			return err
		}
		if pass += n; pass == p.Pass {
			v.where = atPoint
			return nil
		}
		if err := v.breakAt(p.Addr, v.end); err != nil {
			return err
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
