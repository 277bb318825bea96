package trace

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

type event uint8

const (
	stepTrap event = iota
	breakTrap
	handlerTrap // a signal handler was entered instead of the next instruction
	systemCallStop
)

// si_code of SIGTRAP.
const (
	trapBreakpoint = 1 // also: stepped over a system call
	trapTrace      = 2
	trapHardware   = 4
	trapKernel     = 0x80 // INT3
	trapHandler    = int32(syscall.SIGTRAP)
)

const eventStop = unix.PTRACE_EVENT_STOP

// wait waits for the traced thread, and no other, to stop.
func (v *Victim) wait() (syscall.WaitStatus, error) {
	var ws syscall.WaitStatus
	for {
		_, err := syscall.Wait4(v.tid, &ws, unix.WALL, nil)
		switch {
		case err == syscall.EINTR:
			continue
		case err != nil: // exec from another thread took the number away
			v.gone = true
			return 0, fmt.Errorf("%w: its thread %d is no more: %w", ErrExited, v.tid, err)
		case ws.Exited() || ws.Signaled():
			v.gone = true
			if v.tid == v.pid {
				v.finished(ws)
			}
			return 0, fmt.Errorf("%w: %s", ErrExited, describeStatus(ws))
		}
		return ws, nil
	}
}

func describeStatus(ws syscall.WaitStatus) string {
	if ws.Signaled() {
		return ws.Signal().String()
	}
	return fmt.Sprintf("exit status %d", ws.ExitStatus())
}

// resume lets the thread go on, by PTRACE_CONT, _SYSCALL or _SINGLESTEP, until it stops for a reason of ours, and reads
// the registers. Signals are passed on, or, under hold, kept for release.
func (v *Victim) resume(request int) (event, error) {
	var signal syscall.Signal
	for {
		if err := ptrace(request, v.tid, 0, uintptr(signal)); err != nil && err != unix.ESRCH {
			return 0, fmt.Errorf("resume: %w", err)
		} // ESRCH: killed meanwhile, which wait reports
		signal = 0
	again:
		ws, err := v.wait()
		if err != nil {
			return 0, err
		}
		if err := ptraceRegisters(v.tid, &v.regs); err != nil && err != unix.ESRCH {
			return 0, fmt.Errorf("registers: %w", err)
		}
		stop := ws.StopSignal()
		switch {
		case stop == syscall.SIGTRAP|0x80:
			return systemCallStop, nil
		case int(ws)>>16 == unix.PTRACE_EVENT_EXEC:
			return 0, fmt.Errorf("%w: the operation called exec", ErrExited)
		case int(ws)>>16 == eventStop:
			if stop != syscall.SIGTRAP { // group stop: somebody sent SIGSTOP; stay until SIGCONT
				if err := ptrace(unix.PTRACE_LISTEN, v.tid, 0, 0); err != nil && err != unix.ESRCH {
					return 0, fmt.Errorf("listen: %w", err)
				}
				goto again
			}
			continue
		case stop == syscall.SIGTRAP:
			code, err := ptraceSignalCode(v.tid)
			if err != nil && err != unix.ESRCH {
				return 0, fmt.Errorf("signal information: %w", err)
			}
			switch code {
			case trapTrace, trapBreakpoint:
				return stepTrap, nil
			case trapHardware:
				return breakTrap, nil
			case trapHandler:
				return handlerTrap, nil
			case trapKernel:
				if v.trap != 0 && v.regs.Rip == v.trap+1 {
					return breakTrap, v.goTo(v.trap)
				}
			}
		}
		if v.hold {
			v.held = append(v.held, stop)
			continue
		}
		signal = stop
	}
}

// release sends signals that were held to the thread again; it takes them when it next runs.
func (v *Victim) release() {
	v.hold = false
	for _, s := range v.held {
		unix.Tgkill(v.pid, v.tid, unix.Signal(s))
	}
	v.held = nil
}

// step executes one instruction, in of the current position. It says no if a signal handler was entered instead, or in
// the middle of a system call that is to be restarted behind it.
func (v *Victim) step(in *instruction) (bool, error) {
	pc := v.regs.Rip
	for {
		ev, err := v.resume(unix.PTRACE_SINGLESTEP)
		if err != nil {
			return false, err
		}
		if ev == handlerTrap {
			return false, nil
		}
		if in.syscall && v.regs.Rip == pc+2 && restarting(v.regs.Rax) {
			continue
		}
		return true, nil
	}
}

// restarting: the kernel's internal codes, visible to a tracer only.
func restarting(result uint64) bool {
	switch -int64(result) {
	case 512, 513, 514, 516: // ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND, ERESTART_RESTARTBLOCK
		return true
	}
	return false
}

// code reads the instruction at an address.
func (v *Victim) code(addr uint64) []byte {
	b := make([]byte, 15)
	n, _ := v.mem.ReadAt(b, int64(addr)) // less where the mapping ends
	return b[:n]
}

func (v *Victim) registers() *registers {
	r := &v.regs
	return &registers{
		gpr: [16]uint64{r.Rax, r.Rcx, r.Rdx, r.Rbx, r.Rsp, r.Rbp, r.Rsi, r.Rdi,
			r.R8, r.R9, r.R10, r.R11, r.R12, r.R13, r.R14, r.R15},
		pc: r.Rip, fs: r.Fs_base, gs: r.Gs_base, flags: r.Eflags,
	}
}
