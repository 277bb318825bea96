package trace

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// What this file does keeps a recording as long as the operation is, not as long as single-stepping makes it. Neither
// changes what the operation does.

// stackPreempt is what the Go runtime writes over a goroutine's stack limit to make it yield at its next function call.
// A goroutine gets that every 10 ms, which when stepped is every few hundred instructions, and then the runtime spends
// thousands on handing its thread away and back.
const stackPreempt = ^uint64(1314 - 1)

type stackLimit struct{ low, guard uint64 }

// guarded steps over a comparison with the stack's limit, as it is without a request to yield: where that has been
// written over the limit, the limit is put back, as the runtime itself does where it must not yield.
func (r *recorder) guarded(in *instruction) error {
	pc := r.v.regs.Rip
	g := r.v.registers().gpr[in.base]
	r.putLimitBack(g)
	done, err := r.step(in)
	if err != nil || !done {
		return err
	}
	for r.putLimitBack(g) { // the request came between; compare again
		r.v.regs.Rip = pc
		if err := ptraceSetRegisters(r.v.tid, &r.v.regs); err != nil && err != unix.ESRCH {
			return fmt.Errorf("set registers: %w", err)
		}
		if done, err := r.v.step(in); err != nil || !done {
			return err
		}
	}
	if inRanges(r.code, pc) {
		r.point(site{addr: pc}, Code, "")
	}
	return nil
}

// putLimitBack says whether it did. g is what holds stack.lo, stack.hi, stackguard0, if this is the head of a function.
func (r *recorder) putLimitBack(g uint64) bool {
	var b [24]byte
	if n, err := r.v.mem.ReadAt(b[:], int64(g)); n < len(b) || err != nil {
		return false
	}
	now := stackLimit{binary.LittleEndian.Uint64(b[0:]), binary.LittleEndian.Uint64(b[16:])}
	if now.guard != stackPreempt {
		r.limits[g] = now
		return false
	}
	was, ok := r.limits[g]
	if !ok || was.low != now.low {
		return false
	}
	return ptrace(unix.PTRACE_POKEDATA, r.v.tid, uintptr(g+16), uintptr(was.guard)) == nil
}

// private says whether all of a repeated instruction that is beginning stores outside watched memory, and it is worth
// not stepping through.
func (r *recorder) private(in *instruction) bool {
	const worth = 8
	n := uint64(r.v.iterations(in))
	if n < worth || inRanges(r.code, r.v.regs.Rip) || n > 1<<32 {
		return false
	}
	if in.implicit == 0 {
		return true
	}
	var buffer [1]span
	s := in.spans(buffer[:0], r.v.registers())[0]
	from, length := s.addr, n*uint64(s.size)
	if r.v.regs.Eflags&(1<<10) != 0 { // downwards
		from -= length - uint64(s.size)
	}
	for a := from; a < from+length; {
		m := r.mm.lookup(a)
		if m == nil || m.see != unwatched {
			return false
		}
		a = m.end
	}
	return true
}

// finishRepeat runs a repeated instruction to its end in one go.
func (r *recorder) finishRepeat(in *instruction) error {
	pc := r.v.regs.Rip
	n := r.v.iterations(in)
	next := pc + uint64(in.length)
	if err := r.v.breakAt(next); err != nil {
		return err
	}
	for r.v.regs.Rip != next {
		if _, err := r.v.resume(unix.PTRACE_CONT); err != nil {
			return err
		}
		if r.v.regs.Rip == r.v.end {
			return errors.New("lost in a repeated instruction")
		}
	}
	r.rec.Instructions++
	r.pass[site{addr: pc}] += n
	return r.v.breakAt()
}
