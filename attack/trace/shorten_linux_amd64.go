package trace

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// stepper goes through an operation an instruction at a time, and keeps that as long as the operation is, not as long as
// single-stepping makes it. Nothing it does changes what the operation does.
type stepper struct {
	v     *Victim
	known map[uint64]*instruction

	// limits are the stack limits seen, by goroutine.
	limits map[uint64]stackLimit
}

func newStepper(v *Victim) stepper {
	return stepper{v, make(map[uint64]*instruction), make(map[uint64]stackLimit)}
}

// next gives the instruction that the thread stands at.
func (s *stepper) next() *instruction {
	pc := s.v.regs.Rip
	in := s.known[pc]
	if in == nil {
		decoded := decode(s.v.code(pc))
		in = &decoded
		s.known[pc] = in
	}
	return in
}

// step executes that instruction, as [Victim.step].
func (s *stepper) step(in *instruction) (bool, error) {
	if in.guard {
		return s.guarded(in)
	}
	return s.v.step(in)
}

// stackPreempt is what the Go runtime writes over a goroutine's stack limit to make it yield at its next function call.
// A goroutine gets that every 10 ms, which when stepped is every few hundred instructions, and then the runtime spends
// thousands on handing its thread away and back.
const stackPreempt = ^uint64(1314 - 1)

type stackLimit struct{ low, guard uint64 }

// guarded steps over a comparison with the stack's limit, as it is without a request to yield: where that has been
// written over the limit, the limit is put back, as the runtime itself does where it must not yield.
func (s *stepper) guarded(in *instruction) (bool, error) {
	pc := s.v.regs.Rip
	g := s.v.registers().gpr[in.base]
	s.putLimitBack(g)
	done, err := s.v.step(in)
	for err == nil && done && s.putLimitBack(g) { // the request came between; compare again
		if err = s.v.goTo(pc); err == nil {
			done, err = s.v.step(in)
		}
	}
	return done, err
}

// putLimitBack says whether it did. g is what holds stack.lo, stack.hi, stackguard0, if this is the head of a function.
func (s *stepper) putLimitBack(g uint64) bool {
	var b [24]byte
	if n, err := s.v.mem.ReadAt(b[:], int64(g)); n < len(b) || err != nil {
		return false
	}
	now := stackLimit{binary.LittleEndian.Uint64(b[0:]), binary.LittleEndian.Uint64(b[16:])}
	if now.guard != stackPreempt {
		s.limits[g] = now
		return false
	}
	was, ok := s.limits[g]
	if !ok || was.low != now.low {
		return false
	}
	return ptrace(unix.PTRACE_POKEDATA, s.v.tid, uintptr(g+16), uintptr(was.guard)) == nil
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

// finishRepeat runs a repeated instruction to its end in one go: a copy of it, where nobody else runs.
func (v *Victim) finishRepeat(in *instruction) error {
	pc := v.regs.Rip
	if err := v.trapAt(v.code(pc)[:in.length]...); err != nil {
		return err
	}
	if err := v.goTo(v.end); err != nil {
		return err
	}
	for v.regs.Rip != v.trap {
		if _, err := v.resume(unix.PTRACE_CONT); err != nil {
			return err
		}
	}
	if err := v.goTo(pc + uint64(in.length)); err != nil {
		return err
	}
	return v.trapAt()
}
