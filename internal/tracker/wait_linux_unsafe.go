//go:build linux

package tracker

import (
	"syscall"
	"unsafe"
)

// Of the layout, which imports too much.
const (
	file   = 3 // layout.TreeFile
	mapped = 1 // layout.LockMapped
	over   = 8 // where layout.Tree says that its tree has left in order
)

const (
	ofdSetLockWait = 38 // F_OFD_SETLKW
	refused        = 70 // EX_SOFTWARE
)

// sigaction is the kernel's, on amd64 and arm64.
type sigaction struct{ handler, flags, restorer, mask uint64 }

// Tracking tells whether this process is a tracker. Its tree is dead, then.
var Tracking = wait()

func wait() bool {
	if _, ok := syscall.Getenv(Env); !ok {
		return false
	}
	// Go's handlers for these would end the process. Package os/signal is too far up.
	ignore := sigaction{handler: 1}
	for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM} {
		syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(&ignore)), 0, unsafe.Sizeof(ignore.mask), 0, 0)
	}
	name := [16]byte{}
	copy(name[:15], Name)
	syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_NAME, uintptr(unsafe.Pointer(&name)), 0)
	for {
		l := syscall.Flock_t{Type: syscall.F_WRLCK, Start: mapped, Len: 1}
		switch err := syscall.FcntlFlock(file, ofdSetLockWait, &l); err {
		case nil:
			if isOver() { // before anything else of the program is initialised
				syscall.Exit(0)
			}
			return true
		case syscall.EINTR:
		default:
			syscall.Write(2, []byte("tandem: "+Env+" is set, which makes this process a resource tracker, but descriptor 3 is not a tree file: "+err.Error()+"\n"))
			syscall.Exit(refused)
		}
	}
}

// isOver tells whether the tree has left every Space in order: there is nothing to do.
func isOver() bool {
	var b [8]byte
	n, err := syscall.Pread(file, b[:], over)
	return err == nil && n == len(b) && b != [8]byte{}
}
