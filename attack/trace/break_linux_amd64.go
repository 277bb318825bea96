package trace

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// A victim's other threads run free, so a breakpoint in code that they may run too must be one of the traced thread's
// debug registers. The beginning of markEnd, where nobody else runs, has INT3 instead.

const (
	debugRegisters = 848 // offset of u_debugreg in struct user
	int3           = 0xcc
)

// breakAt sets the thread's hardware breakpoint.
func (v *Victim) breakAt(addr uint64) error {
	if err := v.breakNowhere(); err != nil {
		return err
	}
	if err := v.debugRegister(0, addr); err != nil {
		return err
	}
	return v.debugRegister(7, 1)
}

func (v *Victim) breakNowhere() error { return v.debugRegister(7, 0) }

func (v *Victim) debugRegister(i int, value uint64) error {
	err := ptrace(unix.PTRACE_POKEUSR, v.tid, uintptr(debugRegisters+8*i), uintptr(value))
	if err != nil && err != unix.ESRCH {
		return fmt.Errorf("hardware breakpoint (debug register %d = 0x%x): %w", i, value, err)
	}
	return nil
}

// trapAt puts an INT3 behind code, at the beginning of markEnd. There is room: functions of Go's are aligned to 32 bytes.
func (v *Victim) trapAt(code ...byte) error {
	var b [16]byte
	copy(b[:], v.endCode[:])
	b[copy(b[:], code)] = int3
	v.trap = v.end + uint64(len(code))
	return v.writeEnd(b)
}

// trapNowhere makes markEnd what it was.
func (v *Victim) trapNowhere() error {
	v.trap = 0
	return v.writeEnd(v.endCode)
}

func (v *Victim) writeEnd(b [16]byte) error {
	for i := 0; i < len(b); i += 8 {
		err := ptrace(unix.PTRACE_POKEDATA, v.tid, uintptr(v.end)+uintptr(i), uintptr(binary.LittleEndian.Uint64(b[i:])))
		if err != nil && err != unix.ESRCH {
			return fmt.Errorf("breakpoint at the operation's end: %w", err)
		}
	}
	return nil
}

// goTo makes addr the next instruction.
func (v *Victim) goTo(addr uint64) error {
	v.regs.Rip = addr
	if err := ptraceSetRegisters(v.tid, &v.regs); err != nil && err != unix.ESRCH {
		return fmt.Errorf("set registers: %w", err)
	}
	return nil
}

// breakpointsVariable=off makes tracers step to their points, as on a machine whose breakpoints never fire.
const breakpointsVariable = "ATTACK_BREAKPOINTS"

// breakpointsFire is asked once, by the first tracer.
var breakpointsFire = sync.OnceValues(func() (bool, error) { return fires((*Victim).breakAt) })

// fires says whether a breakpoint that set puts where a program passes at once stops it. Some virtual machines take
// every value for the debug registers, and nothing happens. The caller is locked to its thread.
func fires(set func(v *Victim, addr uint64) error) (bool, error) {
	pid, err := syscall.ForkExec("/proc/self/exe", []string{"probe"}, &syscall.ProcAttr{
		Env: []string{}, Sys: &syscall.SysProcAttr{Ptrace: true, Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrNotPermitted, err)
	}
	v := &Victim{pid: pid, tid: pid}
	defer func() {
		syscall.Kill(pid, syscall.SIGKILL)
		v.awaitProcess()
	}()
	resume := func(request int) {
		if err == nil {
			err = ptrace(request, pid, 0, 0)
		}
		if err == nil {
			_, err = v.wait()
		}
		if err == nil {
			err = ptraceRegisters(pid, &v.regs)
		}
	}
	if _, err = v.wait(); err == nil { // at its first instruction
		err = ptraceRegisters(pid, &v.regs)
	}
	first := v.regs
	resume(unix.PTRACE_SINGLESTEP)
	resume(unix.PTRACE_SINGLESTEP)
	there := v.regs.Rip
	if err == nil {
		v.regs = first
		err = errors.Join(v.goTo(first.Rip), set(v, there))
	}
	resume(unix.PTRACE_SYSCALL) // there, or at its first system call
	if err != nil {
		return false, fmt.Errorf("try a hardware breakpoint: %w", err)
	}
	return v.regs.Rip == there, nil
}
