//go:build linux && amd64

package trace

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// ptrace never blocks, so it need not tell the scheduler.
func ptrace(request, tid int, addr, data uintptr) error {
	if _, _, e := unix.RawSyscall6(unix.SYS_PTRACE, uintptr(request), uintptr(tid), addr, data, 0, 0); e != 0 {
		return e
	}
	return nil
}

func ptraceRegisters(tid int, r *unix.PtraceRegs) error {
	return ptrace(unix.PTRACE_GETREGS, tid, 0, uintptr(unsafe.Pointer(r)))
}

func ptraceSetRegisters(tid int, r *unix.PtraceRegs) error {
	return ptrace(unix.PTRACE_SETREGS, tid, 0, uintptr(unsafe.Pointer(r)))
}

// ptraceSignalCode gives si_code of the signal that the thread stopped for.
func ptraceSignalCode(tid int) (int32, error) {
	var info [128]byte // siginfo_t: si_signo, si_errno, si_code
	err := ptrace(unix.PTRACE_GETSIGINFO, tid, 0, uintptr(unsafe.Pointer(&info)))
	return *(*int32)(unsafe.Pointer(&info[8])), err
}
